/* blockattn replay: real question sets in their order, and what recurs in them. */
#include "experiments/cli/announce.h"
#include "experiments/cli/ask.h"
#include "experiments/cli/rows.h"
#include "experiments/cli/tracing.h"
#include "experiments/data/rag.h"
#include "experiments/measure/costing.h"
#include "experiments/measure/stats.h"
#include "experiments/options/options.h"
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "blockattn/replay/2"

enum { MAX_SETS = 64 };

typedef struct options {
    const char *data;
    uint64_t limit, measure;
} options;

typedef struct record {
    const char *set;
    ba_replay_row r;
} record;

typedef struct summary {
    const char *set;
    uint64_t items, passages, recurring, tokens, measured;
    uint64_t block_computed, prefix_computed, full_computed;
    double block_flops, prefix_flops, full_flops;
    double block_p50, prefix_p50, full_p50;                      /* of what was measured, seconds */
    double block_estimate_s, prefix_estimate_s, full_estimate_s; /* of all items together */
} summary;

#define ROW(member, type, unit) BA_COLUMN_AS(#member, record, r.member, type, unit)
#define SUM(member, type, unit) BA_COLUMN(summary, member, type, unit)

static const ba_column row_columns[] = {BA_COLUMN(record, set, BA_COLUMN_STRING, ""),
                                        BA_COLUMN_AS("index", record, r.item, BA_COLUMN_U64, ""),
                                        ROW(tokens, BA_COLUMN_U64, ""),
                                        ROW(passages, BA_COLUMN_U64, ""),
                                        ROW(recurring, BA_COLUMN_U64, ""),
                                        ROW(common_prefix, BA_COLUMN_U64, ""),
                                        ROW(block_computed, BA_COLUMN_U64, ""),
                                        ROW(prefix_computed, BA_COLUMN_U64, ""),
                                        ROW(full_computed, BA_COLUMN_U64, ""),
                                        ROW(block_flops, BA_COLUMN_U64, "FLOP"),
                                        ROW(prefix_flops, BA_COLUMN_U64, "FLOP"),
                                        ROW(full_flops, BA_COLUMN_U64, "FLOP"),
                                        ROW(block_s, BA_COLUMN_F64, "s"),
                                        ROW(prefix_s, BA_COLUMN_F64, "s"),
                                        ROW(full_s, BA_COLUMN_F64, "s"),
                                        ROW(block_cpu_s, BA_COLUMN_F64, "s"),
                                        ROW(prefix_cpu_s, BA_COLUMN_F64, "s"),
                                        ROW(full_cpu_s, BA_COLUMN_F64, "s"),
                                        ROW(block_estimate_s, BA_COLUMN_F64, "s"),
                                        ROW(prefix_estimate_s, BA_COLUMN_F64, "s"),
                                        ROW(full_estimate_s, BA_COLUMN_F64, "s"),
                                        BA_COLUMNS_END};
static const ba_column summary_columns[] = {SUM(set, BA_COLUMN_STRING, ""),
                                            SUM(items, BA_COLUMN_U64, ""),
                                            SUM(passages, BA_COLUMN_U64, ""),
                                            SUM(recurring, BA_COLUMN_U64, ""),
                                            SUM(tokens, BA_COLUMN_U64, ""),
                                            SUM(measured, BA_COLUMN_U64, ""),
                                            SUM(block_computed, BA_COLUMN_U64, ""),
                                            SUM(prefix_computed, BA_COLUMN_U64, ""),
                                            SUM(full_computed, BA_COLUMN_U64, ""),
                                            SUM(block_flops, BA_COLUMN_F64, "FLOP"),
                                            SUM(prefix_flops, BA_COLUMN_F64, "FLOP"),
                                            SUM(full_flops, BA_COLUMN_F64, "FLOP"),
                                            SUM(block_p50, BA_COLUMN_F64, "s"),
                                            SUM(prefix_p50, BA_COLUMN_F64, "s"),
                                            SUM(full_p50, BA_COLUMN_F64, "s"),
                                            SUM(block_estimate_s, BA_COLUMN_F64, "s"),
                                            SUM(prefix_estimate_s, BA_COLUMN_F64, "s"),
                                            SUM(full_estimate_s, BA_COLUMN_F64, "s"),
                                            BA_COLUMNS_END};

static const ba_table tables[] = {{"items", row_columns, sizeof(record), "one question, in the order of its set"},
                                  {"summary", summary_columns, sizeof(summary), "a set of questions: sums and medians"},
                                  {.name = NULL}};

static int no_memory(void) {
    return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
}

/* --- one set ---------------------------------------------------------------------------------------------------- */

