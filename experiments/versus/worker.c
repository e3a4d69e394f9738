/* One of our backends as a process that measures times on request: what experiments/peers are in Python, in C.
 *
 *   bench-worker MODEL BACKEND THREADS IDS
 *
 * MODEL: a file or folder, or the name of a published shape, which gets random weights. BACKEND: its name, or bf16 or f32 for the first that computes in it. IDS: a file of token ids in decimal, one a
 * line. Requests come line by line on standard input, as in experiments/peers/README.md; answers go to standard output.
 * It includes few headers, so that it also builds with the library of an older commit (compare.sh). */
#include "kernels/backend.h"
#include "kernels/base/clock.h"
#include "sim/engine/engine.h"
#include "sim/model/model.h"
#include "sim/modes/modes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct worker {
    ba_model *model;
    ba_backend *be;
    ba_store *store;
    ba_engine *engine;
    int32_t *ids; /* [n] */
    size_t n;
    int32_t fresh; /* number of cold runs: each needs new blocks */
} worker;

typedef struct ask {
    char method[16];
    size_t length, question, block; /* tokens */
} ask;

static int say(const char *kind, const char *text) {
    printf("%s %s\n", kind, text);
    return fflush(stdout);
}

static int read_ids(const char *path, worker *w) {
    FILE *in = fopen(path, "r");
    size_t room = 0;
    for (char id[32]; in && fgets(id, sizeof id, in); w->n++) {
        if (w->n == room) {
            room = room ? 2 * room : 4096;
            int32_t *more = realloc(w->ids, room * sizeof *more);
            if (!more) {
                break;
            }
            w->ids = more;
        }
        w->ids[w->n] = (int32_t)strtol(id, NULL, 10);
    }
    if (in) {
        fclose(in);
    }
    return w->n ? 0 : -1;
}

/* full: one segment. Otherwise passages of a->block tokens and a question. cold: each passage begins with a token pair
 * that was not used before. */
static int add_segments(worker *w, const ask *a, bool cold, ba_prompt *p) {
    if (!strcmp(a->method, "full")) {
        return ba_prompt_add(p, BA_ROLE_QUESTION, w->ids, a->length);
    }
    int status = 0;
    w->fresh += cold;
    for (size_t at = 0; at < a->length && status == 0; at += a->block) {
        size_t n = a->length - at < a->block ? a->length - at : a->block;
        int32_t kept = w->ids[at];
        w->ids[at] = cold ? w->ids[w->fresh % (int32_t)w->n] : kept;
        w->ids[at + n - 1] ^= cold; /* two tokens, because the values of one alone are used up too soon */
        status = ba_prompt_add(p, BA_ROLE_PASSAGE, w->ids + at, n);
        w->ids[at + n - 1] ^= cold;
        w->ids[at] = kept;
    }
    return status ? status : ba_prompt_add(p, BA_ROLE_QUESTION, w->ids, a->question);
}

typedef struct took {
    double seconds, encode;
    size_t reused;
    int32_t token;
} took;

/* From ids to the first token. 0, or -1 and err. */
static int take(worker *w, const ask *a, bool cold, took *out, char err[BA_ERR_LEN]) {
    const ba_engine_options opt = {.executor = BA_IN_PLACE};
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    double start = ba_now();
    ba_prompt *p = ba_prompt_new(NULL);
    int rc = -1;
    if (!p || add_segments(w, a, cold, p)) {
        ba_fail(err, "out of memory");
        goto done;
    }
    if (ba_mode_plan(!strcmp(a->method, "full") ? "full" : "block", p, &plan, err) ||
        ba_engine_run(w->engine, plan, &opt, 0, &run, err)) {
        goto done;
    }
    const double *logits = ba_run_logits(run);
    uint64_t unused = 0;
    out->token = logits ? ba_sample(logits, ba_engine_shape(w->engine)->vocab, 0, &unused) : -1;
    out->seconds = ba_now() - start;
    out->encode = ba_run_get_stats(run)->stage[BA_STAGE_ENCODE];
    out->reused = ba_run_get_stats(run)->n_reused;
    rc = logits ? ba_run_check(run, err) : 0;
done:
    ba_run_free(run);
    ba_plan_free(plan);
    ba_prompt_free(p);
    return rc;
}

