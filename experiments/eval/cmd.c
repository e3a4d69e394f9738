/* blockattn eval: accuracy and NLL of modes on tasks (Tables 1 and 2). */
#include "dump.h"
#include "experiments/cli/ask.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/rows.h"
#include "experiments/cli/tracing.h"
#include "outputs.h"
#include "print.h"
#include "trace.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *task, *data, *limit, *skip, *every, *metric, *dump, *order, *prompts, *label, *outputs, *passages,
        *words, *memory, *remark;
    bool strict, resume;
    uint64_t n_limit, n_skip, n_every, n_passages, n_words;
} options;

/* Everything of one call. */
typedef struct session {
    const ba_common *c;
    const ba_session *b;
    const options *w;
    ba_task_source source;
    ba_engine_options engine;
    ba_eval_options eval;
    char (*mode)[64]; /* [n_mode] canonical */
    size_t n_mode;
    ba_eval_rows rows;
    ba_eval_trace *trace;
    ba_dump *dump;
} session;

static const char *default_folder(void) {
    const char *folder = getenv("BLOCKATTN_DATA");
    return folder && *folder ? folder : "../shared/data";
}

static void report(void *arg, const char *line) {
    const session *s = arg;
    if (!s->c->quiet) {
        fprintf(stderr, "%s: passed over\n", line);
    }
}

/* Keeps a row: in memory, in the trace, on standard output. */
static int keep(session *s, const ba_eval_row *row, bool fresh) {
    char err[BA_ERR_LEN];
    int status = s->c->format == BA_FORMAT_JSON ? ba_eval_print_row(row) : 0;
    if (!status && fresh && s->trace) {
        status = ba_tracing_exit(ba_eval_trace_add(s->trace, row, err), err);
    }
    return status;
}

/* One item in all modes that the trace has not got yet. */
static int eval_item(session *s, const ba_task *task, const char *name, const ba_task_items *items, size_t i) {
    char err[BA_ERR_LEN];
    for (size_t m = 0; m < s->n_mode; m++) {
        if (ba_interrupted()) { /* also where nothing is run: rows that the trace has already */
            return BA_EXIT_INTERRUPTED;
        }
        ba_eval_row row = {.index = i, .hash = items->item[i].hash};
        snprintf(row.label, sizeof row.label, "%s", s->w->label);
        snprintf(row.task, sizeof row.task, "%s", name);
        snprintf(row.mode, sizeof row.mode, "%s", s->mode[m]);
        const ba_eval_row *known = ba_eval_rows_find(&s->rows, &row);
        if (known && known->hash != row.hash) {
            return ba_cli_fail(BA_EXIT_USAGE,
                               "%s: item %zu of task %s was made from other data or wording; leave out --resume",
                               s->c->out, i, name);
        }
        int status;
        if (known) {
            status = keep(s, known, false);
        } else {
            status = ba_engine_exit(ba_eval_item(s->b, task, &items->item[i], s->mode[m], &s->eval, &row, err), err);
            if (!status) {
                status = ba_eval_rows_add(&s->rows, &row) ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory")
                                                          : keep(s, &s->rows.row[s->rows.n - 1], true);
            }
        }
        if (status) {
            return status;
        }
    }
    return 0;
}

static void remark(const session *s, const char *name, const ba_task_items *items) {
    size_t odd = 0;
    for (size_t i = 0; i < items->n; i++) {
        odd += items->item[i].note != NULL;
    }
    if (!s->c->quiet && items->n_bad) {
        fprintf(stderr, "%s: %zu malformed lines passed over (--strict stops at the first)\n", name, items->n_bad);
    }
    if (!s->c->quiet && odd) {
        fprintf(stderr, "%s: %zu of %zu items: no answer is in the documents\n", name, odd, items->n);
    }
}

