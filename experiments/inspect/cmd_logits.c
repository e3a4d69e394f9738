/* blockattn logits: next-token logits after the last segment. */
#include "experiments/cli/ask.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/json.h"

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

static int report(const ba_common *c, const ba_session *b, const ba_plan *plan, const double *logits, size_t k) {
    size_t vocab = ba_engine_shape(b->engine)->vocab;
    ranked *all = malloc(vocab * sizeof *all);
    if (!all) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int status = BA_EXIT_OK;
    for (size_t i = 0; i < vocab; i++) {
        all[i] = (ranked){logits[i], (int32_t)i};
    }
    if (!status) {
        qsort(all, vocab, sizeof *all, highest_first);
        k = k < vocab ? k : vocab;
        double lse = ba_logsumexp(logits, vocab);
        if (c->format == BA_FORMAT_JSON) {
            status = print_json(plan, all, k, lse);
        } else if (c->format == BA_FORMAT_CSV) {
            puts("id,value");
            for (size_t i = 0; i < k; i++) {
                printf("%d,%.9g\n", all[i].id, all[i].value);
            }
        } else {
            print_table(b, plan, all, k, lse);
        }
    }
    free(all);
    return status;
}

int ba_cmd_logits(int argc, char **argv) {
    const char *request = NULL, *message = NULL, *top = "10", *executor = NULL, *memory = NULL;
    const ba_option own[] = {
        {"request", "FILE", "request JSON, - for standard input", &request, NULL},
        {"message", "FILE", "instead: plain text, cut into blocks as the paper does; the last is the question",
         &message, NULL},
        {"top", "K", "how many of the highest logits (10)", &top, NULL},
        {"executor", "place|merge", "keys where they lie (default), or concatenated and rotated", &executor, NULL},
        {"memory", "SIZE", "refuse a prompt that needs more for KV and work space (free memory)", &memory, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    ba_session b;
    ba_asked a;
    ba_engine_options opt;
    char err[BA_ERR_LEN];
    uint64_t k;
    int first, status = ba_cli_parse(argc, argv, "--request FILE [--mode MODE] [--top K]",
                                     "Next-token logits after the last segment of a request.", own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'; a request is given by --request", argv[first]);
    }
    if (ba_parse_size(top, &k, err) || k == 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "--top %s: a number from 1 on is needed", top);
    }
    if ((status = ba_run_options(executor, memory, &opt)) || (status = ba_session_open(&c, &b))) {
        return status;
    }
    ba_run *run = NULL;
    if (!(status = ba_ask(&b, request, message, &a)) && !(status = ba_ask_mode(&a, c.mode))) {
        int rc = ba_engine_run(b.engine, a.plan, &opt, 0, &run, err);
        rc = rc ? rc : ba_run_check(run, err);
        status = rc ? ba_engine_exit(rc, err) : report(&c, &b, a.plan, ba_run_logits(run), k);
    }
    ba_run_free(run);
    ba_asked_free(&a);
    ba_session_close(&b);
    return status;
}