/* "METHOD LENGTH QUESTION BLOCK". 0, or -1. */
static int read_ask(const char *line, ask *a) {
    size_t *const number[] = {&a->length, &a->question, &a->block};
    size_t n = strcspn(line, " ");
    snprintf(a->method, sizeof a->method, "%.*s", (int)n, line);
    line += n;
    for (size_t i = 0; i < 3; i++) {
        char *end;
        *number[i] = strtoul(line, &end, 10);
        if (end == line) {
            return -1;
        }
        line = end;
    }
    return 0;
}

static int answer(worker *w, const char *line) {
    ask a = {.length = 0};
    took t = {0};
    char text[BA_ERR_LEN], err[BA_ERR_LEN];
    if (read_ask(line, &a) || a.length > w->n || a.question > w->n || a.block < 2) {
        return say("skip", "not enough ids, or no such line");
    }
    bool cold = !strcmp(a.method, "cold"), warm = !strcmp(a.method, "block");
    if (!cold && !warm && strcmp(a.method, "full") != 0) {
        return say("skip", "there is no such method here");
    }
    int status = take(w, &a, cold, &t, err);
    if (status == 0 && warm && t.reused != a.length) { /* the first run has stored it */
        status = take(w, &a, false, &t, err);
    }
    if (status == 0 && t.reused != (warm ? a.length : 0)) {
        status = ba_fail(err, "%zu tokens came from the store", t.reused);
    }
    if (status) {
        return say("skip", err);
    }
    snprintf(text, sizeof text, "%.9f %d", cold ? t.encode : t.seconds, (int)t.token);
    return say("time", text);
}

static int open_backend(const char *name, const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    int status = -1;
    bool known = false;
    for (size_t i = 0; ba_backend_at(i) && status; i++) {
        if (!strcmp(ba_backend_at(i)->dtype, name)) {
            known = true;
            status = ba_backend_at(i)->open(cfg, out, err);
        }
    }
    return known ? status : ba_backend_open(name, cfg, out, err);
}

/* Commits before random_weight.h know no shapes. */
static int open_model(const char *name, ba_model **out, char err[BA_ERR_LEN]) {
#if __has_include("kernels/base/random_weight.h")
    const ba_shape *shape = ba_shape_by_name(name);
    if (shape) {
        return ba_model_random(shape, name, 0, out, err);
    }
#endif
    return ba_model_open(name, true, out, err);
}

static int open_worker(char **argv, worker *w, char err[BA_ERR_LEN]) {
    const ba_backend_config cfg = {.threads = (size_t)strtoul(argv[3], NULL, 10)};
    if (read_ids(argv[4], w)) {
        return ba_fail(err, "%s: holds no ids", argv[4]);
    }
    if (open_model(argv[1], &w->model, err) || open_backend(argv[2], &cfg, &w->be, err)) {
        return -1;
    }
    w->store = ba_store_new(w->be, UINT64_C(4) << 30);
    return w->store ? ba_engine_new(w->model, w->be, w->store, NULL, &w->engine, err) : ba_fail(err, "out of memory");
}

int main(int argc, char **argv) {
    worker w = {.model = NULL};
    char err[BA_ERR_LEN], line[256];
    if (argc != 5) {
        fputs("usage: bench-worker MODEL BACKEND THREADS IDS\n", stderr);
        return 2;
    }
    if (open_worker(argv, &w, err)) {
        say("skip", err);
    } else {
        say("hello", w.be->ops->describe(w.be));
        while (fgets(line, sizeof line, stdin) && answer(&w, line) == 0) {
        }
    }
    ba_engine_free(w.engine);
    if (w.store) {
        ba_store_free(w.store);
    }
    ba_backend_close(w.be);
    ba_model_close(w.model);
    free(w.ids);
    return 0;
}
