/* Everything that a command which runs a model needs: found, opened in order, closed together. */
#include "cli.h"
#include "guess.h"
#include "known_models.h"

#include "experiments/measure/protocol.h"
#include "kernels/base/clock.h"
#include "sim/model/adapter.h"
#include "store_spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ba_model_path_of(const ba_common *c, char *path, size_t size, char err[BA_ERR_LEN]) {
    const char *given = c && c->model ? c->model : getenv("BLOCKATTN_MODEL");
    if (given && *given) {
        return ba_known_model_find(given, path, size, err);
    }
    if (ba_in_cache(ba_known_model_at(0)->file, path, size) != 0) {
        return ba_fail(err, "the model's path is too long");
    }
    if (access(path, F_OK) != 0) {
        return ba_fail(err, "no model: give --model PATH, or run 'make model', which puts the default one at %s", path);
    }
    return 0;
}

/* Adds the nearest name to the message of a backend that does not exist. */
static void suggest_backend(const char *name, char err[BA_ERR_LEN]) {
    ba_guess g = ba_guess_begin(name, strlen(name));
    const ba_backend_ops *ops;
    for (size_t i = 0; (ops = ba_backend_at(i)); i++) {
        ba_guess_offer(&g, ops->name);
    }
    size_t used = strlen(err);
    if (g.distance) { /* 0: the name is right, and something else is not */
        snprintf(err + used, BA_ERR_LEN - used, "%s", g.text);
    }
}

/* Prints a message of the store. Under --quiet there are none. */
static void remark(const char *line) {
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, line);
}

static void no_remark(const char *line) {
    (void)line;
}

/* Only weights as the model has them are kept, and only where conversion takes longer than opening a file. */
static ba_packed *open_packed(const ba_common *c, const ba_session *b) {
    enum { WORTH = 16 << 20 };
    char folder[4096];
    bool wanted = !c->no_packed && !c->adapter && ba_model_file_bytes(b->model) >= WORTH;
    return wanted && ba_in_cache("packed", folder, sizeof folder) == 0
               ? ba_packed_open(folder, ba_model_hash(b->model), b->be)
               : NULL;
}

int ba_vocabulary_open(const ba_common *c, bool weights, ba_model **model, ba_tokenizer **tok, char err[BA_ERR_LEN]) {
    char path[4096], why[BA_ERR_LEN];
    *model = NULL;
    *tok = NULL;
    if (ba_model_path_of(c, path, sizeof path, err) || ba_model_open(path, weights, model, err) ||
        (weights && c->adapter && ba_adapter_merge(c->adapter, *model, err)) ||
        ba_model_choose_chat(*model, c->chat, c->chat_template, err)) {
        return -1;
    }
    return ba_tokenizer_new(ba_model_vocab(*model), tok, why) ? ba_fail(err, "%s: %s", path, why) : 0;
}

/* The model with its tokenizer, or a shape with random weights and none. 0, or -1 and err. */
static int open_model(const ba_common *c, ba_session *b, char err[BA_ERR_LEN]) {
    return c->shape.name ? ba_model_random(&c->shape.shape, c->shape.name, c->seed, &b->model, err)
                         : ba_vocabulary_open(c, true, &b->model, &b->tok, err);
}

/* 0, or an exit status with err filled; the caller closes what is open. */
static int open_all(const ba_common *c, ba_session *b, char err[BA_ERR_LEN]) {
    char replaced[BA_ERR_LEN];
    if (!ba_backend_find(c->backend, c->dtype, replaced, err)) {
        suggest_backend(c->backend, err);
        return BA_EXIT_USAGE;
    }
    if (ba_store_spec_parse(c->store, c->store_key, &b->tiers, err) != 0 || open_model(c, b, err) != 0) {
        return BA_EXIT_USAGE;
    }
    const ba_backend_config config = {.threads = c->threads, .dtype = c->dtype};
    if (*replaced && !c->quiet) {
        remark(replaced);
    }
    if (ba_backend_open(c->backend, &config, &b->be, err) != 0) {
        return BA_EXIT_MACHINE;
    }
    if (ba_store_open(b->be, &b->tiers, c->quiet ? no_remark : remark, &b->store, err) != 0) {
        return b->tiers.n_tier && !strstr(err, "no thread") ? BA_EXIT_USAGE : BA_EXIT_MACHINE;
    }
    b->packed = open_packed(c, b);
    if (ba_engine_new_packed(b->model, b->be, b->store, c->adapter, b->packed, &b->engine, err) != 0) {
        return c->adapter ? BA_EXIT_USAGE : BA_EXIT_MACHINE;
    }
    return BA_EXIT_OK;
}

int ba_session_open(const ba_common *c, ba_session *b) {
    char err[BA_ERR_LEN] = "";
    double start = ba_now();
    *b = (ba_session){0};
    int status = open_all(c, b, err);
    if (status != BA_EXIT_OK) {
        ba_session_close(b);
        return ba_cli_fail(status, "%s", err);
    }
    b->load_s = ba_now() - start;
    const char *remark = ba_packed_remark(b->packed);
    if (*remark && !c->quiet) {
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, remark);
    }
    return BA_EXIT_OK;
}

void ba_session_close(ba_session *b) {
    if (b->engine) {
        ba_engine_free(b->engine);
    }
    ba_packed_close(b->packed);
    if (b->store) {
        ba_store_free(b->store);
    }
    ba_store_spec_free(&b->tiers);
    if (b->be) {
        ba_backend_close(b->be);
    }
    if (b->tok) {
        ba_tokenizer_free(b->tok);
    }
    if (b->model) {
        ba_model_close(b->model);
    }
    *b = (ba_session){0};
}
