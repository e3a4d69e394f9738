/* blockattn generate: text that follows a prompt, in any mode. */
#include "experiments/cli/ask.h"
#include "experiments/cli/decode.h"
#include "experiments/cli/json.h"
#include "experiments/options/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    const char *stop;
    uint64_t max_tokens;
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
    const ba_engine_options engine_opt = ba_run_options(c);
    const char *const stop[] = {opt->stop, NULL};
    char err[BA_ERR_LEN];
    int rc = ba_engine_run(b->engine, a->asked.plan, &engine_opt, opt->max_tokens, &a->run, err);
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

static int report(const ba_common *c, const answer *a) {
    ba_run_stats s = *ba_run_get_stats(a->run);
    const char *mode = a->asked.plan->mode;
    if (c->format == BA_FORMAT_JSON) {
        s.stage[BA_STAGE_TOKENIZE] = a->asked.tokenize_s;
        return print_json(a->asked.plan, &s, &a->text, a->ttft);
    }
    if (!c->quiet) {
        fprintf(stderr, "%s: %zu prompt tokens (%zu computed, %zu reused), first token after %.3f s, %zu tokens, %s\n",
                mode, s.n_prompt, s.n_computed, s.n_reused, a->ttft, a->text.n, a->text.stop);
    }
    if (!c->quiet && a->asked.unworded) {
        fprintf(
            stderr,
            "%s: the blocks were taken as they are, without the model's chat template; a request of \"messages\", or "
            "\"question\" and \"documents\", applies it\n",
            program_invocation_short_name);
    }
    return BA_EXIT_OK;
}

static int answer_request(const ba_call *call, const ba_session *b, answer *a) {
    int status;
    if ((status = ba_ask(call->common, b, &a->asked)) || (status = ba_ask_mode(&a->asked, call->common->mode)) ||
        (status = generate(call, b, a))) {
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
    {"stop", "TEXT", BA_TEXT, AT(stop), .help = "end before this text"},
    {"temperature", "T", BA_REAL, AT(temperature), .standard = "0", .most = 100, .help = "of sampling; 0 is greedy"},
    {.name = NULL}};

const ba_command ba_command_generate = {
    .name = "generate",
    .summary = "text that follows a request",
    .usage = "--request FILE [--mode MODE] [--max-tokens N] [--stop TEXT]",
    .about = "Text that follows a request: greedy, or sampled with --temperature.",
    .example = "echo '{\"blocks\": [\"Bern is a city. \", \"Where is Bern?\"]}' | blockattn generate --request -",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_MODE | BA_TAKES_SEED | BA_TAKES_REQUEST | BA_TAKES_CHAT | BA_TAKES_EXECUTOR |
             BA_TAKES_MEMORY | BA_TAKES_JSON,
    .mode = "full",
    .hint = "a request is given by --request",
    .run = run,
};