/* FLOPs per processor second of what was measured. */
static double rate(const record *row, size_t n, size_t seconds, size_t flops) {
    double time = 0, work = 0;
    for (size_t i = 0; i < n; i++) {
        double s;
        uint64_t f;
        memcpy(&s, (const char *)&row[i].r + seconds, sizeof s);
        memcpy(&f, (const char *)&row[i].r + flops, sizeof f);
        if (isfinite(s)) {
            time += s;
            work += (double)f;
        }
    }
    return work / time; /* 0 / 0 is NaN: nothing was measured */
}

#define RATE(rows, n, kind) rate(rows, n, offsetof(ba_replay_row, kind##_cpu_s), offsetof(ba_replay_row, kind##_flops))

static void estimate(record *row, size_t n, double threads) {
    double block = threads * RATE(row, n, block), prefix = threads * RATE(row, n, prefix),
           full = threads * RATE(row, n, full);
    for (size_t i = 0; i < n; i++) {
        row[i].r.block_estimate_s = (double)row[i].r.block_flops / block;
        row[i].r.prefix_estimate_s = (double)row[i].r.prefix_flops / prefix;
        row[i].r.full_estimate_s = (double)row[i].r.full_flops / full;
    }
}

static int median(const record *row, size_t n, size_t member, double *out) {
    double *x = malloc((n + 1) * sizeof *x);
    size_t used = 0;
    for (size_t i = 0; x && i < n; i++) {
        memcpy(&x[used], (const char *)&row[i].r + member, sizeof *x);
        used += isfinite(x[used]) != 0;
    }
    *out = x ? ba_quantile(x, used, 0.5) : NAN;
    free(x);
    return x ? 0 : -1;
}

static int summarise(const record *row, size_t n, summary *out) {
    *out = (summary){.set = n ? row[0].set : "", .items = n};
    for (size_t i = 0; i < n; i++) {
        const ba_replay_row *r = &row[i].r;
        out->passages += r->passages;
        out->recurring += r->recurring;
        out->tokens += r->tokens;
        out->measured += isfinite(r->full_s) != 0;
        out->block_computed += r->block_computed;
        out->prefix_computed += r->prefix_computed;
        out->full_computed += r->full_computed;
        out->block_flops += (double)r->block_flops;
        out->prefix_flops += (double)r->prefix_flops;
        out->full_flops += (double)r->full_flops;
        out->block_estimate_s += r->block_estimate_s;
        out->prefix_estimate_s += r->prefix_estimate_s;
        out->full_estimate_s += r->full_estimate_s;
    }
    return median(row, n, offsetof(ba_replay_row, block_s), &out->block_p50) ||
                   median(row, n, offsetof(ba_replay_row, prefix_s), &out->prefix_p50) ||
                   median(row, n, offsetof(ba_replay_row, full_s), &out->full_p50)
               ? -1
               : 0;
}

typedef struct session {
    const ba_common *common;
    const options *opt;
    char *list, *set[MAX_SETS]; /* paths of --data; list owns the text */
    size_t n_set;
    ba_session b; /* only model and tokenizer if nothing is measured */
    ba_sizes sizes;
    ba_engine_options engine_opt;
    uint64_t rng;
    ba_trace *trace;
    size_t rows_table, summary_table;
} session;

/* nq.eval of a path that ends in nq.eval.jsonl.gz; malloc'ed. */
static char *set_name(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *end = strstr(name, ".jsonl");
    return strndup(name, end ? (size_t)(end - name) : strlen(name));
}

/* One item: what it needs is counted, and (run) it is run. 0, or what the engine returned and err. */
static int replay_item(session *s, ba_replay *r, const ba_item *item, bool run, ba_replay_row *row,
                       char err[BA_ERR_LEN]) {
    ba_plan *plan = NULL;
    uint8_t *have = NULL;
    ba_prompt *prompt = NULL;
    int rc = ba_item_prompt(item, s->b.tok, &prompt, err);
    if (rc) {
        return rc;
    }
    rc = ba_replay_next(r, prompt, &plan, &have, row, err);
    if (!rc && run) {
        rc = ba_replay_run(s->b.engine, s->b.store, prompt, plan, have, &s->engine_opt, &s->rng, row, err);
    }
    ba_plan_free(plan);
    free(have);
    ba_prompt_free(prompt);
    return rc ? rc : ba_interrupted() ? BA_INTERRUPTED : 0;
}

/* Whether an item is run: evenly spread, the last among them: by then the store is as warm as it gets. every: 0, none. */
static bool is_run(size_t i, size_t n, uint64_t every) {
    return every && (n - 1 - i) % every == 0;
}

/* Says how much there is to do. The mode encodes each passage once, before or while it is timed; prefix caching computes
 * the prefix before and the rest while it is timed, which together is a full prefill. */
