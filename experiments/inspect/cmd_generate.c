/* blockattn generate: text that follows a prompt, in any mode. */
#include "experiments/cli/ask.h"
#include "experiments/cli/decode.h"
#include "experiments/cli/json.h"
#include "experiments/measure/stats.h"
#include "experiments/measure/workload.h"
#include "experiments/options/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Seconds from one token to the next, the first of them left out: it also warms up. Sorts them. */
static ba_stats pace_of(ba_decoded *a) {
    return a->n > 2 ? ba_stats_of(a->token_s + 1, a->n - 2) : (ba_stats){.n = 0};
}

static int print_json(const ba_plan *plan, const ba_run_stats *s, const ba_decoded *a, double ttft, ba_stats pace) {
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
    if (pace.n) {
        cJSON_AddNumberToObject(o, "token_s_median", pace.median);
        cJSON_AddNumberToObject(o, "token_s_mad", pace.mad);
    }
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
    const char *stop;
    uint64_t max_tokens, length;
    double temperature;
} options;

/* What came of one request. */
typedef struct answer {
    ba_asked asked;
    ba_run *run;
    ba_decoded text;
    double ttft;
} answer;

static double stages_of(const ba_run *run) {
    double sum = 0;
    for (ba_stage i = 0; i < BA_STAGE_COUNT; i++) {
        sum += ba_run_get_stats(run)->stage[i];
    }
    return sum;
}

/* 0, or an exit status. */
static int generate(const ba_call *call, const ba_session *b, answer *a) {
    const options *opt = call->options;
    const ba_common *c = call->common;
    ba_engine_options engine_opt = ba_run_options(c);
    ba_progress bar;
    const char *const stop[] = {opt->stop, NULL};
    char err[BA_ERR_LEN];
    engine_opt.progress = ba_progress_run;
    engine_opt.arg = &bar;
    ba_progress_start(&bar, "prefill", c->quiet);
    ba_progress_part(&bar, 0, 1, 1);
    int rc = ba_engine_run(b->engine, a->asked.plan, &engine_opt, opt->max_tokens, &a->run, err);
    ba_progress_end(&bar);
    if (rc) {
        return ba_engine_exit(rc, err);
    }
    ba_run_logits(a->run);
    a->ttft = a->asked.tokenize_s + stages_of(a->run);
    const ba_decode_options how = {.max_tokens = opt->max_tokens,
                                   .temperature = opt->temperature,
                                   .seed = c->seed,
                                   .stop = stop,
                                   .live = c->format == BA_FORMAT_JSON ? NULL : stdout};
    return ba_engine_exit(ba_decode(b->engine, b->tok, a->run, &how, &a->text, err), err);
}

static int report(const ba_common *c, answer *a) {
    ba_run_stats s = *ba_run_get_stats(a->run);
    ba_stats pace = pace_of(&a->text);
    const char *mode = a->asked.plan->mode;
    if (c->format == BA_FORMAT_JSON) {
        s.stage[BA_STAGE_TOKENIZE] = a->asked.tokenize_s;
        return print_json(a->asked.plan, &s, &a->text, a->ttft, pace);
    }
    if (!c->quiet) {
        fprintf(stderr, "%s: %zu prompt tokens (%zu computed, %zu reused), first token after %.3f s, %zu tokens, %s\n",
                mode, s.n_prompt, s.n_computed, s.n_reused, a->ttft, a->text.n, a->text.stop);
    }
    if (!c->quiet && pace.n) {
        fprintf(stderr, "%.3f ms a token (median of %zu, MAD %.3f ms)\n", 1e3 * pace.median, pace.n, 1e3 * pace.mad);
    }
    ba_asked_remark(c, &a->asked);
    return BA_EXIT_OK;
}

/* A made-up prompt: passages of 128 tokens, and a question of 50. */
static int make_up(const ba_common *c, const ba_session *b, uint64_t length, ba_asked *out) {
    enum { QUESTION = 50, BLOCK = 128 };
    char err[BA_ERR_LEN];
    ba_workload work;
    const ba_workload_spec spec = {length,  length < QUESTION ? length : QUESTION, BLOCK, NULL, 0,
                                   c->seed, ba_engine_shape(b->engine)->vocab};
    if (ba_workload_new(b->tok, &spec, &work, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    out->prompt = ba_workload_prompt(b->tok, &work, err);
    ba_workload_free(&work);
    return out->prompt ? 0 : ba_cli_fail(BA_EXIT_USAGE, "%s", err);
}

static int answer_request(const ba_call *call, const ba_session *b, answer *a) {
    const options *opt = call->options;
    int status;
    if ((status =
             opt->length ? make_up(call->common, b, opt->length, &a->asked) : ba_ask(call->common, b, &a->asked)) ||
        (status = ba_ask_mode(&a->asked, call->common->mode)) || (status = generate(call, b, a))) {
        return status;
    }
    return report(call->common, a);
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    ba_session b;
    answer a = {.run = NULL};
    if (opt->stop && !*opt->stop) {
        return ba_cli_fail(BA_EXIT_USAGE, "--stop: the text is empty");
    }
    ba_catch_interrupt();
    int status = ba_session_open(call->common, &b);
    if (status) {
        return status;
    }
    status = answer_request(call, &b, &a);
    ba_run_free(a.run);
    ba_asked_free(&a.asked);
    ba_decoded_free(&a.text);
    ba_session_close(&b);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"max-tokens", "N", BA_COUNT, AT(max_tokens), .standard = "200", .least = 1, .help = "tokens at most"},
    {"length", "N", BA_COUNT, AT(length), .most = 1 << 24, .against = "request,message,question",
     .help = "instead of a request: a made-up prompt of N tokens"},
    {"stop", "TEXT", BA_TEXT, AT(stop), .help = "end before this text"},
    {"temperature", "T", BA_REAL, AT(temperature), .standard = "0", .most = 100, .help = "of sampling; 0 is greedy"},
    {.name = NULL}};

const ba_command ba_command_generate = {
    .name = "generate",
    .summary = "text that follows a request",
    .usage = "--request FILE | --length N [--mode MODE] [--max-tokens N] [--stop TEXT]",
    .about = "Text that follows a request: greedy, or sampled with --temperature.",
    .example = "echo '{\"blocks\": [\"Bern is a city. \", \"Where is Bern?\"]}' | blockattn generate --request -",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_SHAPE | BA_TAKES_MODE | BA_TAKES_SEED | BA_TAKES_REQUEST | BA_TAKES_CHAT |
             BA_TAKES_EXECUTOR | BA_TAKES_MEMORY | BA_TAKES_JSON,
    .mode = "full",
    .hint = "a request is given by --request",
    .run = run,
};
