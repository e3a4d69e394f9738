#include "ask.h"

#include "experiments/data/field.h"
#include "experiments/data/request.h"
#include "kernels/base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_REQUEST = 1 << 30 };

/* A plain message: text that a tokenizer can express. Marks in it are control tokens, as in the paper's code. */
static int from_message(const char *text, size_t len, const ba_tokenizer *tok, ba_prompt **out, char err[BA_ERR_LEN]) {
    if (ba_text_check(text, len, 1, err) != 0) {
        return -1;
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

/* An exit status; freed by the caller in any case. */
static int read_request(const ba_common *c, const ba_tokenizer *tok, size_t n_vocab, ba_request *out,
                        double *tokenize_s) {
    char err[BA_ERR_LEN], *text;
    const char *path = c->question ? c->documents : c->message ? c->message : c->request;
    size_t len;
    *out = (ba_request){0};
    if (!path) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "a prompt is needed: --request FILE or --message FILE (- for standard input), "
                           "or --question TEXT --documents FILE");
    }
    if ((c->question || c->message) && !tok) {
        return ba_cli_fail(BA_EXIT_USAGE, "--%s: the model has no vocabulary", c->question ? "question" : "message");
    }
    if (ba_read_file(path, MAX_REQUEST, &text, &len, err) != 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    double start = ba_now();
    int rc = c->question  ? ba_request_ask(c->question, text, len, tok, out, err)
             : c->message ? from_message(text, len, tok, &out->prompt, err)
                          : ba_request_parse(text, len, tok, n_vocab, out, err);
    out->raw |= c->message != NULL;
    *tokenize_s = ba_now() - start;
    free(text);
    return rc ? ba_cli_fail(BA_EXIT_USAGE, "%s: %s", strcmp(path, "-") ? path : "standard input", err) : 0;
}

int ba_read_prompt(const ba_common *c, const ba_tokenizer *tok, size_t n_vocab, ba_prompt **out, double *tokenize_s) {
    ba_request request;
    int status = read_request(c, tok, n_vocab, &request, tokenize_s);
    *out = request.prompt;
    free(request.answer);
    return status;
}

int ba_ask(const ba_common *c, const ba_session *b, ba_asked *out) {
    const ba_vocab *v = ba_model_vocab(b->model);
    ba_request request;
    *out = (ba_asked){0};
    int status = read_request(c, b->tok, ba_model_shape(b->model)->vocab, &request, &out->tokenize_s);
    out->prompt = request.prompt;
    out->answer = request.answer;
    if (status) {
        return status;
    }
    out->unworded = request.raw && ba_chat_of(v) && has_no_marks(out->prompt, v);
    return 0;
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

void ba_asked_remark(const ba_common *c, const ba_asked *a) {
    if (a->unworded && !c->quiet) {
        fprintf(
            stderr,
            "%s: the blocks were taken as they are, without the model's chat template; a request of \"messages\", or "
            "\"question\" and \"documents\", applies it\n",
            program_invocation_short_name);
    }
}

void ba_asked_free(ba_asked *a) {
    ba_plan_free(a->plan);
    ba_prompt_free(a->prompt);
    free(a->answer);
    *a = (ba_asked){0};
}

int ba_engine_exit(int rc, const char *err) {
    if (rc == BA_INTERRUPTED) {
        return BA_EXIT_INTERRUPTED;
    }
    bool machine = strstr(err, "out of memory") || strstr(err, BA_DEVICE_FAILED);
    return rc ? ba_cli_fail(machine ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err) : 0;
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
