/* Everything that a command which runs a model needs: found, opened in order, closed together. */
#include "cli.h"
#include "measure.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_MODEL "SmolLM2-135M-Instruct.Q4_1.gguf"

int ba_model_path_of(const ba_common *c, char *path, size_t size, char err[BA_ERR_LEN]) {
    const char *given = c && c->model ? c->model : getenv("BLOCKATTN_MODEL");
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (given && *given) {
        n = snprintf(path, size, "%s", given);
    } else if (cache && *cache) {
        n = snprintf(path, size, "%s/blockattn/%s", cache, DEFAULT_MODEL);
    } else {
        n = snprintf(path, size, "%s/.cache/blockattn/%s", home ? home : "", DEFAULT_MODEL);
    }
    if (n < 0 || (size_t)n >= size) {
        return ba_fail(err, "the model's path is too long");
    }
    if (!(given && *given) && access(path, F_OK) != 0) {
        return ba_fail(err, "no model: give --model PATH, or run 'make model', which puts the default one at %s", path);
    }
    return 0;
}

static const ba_backend_ops *backend_by_name(const char *name) {
    const ba_backend_ops *ops;
    for (size_t i = 0; (ops = ba_backend_at(i)); i++) {
        if (strcmp(ops->name, name) == 0) {
            return ops;
        }
    }
    return NULL;
}

/* "ref (f64), openblas (f32)" */
static void list_backends(char *out, size_t size) {
    size_t used = 0;
    const ba_backend_ops *ops;
    *out = '\0';
    for (size_t i = 0; (ops = ba_backend_at(i)) && used < size; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%s (%s)", i ? ", " : "", ops->name, ops->dtype);
    }
}

/* The backend that --backend and --dtype name together; NULL: none, and err says what there is. */
static const char *backend_name(const ba_common *c, char err[BA_ERR_LEN]) {
    char list[256];
    list_backends(list, sizeof list);
    bool any_backend = strcmp(c->backend, "auto") == 0, any_dtype = strcmp(c->dtype, "auto") == 0;
    const ba_backend_ops *named = any_backend ? NULL : backend_by_name(c->backend);
    if (!any_backend && !named) {
        ba_fail(err, "--backend %s: unknown; there is auto, %s", c->backend, list);
        return NULL;
    }
    if (any_dtype) {
        return c->backend;
    }
    if (named && strcmp(named->dtype, c->dtype) == 0) {
        return named->name;
    }
    const ba_backend_ops *ops;
    for (size_t i = 0; !named && (ops = ba_backend_at(i)); i++) {
        if (strcmp(ops->dtype, c->dtype) == 0) {
            return ops->name;
        }
    }
    ba_fail(err, "--dtype %s: %s%s does not compute in it; there is %s", c->dtype, named ? "backend " : "",
            named ? named->name : "this build", list);
    return NULL;
}

/* Bytes of the in-memory tier. 0, or -1 and err. */
static int store_budget(const char *text, uint64_t *bytes, char err[BA_ERR_LEN]) {
    if (!text) {
        long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
        *bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : UINT64_C(1) << 30;
        return 0;
    }
    if (strncmp(text, "ram:", 4) != 0 || ba_parse_size(text + 4, bytes, err) != 0) {
        return ba_fail(err, "--store %s: the tier of this build is ram:SIZE, for example ram:2G", text);
    }
    return 0;
}

/* 0, or an exit status with err filled; the caller closes what is open. */
static int open_all(const ba_common *c, ba_bench *b, char err[BA_ERR_LEN]) {
    char path[4096];
    uint64_t budget = 0;
    const char *backend = backend_name(c, err);
    if (!backend || store_budget(c->store, &budget, err) != 0 || ba_model_path_of(c, path, sizeof path, err) != 0) {
        return BA_EXIT_USAGE;
    }
    if (ba_model_open(path, true, &b->model, err) != 0) {
        return BA_EXIT_USAGE;
    }
    if (ba_tokenizer_new(ba_model_vocab(b->model), &b->tok, err) != 0) {
        return BA_EXIT_USAGE;
    }
    const ba_backend_config config = {.threads = c->threads};
    if (ba_backend_open(backend, &config, &b->be, err) != 0) {
        return BA_EXIT_MACHINE;
    }
    b->store = ba_store_new(b->be, budget);
    if (!b->store) {
        ba_fail(err, "out of memory");
        return BA_EXIT_MACHINE;
    }
    if (ba_engine_new(b->model, b->be, b->store, c->adapter, &b->engine, err) != 0) {
        return c->adapter ? BA_EXIT_USAGE : BA_EXIT_MACHINE;
    }
    return BA_EXIT_OK;
}

int ba_bench_open(const ba_common *c, ba_bench *b) {
    char err[BA_ERR_LEN] = "";
    double start = ba_clock();
    *b = (ba_bench){0};
    int status = open_all(c, b, err);
    if (status != BA_EXIT_OK) {
        ba_bench_close(b);
        return ba_cli_fail(status, "%s", err);
    }
    b->load_s = ba_clock() - start;
    return BA_EXIT_OK;
}

void ba_bench_close(ba_bench *b) {
    if (b->engine) {
        ba_engine_free(b->engine);
    }
    if (b->store) {
        ba_store_free(b->store);
    }
    if (b->be) {
        ba_backend_close(b->be);
    }
    if (b->tok) {
        ba_tokenizer_free(b->tok);
    }
    if (b->model) {
        ba_model_close(b->model);
    }
    *b = (ba_bench){0};
}
