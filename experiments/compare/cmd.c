/* blockattn compare: one request in several modes, side by side. */
#include "compare.h"
#include "experiments/data/prompts.h"
#include "experiments/options/options.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *answer;
    size_t max_tokens, repeat;
} options;

/* One row a mode, full attention first, each mode once. NULL: out of memory. */
static ba_compared *make_rows(char *const *mode, size_t n_mode, size_t *n) {
    ba_compared *row = calloc(n_mode + 1, sizeof *row);
    *n = 0;
    if (!row) {
        return NULL;
    }
    row[(*n)++].spelling = "full";
    for (size_t i = 0; i < n_mode; i++) {
        size_t k = 0;
        while (k < *n && strcmp(row[k].spelling, mode[i]) != 0) {
            k++;
        }
        row[k].spelling = mode[i];
        *n += k == *n;
    }
    return row;
}

static int report(const ba_call *call, const ba_session *b, const ba_compared *row, size_t n, size_t n_answer,
                  const ba_compare_options *opt) {
    return call->common->format == BA_FORMAT_JSON ? ba_compare_json(row, n, n_answer)
                                                  : ba_compare_print(b, call->common, row, n, n_answer, opt);
}

/* Asks, measures, prints. What was timed before an interruption is printed too. */
static int compare(const ba_call *call, const ba_session *b, ba_compared *row, size_t n) {
    const options *o = call->options;
    const ba_compare_options opt = {.max_tokens = o->max_tokens,
                                    .repeat = o->repeat,
                                    .seed = call->common->seed,
                                    .quiet = call->common->quiet,
                                    .engine = ba_run_options(call->common)};
    char err[BA_ERR_LEN];
    ba_asked asked;
    int32_t *answer = NULL;
    size_t n_answer = 0;
    int status = ba_ask(call->common, b, &asked);
    const char *text = o->answer ? o->answer : asked.answer;
    if (!status && text && !b->tok) {
        status = ba_cli_fail(BA_EXIT_USAGE, "--answer: the model has no vocabulary");
    } else if (!status && text && ba_answer_ids(text, b->tok, &answer, &n_answer, err)) {
        status = ba_cli_fail(strstr(err, "out of memory") ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err);
    }
    if (!status) {
        status = ba_compare_modes(b, &asked, answer, n_answer, &opt, row, n);
        if (!status || (status == BA_EXIT_INTERRUPTED && row[0].again.n)) {
            ba_asked_remark(call->common, &asked);
            int printed = report(call, b, row, n, n_answer, &opt);
            status = status ? status : printed;
        }
    }
    free(answer);
    ba_asked_free(&asked);
    return status;
}

static int run(const ba_call *call) {
    ba_session b;
    size_t n_mode, n = 0;
    ba_catch_interrupt();
    int status = ba_session_open(call->common, &b);
    if (status) {
        return status;
    }
    ba_store_use_tiers(b.store, false); /* a new prompt starts with an empty store, also after earlier runs */
    char **mode = ba_modes_split(call->common->mode, &n_mode);
    ba_compared *row = mode ? make_rows(mode, n_mode, &n) : NULL;
    status = row ? compare(call, &b, row, n) : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    ba_compared_free(row, n);
    free(row);
    ba_modes_free(mode);
    ba_session_close(&b);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"answer", "TEXT", BA_TEXT, AT(answer),
     .help = "how likely is this answer in each mode; default: the first of the request's \"answers\""},
    {"max-tokens", "N", BA_COUNT, AT(max_tokens), .standard = "48", .least = 1, .most = 1 << 20,
     .help = "tokens of an answer at most"},
    {"repeat", "N", BA_COUNT, AT(repeat), .standard = "5", .least = 1, .most = 1 << 20,
     .help = "timed first tokens of each mode, in random order"},
    {.name = NULL}};

const ba_command ba_command_compare = {
    .name = "compare",
    .summary = "one request in several modes, side by side",
    .usage = "--question TEXT --documents FILE [--mode LIST] [--answer TEXT]",
    .about = "One request in several modes beside full attention: the text with its differences, KL and the likeliest "
             "first token, the NLL of a given answer, the time to the first token with its spread, FLOPs, bytes, what "
             "was reused and why the rest was not. KL is from full attention's distribution of the first token to the "
             "mode's. Times are medians with their median absolute deviation: for a prompt whose passages are in "
             "memory, and for a new one. charged is the share of the reusable tokens that was computed again. A mode "
             "that cannot run on the request has - for figures, and the reason.",
    .example = "blockattn compare --question \"Which river flows through Bern?\" --documents documents.txt\n"
               "blockattn compare --request item.json --mode block,lego:k=8,cacheblend --answer \"The Aare.\" --json",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_SHAPE | BA_TAKES_MODES | BA_TAKES_SEED | BA_TAKES_REQUEST | BA_TAKES_CHAT |
             BA_TAKES_EXECUTOR | BA_TAKES_MEMORY | BA_TAKES_JSON,
    .mode = "full,block,lego,cacheblend,pcw",
    .hint = "a request is given by --request",
    .run = run,
};