static int eval_task(session *s, const char *name) {
    char err[BA_ERR_LEN];
    const ba_task *task;
    ba_task_items items;
    if (ba_task_read(name, &s->source, &task, &items, err)) {
        return ba_cli_fail(strcmp(err, "out of memory") ? BA_EXIT_USAGE : BA_EXIT_MACHINE, "%s", err);
    }
    if (s->w->n_skip >= items.n) {
        ba_task_items_free(&items);
        return ba_cli_fail(BA_EXIT_USAGE, "--skip %s: task %s has %zu items", s->w->skip, name, items.n);
    }
    const char *slash = strrchr(name, '/'), *shown = ba_task_by_name(name) || !slash ? name : slash + 1;
    remark(s, shown, &items);
    ba_progress bar;
    int status = 0;
    ba_progress_start(&bar, shown, s->c->quiet);
    for (size_t i = s->w->n_skip; !status && i < items.n; i += s->w->n_every) {
        status = s->dump && ba_dump_item(s->dump, shown, &items.item[i], s->b->tok, err)
                     ? ba_cli_fail(BA_EXIT_MACHINE, "%s", err)
                     : eval_item(s, task, shown, &items, i);
        ba_progress_update(&bar, (double)(i + 1) / (double)items.n);
    }
    ba_progress_end(&bar);
    for (size_t m = 0; !status && s->w->outputs && m < s->n_mode; m++) {
        if (ba_eval_outputs(s->w->outputs, task, &items, &s->rows, s->w->label, shown, s->mode[m], err)) {
            status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
    }
    ba_task_items_free(&items);
    return status;
}

/* Tasks of a list; a mode's spelling never occurs in one. */
static int eval_tasks(session *s) {
    char *list = strdup(s->w->task), *rest = list, *name;
    int status = list ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    while (!status && (name = strsep(&rest, ","))) {
        status = eval_task(s, name);
    }
    free(list);
    return status;
}

/* What there is when all is done, or when it was interrupted. */
static int finish(session *s, bool whole) {
    char err[BA_ERR_LEN];
    size_t n = 0;
    ba_eval_summary *summary = ba_eval_summarise(&s->rows, &n);
    if (!summary) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int status = 0;
    if (s->trace) {
        status = ba_tracing_exit(ba_eval_trace_finish(s->trace, summary, n, whole, err), err);
    }
    if (!status && whole && s->dump && ba_dump_finish(s->dump, err)) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    for (size_t i = 0; !status && whole && s->c->format == BA_FORMAT_JSON && i < n; i++) {
        status = ba_eval_print_summary(&summary[i]);
    }
    if (!status && whole && s->c->format == BA_FORMAT_TABLE) {
        ba_eval_print_table(summary, n);
    } else if (!status && whole && s->c->format == BA_FORMAT_CSV) {
        ba_rows_begin(stdout, BA_ROWS_CSV, ba_eval_summary_columns);
        for (size_t i = 0; i < n; i++) {
            ba_rows_print(stdout, BA_ROWS_CSV, ba_eval_summary_columns, &summary[i], i == 0);
        }
        ba_rows_end(stdout, BA_ROWS_CSV);
    }
    free(summary);
    return status;
}

static int run(session *s, int argc, char **argv) {
    char err[BA_ERR_LEN];
    const options *w = s->w;
    ba_prompts *prompts = NULL;
    int status = ba_prompts_open(w->prompts, s->b->tok, &prompts, err) ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
    s->source.prompts = prompts;
    const ba_eval_sitting sitting = {s->c, s->b, w->label, s->eval.generate ? "all" : "nll", w->resume, argc, argv};
    if (!status && s->c->out) {
        status = ba_tracing_exit(ba_eval_trace_begin(&sitting, &s->rows, &s->trace, err), err);
    }
    if (!status && s->trace && w->remark) {
        status = ba_tracing_exit(ba_eval_trace_remark(s->trace, w->remark, err), err);
    }
    if (!status && w->dump && ba_dump_begin(w->dump, &s->dump, err)) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    if (!status) {
        const size_t known = s->rows.n;
        status = eval_tasks(s);
        if (status == 0 || s->rows.n > known) { /* what is finished is kept, whatever ended the rest */
            int end = finish(s, status == 0);
            status = status && status != BA_EXIT_INTERRUPTED ? status : end ? end : status;
        }
    }
    ba_dump_close(s->dump);
    ba_eval_trace_close(s->trace);
    ba_eval_rows_free(&s->rows);
    ba_prompts_close(prompts);
    return status;
}

static int check(const ba_common *c, options *w, session *s) {
    char err[BA_ERR_LEN];
    if (!w->task) {
        return ba_cli_fail(BA_EXIT_USAGE, "--task is missing; --help lists the tasks");
    }
    const struct {
        const char *name, *text;
        uint64_t *value;
    } number[] = {{"limit", w->limit, &w->n_limit},
                  {"skip", w->skip, &w->n_skip},
                  {"every", w->every, &w->n_every},
                  {"passages", w->passages, &w->n_passages},
                  {"words", w->words, &w->n_words}};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        if (ba_parse_size(number[i].text, number[i].value, err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "--%s: %s", number[i].name, err);
        }
    }
    if (!w->n_every || w->n_every > SIZE_MAX / 2) {
        return ba_cli_fail(BA_EXIT_USAGE, "--every %s: it is 1 (all items) or more", w->every);
    }
    if (w->n_passages < 2 || w->n_words < 8 || w->n_passages > 4096 || w->n_words > 4096) {
        return ba_cli_fail(BA_EXIT_USAGE, "--passages needs 2 to 4096, --words 8 to 4096");
    }
    if (w->metric && strcmp(w->metric, "nll") != 0 && strcmp(w->metric, "all") != 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "--metric %s: it is nll (no generation) or all", w->metric);
    }
    bool first = !strcmp(w->order, "best-first");
    if (!first && strcmp(w->order, "best-last") != 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "--order %s: it is best-last (as in the paper) or best-first", w->order);
    }
    if ((w->resume || w->remark) && !c->out) {
        return ba_cli_fail(BA_EXIT_USAGE, "--resume and --remark are about a trace: give --out FILE.h5");
    }
    if (!w->label) {
        const char *slash = c->adapter ? strrchr(c->adapter, '/') : NULL;
        w->label = !c->adapter ? "base" : slash && slash[1] ? slash + 1 : c->adapter;
    }
    if (strchr(w->label, '/')) {
        return ba_cli_fail(BA_EXIT_USAGE, "--label %s: becomes part of file names, so it holds no /", w->label);
    }
    s->source = (ba_task_source){.folder = w->data ? w->data : default_folder(),
                                 .order = first ? BA_BEST_FIRST : BA_BEST_LAST,
                                 .limit = w->n_limit,
                                 .strict = w->strict,
                                 .seed = c->seed,
                                 .passages = w->n_passages,
                                 .words = w->n_words,
                                 .report = report,
                                 .arg = s};
    char **mode = ba_modes_split(c->mode_given ? c->mode : "full,block", &s->n_mode);
    s->mode = mode ? calloc(s->n_mode, sizeof *s->mode) : NULL;
    int status = s->mode ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    for (size_t m = 0; !status && m < s->n_mode; m++) {
        if (ba_mode_check(mode[m], s->mode[m], sizeof s->mode[m], err)) {
            status = ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
    }
    ba_modes_free(mode);
    return status;
}