static void announce(const session *s, const ba_items *items, uint64_t every) {
    enum { RUNS = 3 };
    char err[BA_ERR_LEN];
    double flops = 0;
    size_t n = 0;
    if (!every) {
        ba_announce(items->n, "questions are counted, none is run", (double)NAN, false, s->common->quiet);
        return;
    }
    for (size_t i = 0; i < items->n; i++) {
        ba_prompt *prompt = NULL;
        if (is_run(i, items->n, every) && ba_item_prompt(&items->item[i], s->b.tok, &prompt, err) == 0) {
            n++;
            flops += ba_prompt_flops(&s->b, prompt, s->common->mode) + 2 * ba_prompt_flops(&s->b, prompt, "full");
        }
        ba_prompt_free(prompt);
    }
    ba_announce_work(&s->b, s->common, RUNS * n,
                     "cases (measured questions in the mode, by prefix caching and in full)", flops, false);
}

static int replay_items(session *s, const ba_items *items, const char *name, record *row) {
    char err[BA_ERR_LEN];
    ba_replay r;
    ba_progress bar;
    uint64_t every = s->opt->measure ? (items->n + s->opt->measure - 1) / s->opt->measure : 0;
    int rc = ba_replay_begin(&r, ba_model_shape(s->b.model), s->sizes, s->common->mode, err);
    announce(s, items, every);
    ba_progress_start(&bar, name, s->common->quiet);
    for (size_t i = 0; i < items->n && !rc; i++) {
        row[i].set = name;
        rc = replay_item(s, &r, &items->item[i], is_run(i, items->n, every), &row[i].r, err);
        ba_progress_update(&bar, (double)(i + 1) / (double)items->n);
    }
    ba_progress_end(&bar);
    ba_replay_end(&r);
    return ba_engine_exit(rc, err);
}

/* Rows and summary of a set into the trace, if there is one. 0, or an exit status. */
static int record_set(session *s, const record *row, size_t n, const summary *sum) {
    char err[BA_ERR_LEN];
    if (!s->trace) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        int rc = ba_trace_append(s->trace, s->rows_table, &row[i], err);
        if (rc) {
            return ba_tracing_exit(rc, err);
        }
    }
    int rc = ba_trace_append(s->trace, s->summary_table, sum, err);
    return ba_tracing_exit(rc ? rc : ba_trace_commit(s->trace, err), err);
}

