#include "ask.h"

#include "kernels/base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_REQUEST = 1 << 30 };

int ba_read_prompt(const ba_common *c, const ba_tokenizer *tok, size_t n_vocab, ba_prompt **out, double *tokenize_s) {
    char err[BA_ERR_LEN], *text;
    const char *path = c->message ? c->message : c->request;
    size_t len;
    *out = NULL;
    if (!path) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "a prompt is needed: --request FILE or --message FILE (- for standard input)");
    }
    if (ba_read_file(path, MAX_REQUEST, &text, &len, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    double start = ba_now();
    int rc = c->message ? ba_prompt_from_message(text, len, BA_MESSAGE_BLOCKS, false, tok, out, err)
                        : ba_prompt_parse(text, len, tok, n_vocab, out, err);
    *tokenize_s = ba_now() - start;
    free(text);
    return rc ? ba_cli_fail(BA_EXIT_USAGE, "%s: %s", strcmp(path, "-") ? path : "standard input", err) : 0;
}

int ba_ask(const ba_common *c, const ba_session *b, ba_asked *out) {
    *out = (ba_asked){0};
    return ba_read_prompt(c, b->tok, ba_model_shape(b->model)->vocab, &out->prompt, &out->tokenize_s);
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

ba_engine_options ba_run_options(const ba_common *c) {
    long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t available = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    return (ba_engine_options){.progress = stop_on_interrupt,
                               .executor = (ba_executor)c->executor,
                               .memory = c->memory ? c->memory : available};
}