int ba_cmd_eval(int argc, char **argv) {
    options w = {.limit = "0", .skip = "0", .every = "1", .order = "best-last", .passages = "10", .words = "60"};
    const ba_option own[] = {
        {"task", "T[,T..]", "tasks by name, or files of RAG items (JSON Lines, plain or gzipped)", &w.task, NULL},
        {"data", "DIR", "the data folder; default: $BLOCKATTN_DATA, else ../shared/data", &w.data, NULL},
        {"limit", "N", "the first N items of each task; 0 = all (generated tasks: 100)", &w.limit, NULL},
        {"skip", "K", "pass over the first K of them (0)", &w.skip, NULL},
        {"every", "N", "then take only every N-th (1)", &w.every, NULL},
        {"metric", "nll|all", "nll: only the likelihood of the gold answer, nothing is generated", &w.metric, NULL},
        {"dump", "FILE", "also write each item as ids with its answer's ids, JSON Lines", &w.dump, NULL},
        {"outputs", "DIR", "also write outputs in the official form of each task: DIR/LABEL.TASK.MODE.jsonl",
         &w.outputs, NULL},
        {"label", "TEXT", "name of the model in rows and reports (the adapter's, or base)", &w.label, NULL},
        {"order", "ORDER", "documents best-last (the paper; default) or best-first (its scripts)", &w.order, NULL},
        {"prompts", "FILE", "wording to use instead of the built-in one (experiments/data/prompts.json)", &w.prompts,
         NULL},
        {"passages", "N", "of generated items: passages (10)", &w.passages, NULL},
        {"words", "N", "of generated items: words a passage (60)", &w.words, NULL},
        {"strict", NULL, "stop at the first malformed line", NULL, &w.strict},
        {"resume", NULL, "go on with --out where it stopped", NULL, &w.resume},
        {"remark", "TEXT", "kept in the trace; `report` puts it under its tables", &w.remark, NULL},
        {"memory", "SIZE", "refuse a prompt that needs more for KV and work space (free memory)", &w.memory, NULL},
        {NULL, NULL, NULL, NULL, NULL}};
    ba_common c;
    ba_session b;
    session s = {.c = &c, .b = &b, .w = &w};
    int first, status = ba_cli_parse(
                   argc, argv, "--task T[,T..] [--mode MODE[,MODE..]] [--limit N] [--out FILE.h5 [--resume]]",
                   "Accuracy and NLL of attention modes on tasks, item by item, with intervals. Modes share the store: "
                   "a passage is encoded once.\n"
                   "Examples\n"
                   "  blockattn eval --task nq --mode full,block --limit 20\n"
                   "  blockattn eval --task nq,2wiki,hotpotqa --mode full,block,lego --out results/eval.h5 --resume\n"
                   "  blockattn eval --task my-items.jsonl.gz --metric nll --json",
                   own, &c, &first);
    if (status >= 0) {
        return status;
    }
    if (first < argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "unexpected operand '%s'; tasks are given by --task", argv[first]);
    }
    ba_catch_interrupt();
    if (!(status = check(&c, &w, &s)) && !(status = ba_run_options(NULL, w.memory, &s.engine)) &&
        !(status = ba_session_open(&c, &b))) {
        s.eval = (ba_eval_options){.generate = !w.metric || strcmp(w.metric, "nll") != 0, .engine = &s.engine};
        status = run(&s, argc, argv);
        ba_session_close(&b);
    }
    free(s.mode);
    return status;
}