/* name belongs to the caller and outlives the summary. */
static int replay_set(session *s, const char *path, const char *name, summary *out) {
    char err[BA_ERR_LEN];
    ba_items items;
    if (ba_items_read(path, s->opt->limit, &items, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    record *row = calloc(items.n, sizeof *row);
    int status = row ? replay_items(s, &items, name, row) : no_memory();
    if (status) {
        goto done;
    }
    estimate(row, items.n, (double)s->common->threads);
    status = summarise(row, items.n, out) ? no_memory() : record_set(s, row, items.n, out);
done:
    free(row);
    ba_items_free(&items);
    return status;
}

/* --- for people ------------------------------------------------------------------------------------------------- */

static const char *seconds(char out[16], double s) {
    if (isfinite(s)) {
        ba_print_seconds(out, 16, s);
    } else {
        *out = 0;
    }
    return out;
}

static void print_table(const summary *s, size_t n) {
    printf(
        "\n%-24s %6s %9s %9s %9s | %21s | %26s | %26s\n%-24s %6s %9s %9s %9s | %10s %10s | %8s %8s %8s | %8s %8s %8s\n",
        "set", "items", "passages", "recurring", "tokens", "computed of these", "TTFT, median (measured)",
        "all TTFT (estimated, idle)", "", "", "", "", "", "block", "prefix", "block", "prefix", "full", "block",
        "prefix", "full");
    for (; n; n--, s++) {
        char a[16], b[16], c[16], d[16], e[16], f[16];
        double all = (double)s->full_computed;
        printf("%-24s %6" PRIu64 " %9" PRIu64 " %8.1f%% %9" PRIu64 " | %9.1f%% %9.1f%% | %8s %8s %8s | %8s %8s %8s\n",
               s->set, s->items, s->passages, 100 * (double)s->recurring / (double)s->passages, s->tokens,
               100 * (double)s->block_computed / all, 100 * (double)s->prefix_computed / all, seconds(a, s->block_p50),
               seconds(b, s->prefix_p50), seconds(c, s->full_p50), seconds(d, s->block_estimate_s),
               seconds(e, s->prefix_estimate_s), seconds(f, s->full_estimate_s));
    }
}

static int report(session *s, const summary *all, size_t n) {
    char err[BA_ERR_LEN];
    if (s->common->format == BA_FORMAT_TABLE) {
        print_table(all, n);
    } else {
        ba_rows_format format = s->common->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV;
        ba_rows_begin(stdout, format, summary_columns);
        for (size_t i = 0; i < n; i++) {
            ba_rows_print(stdout, format, summary_columns, &all[i], i == 0);
        }
        ba_rows_end(stdout, format);
    }
    int rc = s->trace ? ba_trace_finish(s->trace, err) : 0;
    return ba_tracing_exit(rc, err);
}

/* --- all together ----------------------------------------------------------------------------------------------- */

static int open_session(session *s) {
    char err[BA_ERR_LEN], path[4096];
    if (s->opt->measure) {
        int status = ba_session_open(s->common, &s->b);
        if (!status) {
            s->sizes = (ba_sizes){s->b.be->real_size, s->b.be->weight_size, s->b.be->kv_size};
        }
        return status;
    }
    if (ba_sizes_of(s->common->dtype, 4, &s->sizes, err) || ba_model_path_of(s->common, path, sizeof path, err) ||
        ba_model_open(path, false, &s->b.model, err) || ba_tokenizer_new(ba_model_vocab(s->b.model), &s->b.tok, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    if (!ba_model_shape(s->b.model)->layers) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s: has no shape that can be costed", path);
    }
    return 0;
}

static int begin_trace(session *s, int argc, char **argv) {
    char err[BA_ERR_LEN];
    int status = ba_tracing_begin(s->common, SCHEMA, argc, argv, s->b.be, s->b.model, &s->trace);
    if (status || !s->trace) {
        return status;
    }
    int rc = ba_table_declare_named(s->trace, tables, "items", &s->rows_table, err);
    rc = rc ? rc : ba_table_declare_named(s->trace, tables, "summary", &s->summary_table, err);
    return ba_tracing_exit(rc, err);
}

static int replay_all(session *s, int argc, char **argv) {
    char *name[MAX_SETS] = {0};
    summary *all = calloc(s->n_set, sizeof *all);
    int status = all ? open_session(s) : no_memory();
    status = status ? status : begin_trace(s, argc, argv);
    size_t n = 0;
    for (; n < s->n_set && !status; n++) {
        name[n] = set_name(s->set[n]);
        status = name[n] ? replay_set(s, s->set[n], name[n], &all[n]) : no_memory();
    }
    status = status ? status : report(s, all, n);
    ba_trace_close(s->trace);
    ba_session_close(&s->b);
    for (size_t i = 0; i < MAX_SETS; i++) {
        free(name[i]);
    }
    free(all);
    return status;
}

/* Files of --data. 0, or an exit status. */
static int split_sets(session *s) {
    char *rest = s->list = strdup(s->opt->data);
    if (!rest) {
        return no_memory();
    }
    for (char *path; (path = strsep(&rest, ","));) {
        if (s->n_set == MAX_SETS) {
            return ba_cli_fail(BA_EXIT_USAGE, "--data: more than %d files", MAX_SETS);
        }
        s->set[s->n_set++] = path;
    }
    return 0;
}

static int run(const ba_call *call) {
    const ba_common *c = call->common;
    session s = {.common = c, .opt = call->options, .rng = c->seed, .engine_opt = ba_run_options(c)};
    ba_catch_interrupt();
    int status = split_sets(&s);
    status = status ? status : replay_all(&s, call->argc, call->argv);
    free(s.list);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"data", "FILE[,FILE..]", BA_FILE, AT(data), .needed = true,
     .help = "RAG items, JSON Lines, plain or gzipped; each file with a store of its own"},
    {"limit", "N", BA_COUNT, AT(limit), .standard = "0", .help = "the first N items of a file; 0 is all"},
    {"measure", "N", BA_COUNT, AT(measure), .standard = "0",
     .help = "run about N items of a file, evenly spread; the others are counted without running"},
    {.name = NULL}};

const ba_command ba_command_replay = {
    .name = "replay",
    .summary = "real questions in order: what recurs, and what a store saves",
    .usage = "--data FILE[,FILE..] [--measure N]",
    .about =
        "Replays questions in their order: how many passages recur, and what is computed by full prefill, by prefix "
        "caching (any earlier request, in steps of 16 tokens) and in block mode with a store that keeps "
        "everything. Runs the model only with --measure.",
    .example = "blockattn replay --data nq.eval.jsonl.gz,2wiki.eval.jsonl --measure 12 --out replay.h5",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_CHAT | BA_TAKES_ENGINE | BA_TAKES_MODE | BA_TAKES_SEED | BA_TAKES_MEMORY | BA_TAKES_OUT |
             BA_TAKES_JSON | BA_TAKES_CSV,
    .mode = "block",
    .tables = tables,
    .hint = "questions are given by --data",
    .run = run,
};
