/* blockattn logits: next-token logits after the last segment. */
#include "experiments/cli/ask.h"
#include "experiments/cli/json.h"
#include "experiments/options/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct ranked {
    double value;
    int32_t id;
} ranked;

static int highest_first(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->value != y->value) {
        return x->value > y->value ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

static int print_json(const ba_plan *plan, const ranked *top, size_t k, double lse) {
    cJSON *o = cJSON_CreateObject(), *t = cJSON_AddObjectToObject(o, "top");
    cJSON *ids = cJSON_AddArrayToObject(t, "ids"), *values = cJSON_AddArrayToObject(t, "values");
    for (size_t i = 0; i < k; i++) {
        cJSON_AddItemToArray(ids, cJSON_CreateNumber(top[i].id));
        cJSON_AddItemToArray(values, cJSON_CreateNumber(top[i].value));
    }
    cJSON_AddStringToObject(o, "mode", plan->mode);
    cJSON_AddNumberToObject(o, "n_tokens", (double)plan->n_tokens);
    cJSON_AddNumberToObject(o, "logsumexp", lse);
    cJSON_AddNumberToObject(o, "argmax", top[0].id);
    return ba_json_print(o);
}

static void print_table(const ba_session *b, const ba_plan *plan, const ranked *top, size_t k, double lse) {
    printf("mode %s, %zu tokens, logsumexp %.6f\n\n%6s  %10s  %10s  %s\n", plan->mode, plan->n_tokens, lse, "id",
           "logit", "P", "token");
    for (size_t i = 0; i < k; i++) {
        size_t n;
        char *text = ba_detokenize(b->tok, &top[i].id, 1, true, &n);
        printf("%6d  %10.4f  %10.3g  ", top[i].id, top[i].value, exp(top[i].value - lse));
        for (size_t j = 0; text && j < n; j++) {
            unsigned char c = (unsigned char)text[j];
            printf(c < 0x20 || c == 0x7f ? "\\x%02x" : "%c", c);
        }
        putchar('\n');
        free(text);
    }
    if (plan->note[0]) {
        printf("\nnote: %s\n", plan->note);
    }
}

static int print_ranked(const ba_common *c, const ba_session *b, const ba_plan *plan, const ranked *all, size_t k,
                        double lse) {
    if (c->format == BA_FORMAT_JSON) {
        return print_json(plan, all, k, lse);
    }
    if (c->format == BA_FORMAT_TABLE) {
        print_table(b, plan, all, k, lse);
        return BA_EXIT_OK;
    }
    puts("id,value");
    for (size_t i = 0; i < k; i++) {
        printf("%d,%.9g\n", all[i].id, all[i].value);
    }
    return BA_EXIT_OK;
}

static int report(const ba_common *c, const ba_session *b, const ba_plan *plan, const double *logits, size_t k) {
    size_t vocab = ba_engine_shape(b->engine)->vocab;
    ranked *all = malloc(vocab * sizeof *all);
    if (!all) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < vocab; i++) {
        all[i] = (ranked){logits[i], (int32_t)i};
    }
    qsort(all, vocab, sizeof *all, highest_first);
    int status = print_ranked(c, b, plan, all, k < vocab ? k : vocab, ba_logsumexp(logits, vocab));
    free(all);
    return status;
}

typedef struct options {
    uint64_t top;
} options;

static int answer(const ba_call *call, const ba_session *b, ba_asked *a, ba_run **run) {
    const options *opt = call->options;
    const ba_engine_options engine_opt = ba_run_options(call->common);
    char err[BA_ERR_LEN];
    int status;
    if ((status = ba_ask(call->common, b, a)) || (status = ba_ask_mode(a, call->common->mode)) ||
        (status = ba_engine_exit(ba_engine_run(b->engine, a->plan, &engine_opt, 0, run, err), err)) ||
        (status = ba_engine_exit(ba_run_check(*run, err), err))) {
        return status;
    }
    return report(call->common, b, a->plan, ba_run_logits(*run), opt->top);
}

static int run(const ba_call *call) {
    ba_session b;
    ba_asked a = {.plan = NULL};
    ba_run *prompt = NULL;
    int status = ba_session_open(call->common, &b);
    if (status) {
        return status;
    }
    status = answer(call, &b, &a, &prompt);
    ba_run_free(prompt);
    ba_asked_free(&a);
    ba_session_close(&b);
    return status;
}

static const ba_option own[] = {{"top", "K", BA_COUNT, offsetof(options, top), .standard = "10", .least = 1,
                                 .help = "how many of the highest logits"},
                                {.name = NULL}};

const ba_command ba_command_logits = {
    .name = "logits",
    .summary = "next-token logits after a request",
    .usage = "--request FILE [--mode MODE] [--top K]",
    .about = "Next-token logits after the last segment of a request.",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_MODE | BA_TAKES_REQUEST | BA_TAKES_CHAT | BA_TAKES_EXECUTOR | BA_TAKES_MEMORY |
             BA_TAKES_JSON | BA_TAKES_CSV | BA_TAKES_SHAPE | BA_TAKES_SEED,
    .mode = "full",
    .hint = "a request is given by --request",
    .run = run,
};
