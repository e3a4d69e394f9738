#include "ask.h"

#include "experiments/data/request.h"
#include "kernels/base/clock.h"
#include "sim/base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_REQUEST = 1 << 30 };

/* A plain message: text that a tokenizer can express. Marks in it are control tokens, as in the paper's code. */
static int from_message(const char *text, size_t len, const ba_tokenizer *tok, ba_prompt **out, char err[BA_ERR_LEN]) {
    size_t valid = ba_utf8_valid(text, len);
    if (valid < len || memchr(text, 0, len)) {
        return ba_fail(err, "byte %zu is no text in UTF-8", valid < len ? valid : strlen(text));
    }
    return ba_prompt_from_message(text, len, BA_MESSAGE_BLOCKS, true, tok, out, err);
}

/* Whether no token of the prompt is a mark of a conversation. */
static bool has_no_marks(const ba_prompt *p, const ba_vocab *v) {
    for (size_t i = 0; i < p->n_seg; i++) {
        for (size_t k = 0; k < p->seg[i].n; k++) {
            int32_t id = p->seg[i].ids[k];
            if (id >= 0 && (size_t)id < v->n && v->type[id] == BA_TOKEN_CONTROL) {
                return false;
            }
        }
    }
    return true;
}

/* *raw: blocks or ids, which are taken as they are. */
static int read_prompt(const char *request, const char *message, const ba_tokenizer *tok, size_t n_vocab,
                       ba_prompt **out, bool *raw, double *tokenize_s) {
    char err[BA_ERR_LEN], *text;
    const char *path = message ? message : request;
    size_t len;
    *out = NULL;
    *raw = true;
    if (!request == !message) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "a prompt is needed: --request FILE or --message FILE (- for standard input)");
    }
    if (ba_read_file(path, MAX_REQUEST, &text, &len, err) != 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    double start = ba_now();
    int rc =
        message ? from_message(text, len, tok, out, err) : ba_request_parse(text, len, tok, n_vocab, out, raw, err);
    *tokenize_s = ba_now() - start;
    free(text);
    return rc ? ba_cli_fail(BA_EXIT_USAGE, "%s: %s", strcmp(path, "-") ? path : "standard input", err) : 0;
}

int ba_read_prompt(const char *request, const char *message, const ba_tokenizer *tok, size_t n_vocab, ba_prompt **out,
                   double *tokenize_s) {
    bool raw;
    return read_prompt(request, message, tok, n_vocab, out, &raw, tokenize_s);
}

int ba_ask(const ba_session *b, const char *request, const char *message, ba_asked *out) {
    bool raw;
    *out = (ba_asked){0};
    int status =
        read_prompt(request, message, b->tok, ba_model_shape(b->model)->vocab, &out->prompt, &raw, &out->tokenize_s);
    if (status == 0) {
        const ba_vocab *v = ba_model_vocab(b->model);
        out->unworded = raw && ba_chat_of(v) && has_no_marks(out->prompt, v);
    }
    return status;
}

int ba_ask_mode(ba_asked *a, const char *mode) {
    char err[BA_ERR_LEN];
    ba_plan_free(a->plan);
    a->plan = NULL;
    if (ba_mode_plan(mode, a->prompt, &a->plan, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    return 0;
}

void ba_asked_free(ba_asked *a) {
    ba_plan_free(a->plan);
    ba_prompt_free(a->prompt);
    *a = (ba_asked){0};
}

char **ba_modes_split(const char *list, size_t *n) {
    char *copy = strdup(list), **mode = calloc(strlen(list) + 2, sizeof *mode);
    *n = 0;
    if (!copy || !mode) {
        free(copy);
        free(mode);
        return NULL;
    }
    mode[(*n)++] = copy;
    for (char *c = strchr(copy, ','); c; c = strchr(c + 1, ',')) {
        size_t word = strcspn(c + 1, ",=:");
        if (c[1 + word] != '=') {
            *c = 0;
            mode[(*n)++] = c + 1;
        }
    }
    return mode;
}

void ba_modes_free(char **mode) {
    if (mode) {
        free(mode[0]);
        free(mode);
    }
}

int ba_engine_exit(int rc, const char *err) {
    if (rc == BA_INTERRUPTED) {
        return BA_EXIT_INTERRUPTED;
    }
    return rc ? ba_cli_fail(strstr(err, "out of memory") ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err) : 0;
}

static int stop_on_interrupt(void *arg, ba_stage stage, uint64_t done, uint64_t total) {
    (void)arg, (void)stage, (void)done, (void)total;
    return ba_interrupted();
}

int ba_run_options(const char *executor, const char *memory, ba_engine_options *out) {
    char err[BA_ERR_LEN];
    *out = (ba_engine_options){.progress = stop_on_interrupt};
    if (executor && !strcmp(executor, "merge")) {
        out->executor = BA_MERGE_KEYS;
    } else if (executor && strcmp(executor, "place") != 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "--executor %s: it is place (keys where they lie) or merge (the paper's way)",
                           executor);
    }
    if (memory) {
        if (ba_parse_size(memory, &out->memory, err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "--memory: %s", err);
        }
        return 0;
    }
    long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    out->memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    return 0;
}
