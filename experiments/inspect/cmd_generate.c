/* blockattn generate: text that follows a prompt, in any mode. */
#include "experiments/cli/ask.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/decode.h"
#include "experiments/cli/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int print_json(const ba_plan *plan, const ba_run_stats *s, const ba_decoded *a, double ttft) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "mode", plan->mode);
    cJSON *ids = cJSON_AddArrayToObject(o, "ids");
    for (size_t i = 0; i < a->n; i++) {
        cJSON_AddItemToArray(ids, cJSON_CreateNumber(a->ids[i]));
    }
    ba_json_add_bytes(o, "text", a->text, a->len);
    cJSON_AddStringToObject(o, "stop", a->stop);
    cJSON_AddNumberToObject(o, "n_prompt", (double)s->n_prompt);
    cJSON_AddNumberToObject(o, "n_computed", (double)s->n_computed);
    cJSON_AddNumberToObject(o, "n_reused", (double)s->n_reused);
    cJSON_AddNumberToObject(o, "ttft_s", ttft);
    cJSON *stages = cJSON_AddObjectToObject(o, "stages");
    for (ba_stage i = 0; i < BA_STAGE_COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s_s", ba_stage_name(i));
        cJSON_AddNumberToObject(stages, name, s->stage[i]);
    }
    cJSON *lookups = cJSON_AddObjectToObject(o, "lookups");
    for (ba_lookup why = 0; why < BA_LOOKUP_COUNT; why++) {
        size_t n = 0;
        for (size_t i = 0; i < s->n_lookup; i++) {
            n += s->lookup[i].found.why == why;
        }
        if (n) {
            cJSON_AddNumberToObject(lookups, ba_lookup_name(why), (double)n);
        }
    }
    return ba_json_print(o);
}

typedef struct options {
    const char *request, *message, *max_tokens, *stop, *temperature, *executor, *memory;
    uint64_t n;
    double heat;
} options;

static int check(options *w) {
    char err[BA_ERR_LEN], *end;
    if (ba_parse_size(w->max_tokens, &w->n, err) || w->n == 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "--max-tokens %s: a number from 1 on is needed", w->max_tokens);
    }
    w->heat = strtod(w->temperature, &end);
    if (*end || end == w->temperature || !(w->heat >= 0 && w->heat <= 100)) {
        return ba_cli_fail(BA_EXIT_USAGE, "--temperature %s: a number from 0 (greedy) to 100 is needed",
                           w->temperature);
    }
    if (w->stop && !*w->stop) {
        return ba_cli_fail(BA_EXIT_USAGE, "--stop: the text is empty");
    }
    return 0;
}

static int run_one(const ba_common *c, const ba_session *b, const options *w, const ba_engine_options *opt) {
    ba_asked a;
    ba_run *run = NULL;
    ba_decoded out = {0};
    char err[BA_ERR_LEN];
    int status = ba_ask(b, w->request, w->message, &a);
    if (!status) {
        status = ba_ask_mode(&a, c->mode);
    }
    if (!status) {
        bool json = c->format == BA_FORMAT_JSON;
        int rc = ba_engine_run(b->engine, a.plan, opt, w->n, &run, err);
        double ttft = a.tokenize_s;
        if (!rc) {
            ba_run_logits(run);
            for (ba_stage i = 0; i < BA_STAGE_COUNT; i++) {
                ttft += ba_run_get_stats(run)->stage[i];
            }
            const char *const stop[] = {w->stop, NULL};
            ba_decode_options how = {.max_tokens = w->n,
                                     .temperature = w->heat,
                                     .seed = c->seed,
                                     .stop = stop,
                                     .live = json ? NULL : stdout};
            rc = ba_decode(b->engine, b->tok, run, &how, &out, err);
        }
        status = ba_engine_exit(rc, err);
        if (!status && json) {
            ba_run_stats stats = *ba_run_get_stats(run);
            stats.stage[BA_STAGE_TOKENIZE] = a.tokenize_s;
            status = print_json(a.plan, &stats, &out, ttft);
        } else if (!status && !c->quiet) {
            const ba_run_stats *s = ba_run_get_stats(run);
            fprintf(stderr,
                    "%s: %zu prompt tokens (%zu computed, %zu reused), first token after %.3f s, %zu tokens, %s\n",
                    a.plan->mode, s->n_prompt, s->n_computed, s->n_reused, ttft, out.n, out.stop);
            if (a.unworded) {
                fprintf(stderr,
                        "%s: the blocks were taken as they are, without the model's chat template; a request of "
                        "\"messages\", or \"question\" and \"documents\", applies it\n",
                        program_invocation_short_name);
            }
        }
    }
    ba_run_free(run);
    ba_asked_free(&a);
    ba_decoded_free(&out);
    return status;
}

int ba_cmd_generate(int argc, char **argv) {
    options w = {.max_tokens = "200", .temperature = "0"};
    const ba_option own[] = {
        {"request", "FILE", "request JSON, - for standard input", &w.request, NULL},
        {"message", "FILE", "instead: plain text, cut into blocks as the paper does; the last is the question",
         &w.message, NULL},
        {"max-tokens", "N", "at most so many tokens (200)", &w.max_tokens, NULL},
        {"stop", "TEXT", "end before this text", &w.stop, NULL},
        {"temperature", "T", "0 is greedy (default)", &w.temperature, NULL},
        {"executor", "place|merge", "keys where they lie (default), or concatenated and rotated", &w.executor, NULL},
        {"memory", "SIZE", "refuse a prompt that needs more for KV and work space (free memory)", &w.memory, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    ba_session b;
    ba_engine_options opt;
    int first,
        status = ba_cli_parse(argc, argv, "--request FILE [--mode MODE] [--max-tokens N] [--stop TEXT]",
                              "Text that follows a request: greedy, or sampled with --temperature.", own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'; a request is given by --request", argv[first]);
    }
    ba_catch_interrupt();
    if ((status = check(&w)) || (status = ba_run_options(w.executor, w.memory, &opt)) ||
        (status = ba_session_open(&c, &b))) {
        return status;
    }
    status = run_one(&c, &b, &w, &opt);
    ba_session_close(&b);
    return status;
}
