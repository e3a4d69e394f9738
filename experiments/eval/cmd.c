/* blockattn eval: accuracy and NLL of modes on tasks (Tables 1 and 2). */
#include "dump.h"
#include "experiments/cli/announce.h"
#include "experiments/cli/ask.h"
#include "experiments/cli/guess.h"
#include "experiments/cli/rows.h"
#include "experiments/cli/tracing.h"
#include "experiments/cli/writer.h"
#include "experiments/options/options.h"
#include "experiments/work/work.h"
#include "outputs.h"
#include "print.h"
#include "trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct options {
    const char *task, *data, *dump, *prompts, *label, *outputs, *remark;
    unsigned metric, order;
    uint64_t limit, skip, every, passages, words, hops, length;
    bool strict;
} options;

enum { METRIC_ALL, METRIC_NLL };

/* The items of a task, kept until the work of all tasks is done. */
typedef struct task_list {
    const ba_task *task;
    char name[64]; /* as rows say it */
    ba_task_items items;
    size_t first; /* in the list of work */
} task_list;

/* Everything of one call. */
typedef struct session {
    const ba_common *c;
    const ba_session *b;
    const options *opt;
    const char *label;
    ba_task_source source;
    ba_engine_options engine;
    ba_eval_options eval;
    char (*mode)[64]; /* [n_mode] canonical */
    size_t n_mode;
    ba_eval_rows rows;
    ba_eval_trace *trace;
    ba_dump *dump;
    ba_work_list work; /* with --shard */
    task_list *part;   /* [n_part] its tasks */
    size_t n_part;
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

/* Prints a row, and (if it is new) records it. */
static int keep(session *s, const ba_eval_row *row, bool fresh) {
    char err[BA_ERR_LEN];
    int status = s->c->format == BA_FORMAT_JSON ? ba_eval_print_row(row) : 0;
    if (status || !fresh || !s->trace) {
        return status;
    }
    return ba_tracing_exit(ba_eval_trace_add(s->trace, row, err), err);
}

/* What names the row of an item in a mode. */
static ba_eval_row name_row(const session *s, const char *task, size_t i, size_t m) {
    ba_eval_row row = {.index = i};
    snprintf(row.label, sizeof row.label, "%s", s->label);
    snprintf(row.task, sizeof row.task, "%s", task);
    snprintf(row.mode, sizeof row.mode, "%s", s->mode[m]);
    return row;
}

/* One item in one mode, unless the trace has it already. */
static int eval_mode(session *s, const ba_task *task, const char *name, const ba_task_item *item, size_t i, size_t m) {
    char err[BA_ERR_LEN];
    ba_eval_row row = name_row(s, name, i, m);
    row.hash = item->hash;
    const ba_eval_row *known = ba_eval_rows_find(&s->rows, &row);
    if (known && known->hash != row.hash) {
        return ba_cli_fail(BA_EXIT_USAGE,
                           "%s: item %zu of task %s was made from other data or wording; leave out --resume", s->c->out,
                           i, name);
    }
    if (known) {
        return keep(s, known, false);
    }
    int status = ba_engine_exit(ba_eval_item(s->b, task, item, s->mode[m], &s->eval, &row, err), err);
    if (status) {
        return status;
    }
    return ba_eval_rows_add(&s->rows, &row) ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory")
                                            : keep(s, &s->rows.row[s->rows.n - 1], true);
}

/* One item in all modes, and in the dump. */
static int eval_item(session *s, const ba_task *task, const char *name, const ba_task_item *item, size_t i) {
    char err[BA_ERR_LEN];
    if (s->dump && ba_dump_item(s->dump, name, item, s->b->tok, err)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    for (size_t m = 0; m < s->n_mode; m++) {
        if (ba_interrupted()) { /* also where nothing is run: rows that the trace has already */
            return BA_EXIT_INTERRUPTED;
        }
        int status = eval_mode(s, task, name, item, i, m);
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

/* Says how much is left to do, from the prompts of some of the items. */
static void announce(const session *s, const char *name, const ba_task_items *items) {
    enum { SAMPLE = 8 };
    size_t left = 0, taken = 0, step = items->n / SAMPLE + 1;
    double flops = 0;
    char err[BA_ERR_LEN];
    for (size_t i = s->opt->skip; i < items->n; i += s->opt->every) {
        for (size_t m = 0; m < s->n_mode; m++) {
            ba_eval_row row = name_row(s, name, i, m);
            left += !ba_eval_rows_find(&s->rows, &row);
        }
    }
    for (size_t i = 0; i < items->n; i += step, taken++) {
        ba_prompt *prompt = ba_parts_prompt(items->item[i].part, items->item[i].n_part, s->b->tok, err);
        for (size_t m = 0; prompt && m < s->n_mode; m++) {
            flops += ba_prompt_flops(s->b, prompt, s->mode[m]);
        }
        ba_prompt_free(prompt);
    }
    ba_announce_work(s->b, s->c, left, "cases (items times modes)", flops / (double)(taken * s->n_mode) * (double)left,
                     s->c->out);
}

/* The items of a task that were asked for. */
static int eval_items(session *s, const ba_task *task, const char *name, const ba_task_items *items) {
    ba_progress bar;
    int status = 0;
    announce(s, name, items);
    s->engine.progress = ba_progress_run;
    s->engine.arg = &bar;
    ba_progress_start(&bar, name, s->c->quiet);
    for (size_t i = s->opt->skip; i < items->n && !status; i += s->opt->every) {
        ba_progress_part(&bar, (double)i / (double)items->n, (double)(i + 1) / (double)items->n, s->n_mode);
        status = eval_item(s, task, name, &items->item[i], i);
    }
    ba_progress_end(&bar);
    s->engine = ba_run_options(s->c); /* the bar is gone */
    return status;
}

/* Outputs in the official form of the task. */
static int write_outputs(const session *s, const ba_task *task, const char *name, const ba_task_items *items) {
    char err[BA_ERR_LEN];
    for (size_t m = 0; s->opt->outputs && m < s->n_mode; m++) {
        if (ba_eval_outputs(s->opt->outputs, task, items, &s->rows, s->label, name, s->mode[m], err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
        }
    }
    return 0;
}

/* A task's items into *out, which the caller frees in either case. 0, or an exit status. */
static int read_task(session *s, const char *name, task_list *out) {
    char err[BA_ERR_LEN];
    *out = (task_list){.task = ba_task_by_name(name)};
    if (s->opt->length && out->task && out->task->make &&
        ba_task_fit(out->task, &s->source, s->b->tok, s->opt->length, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    if (ba_task_read(name, &s->source, &out->task, &out->items, err)) {
        out->items = (ba_task_items){0};
        return ba_cli_fail(strcmp(err, "out of memory") ? BA_EXIT_USAGE : BA_EXIT_MACHINE, "%s", err);
    }
    const char *slash = strrchr(name, '/');
    snprintf(out->name, sizeof out->name, "%s", ba_task_by_name(name) || !slash ? name : slash + 1);
    if (s->opt->skip >= out->items.n) {
        return ba_cli_fail(BA_EXIT_USAGE, "--skip %zu: task %s has %zu items", (size_t)s->opt->skip, name,
                           out->items.n);
    }
    remark(s, out->name, &out->items);
    return 0;
}

static int eval_task(session *s, const char *name) {
    task_list l;
    int status = read_task(s, name, &l);
    status = status ? status : eval_items(s, l.task, l.name, &l.items);
    status = status ? status : write_outputs(s, l.task, l.name, &l.items);
    ba_task_items_free(&l.items);
    return status;
}

/* Calls `each` with the tasks of a list; a mode's spelling never occurs in one. */
static int for_tasks(session *s, int (*each)(session *s, const char *name)) {
    char *list = strdup(s->opt->task), *rest = list, *name;
    int status = list ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    while (!status && (name = strsep(&rest, ","))) {
        status = each(s, name);
    }
    free(list);
    return status;
}

/* The items of a task that were asked for, added to the list of work. */
static int list_task(session *s, const char *name) {
    char err[BA_ERR_LEN];
    const char **mode = calloc(s->n_mode, sizeof *mode);
    task_list *more = realloc(s->part, (s->n_part + 1) * sizeof *more);
    s->part = more ? more : s->part;
    int status = mode && more ? read_task(s, name, &s->part[s->n_part++]) : BA_EXIT_MACHINE;
    if (!mode || !more) {
        free(mode);
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t m = 0; m < s->n_mode; m++) {
        mode[m] = s->mode[m];
    }
    task_list *l = &s->part[s->n_part - 1];
    l->first = s->work.n;
    for (size_t i = s->opt->skip; i < l->items.n && !status; i += s->opt->every) {
        const ba_task_item *item = &l->items.item[i];
        ba_prompt *prompt = ba_parts_prompt(item->part, item->n_part, s->b->tok, err);
        if (!prompt) {
            status = ba_cli_fail(BA_EXIT_USAGE, "task %s, item %zu: %s", l->name, i, err);
        } else if (ba_work_add_prompt(&s->work, s->b, prompt, mode, s->n_mode, l->name, i)) {
            status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        }
        ba_prompt_free(prompt);
    }
    free(mode);
    return status;
}

/* An item of the list of work, and the record that it is finished. */
static int do_item(session *s, size_t at) {
    char err[BA_ERR_LEN];
    size_t p = s->n_part - 1;
    while (at < s->part[p].first) {
        p--;
    }
    const task_list *l = &s->part[p];
    const size_t i = s->work.item[at].index;
    int status = eval_item(s, l->task, l->name, &l->items.item[i], i);
    return status ? status : ba_tracing_exit(ba_eval_trace_done(s->trace, &s->work, at, err), err);
}

/* This process's part of the items of all tasks, which are listed already. */
static int eval_part(session *s) {
    char err[BA_ERR_LEN];
    ba_progress bar;
    size_t at = 0, n = 0;
    int status = 0;
    s->engine.progress = ba_progress_run;
    s->engine.arg = &bar;
    ba_progress_start(&bar, "eval", s->c->quiet);
    const double parts = (double)s->work.n_order / (s->work.shard.ranks ? (double)s->work.shard.count : 1);
    for (; !status; n++) {
        if (ba_work_next(&s->work, &at, err)) {
            status = ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
        }
        if (status || at == SIZE_MAX) {
            break;
        }
        ba_progress_part(&bar, fmin((double)n / parts, 1), fmin((double)(n + 1) / parts, 1), s->n_mode);
        status = do_item(s, at);
    }
    ba_progress_end(&bar);
    s->engine = ba_run_options(s->c);
    return status;
}

static void free_part(session *s) {
    for (size_t i = 0; i < s->n_part; i++) {
        ba_task_items_free(&s->part[i].items);
    }
    free(s->part);
    ba_work_free(&s->work);
}

/* The list of work of a shard, the same in every one. */
static int plan_part(session *s) {
    int status = for_tasks(s, list_task);
    return status || ba_work_plan(&s->work, &s->c->part, s->c->mode) == 0
               ? status
               : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
}

static void print_csv(const ba_eval_summary *summary, size_t n) {
    ba_rows_begin(stdout, BA_ROWS_CSV, ba_eval_summary_columns);
    for (size_t i = 0; i < n; i++) {
        ba_rows_print(stdout, BA_ROWS_CSV, ba_eval_summary_columns, &summary[i], i == 0);
    }
    ba_rows_end(stdout, BA_ROWS_CSV);
}

/* The summaries, in the format that was asked for. */
static int print_summaries(const session *s, const ba_eval_summary *summary, size_t n) {
    const ba_margins margins = ba_margins_of(s->c);
    int status = 0;
    switch (s->c->format) {
    case BA_FORMAT_TABLE:
        ba_eval_print_table(summary, n, &margins);
        return 0;
    case BA_FORMAT_CSV:
        print_csv(summary, n);
        return 0;
    case BA_FORMAT_JSON:
        for (size_t i = 0; !status && i < n; i++) {
            status = ba_eval_print_summary(&summary[i]);
        }
        return status;
    }
    return status;
}

/* At the end, or (not whole) after an interruption. */
static int finish(session *s, bool whole) {
    char err[BA_ERR_LEN];
    size_t n = 0;
    int status = 0;
    const ba_margins margins = ba_margins_of(s->c);
    ba_eval_summary *summary = ba_eval_summarise(&s->rows, &margins, &n);
    if (!summary) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    if (s->trace && (status = ba_tracing_exit(ba_eval_trace_finish(s->trace, summary, n, whole, err), err))) {
        goto done;
    }
    if (!whole) {
        goto done;
    }
    if (s->dump && ba_dump_finish(s->dump, err)) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
        goto done;
    }
    status = print_summaries(s, summary, n);
done:
    free(summary);
    return status;
}

/* Trace and dump. 0, or an exit status. */
static int open_outputs(session *s, int argc, char **argv) {
    char err[BA_ERR_LEN];
    const options *opt = s->opt;
    int status = 0;
    const ba_eval_sitting sitting = {s->c,         s->b, s->label, s->eval.generate ? "all" : "nll",
                                     s->c->resume, argc, argv,     s->c->part.count ? &s->work : NULL};
    if (s->c->out && (status = ba_tracing_exit(ba_eval_trace_begin(&sitting, &s->rows, &s->trace, err), err))) {
        return status;
    }
    if (s->trace && opt->remark && (status = ba_tracing_exit(ba_eval_trace_remark(s->trace, opt->remark, err), err))) {
        return status;
    }
    return opt->dump && ba_dump_begin(opt->dump, &s->dump, err) ? ba_cli_fail(BA_EXIT_MACHINE, "%s", err) : 0;
}

static int evaluate(session *s, int argc, char **argv) {
    char err[BA_ERR_LEN];
    ba_prompts *prompts = NULL;
    if (ba_prompts_open(s->opt->prompts, s->b->tok, &prompts, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    s->source.prompts = prompts;
    const bool part = s->c->part.count != 0;
    int status = part ? plan_part(s) : 0;
    status = status ? status : open_outputs(s, argc, argv);
    if (!status) {
        const size_t known = s->rows.n;
        status = part ? eval_part(s) : for_tasks(s, eval_task);
        if (status == 0 || s->rows.n > known) { /* what is finished is kept, for whatever reason the run ended */
            int end = finish(s, status == 0);
            status = status && status != BA_EXIT_INTERRUPTED ? status : end ? end : status;
        }
    }
    ba_dump_close(s->dump);
    ba_eval_trace_close(s->trace);
    free_part(s);
    ba_eval_rows_free(&s->rows);
    ba_prompts_close(prompts);
    return status;
}

/* Tasks by name, or files that are there: a misspelt name is found before a model is loaded. */
static int check_tasks(const char *list) {
    char name[4096], known[BA_ERR_LEN] = "";
    const ba_task *t;
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ","), at);
        ba_guess g = ba_guess_begin(name, strlen(name));
        if (ba_task_by_name(name) || access(name, F_OK) == 0) {
            continue;
        }
        for (size_t i = 0, n = 0; (t = ba_task_at(i)); i++) {
            ba_guess_offer(&g, t->name);
            n += n < sizeof known ? (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", t->name) : 0;
        }
        return ba_cli_fail(BA_EXIT_USAGE, "--task %s: no such file, and no such task; there is %s%s", name, known,
                           g.text);
    }
    return 0;
}

/* What shapes generated items means nothing for others. */
static int check_generated(const options *opt) {
    bool made = false, hops = false;
    char name[4096];
    for (const char *at = opt->task; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ","), at);
        const ba_task *t = ba_task_by_name(name);
        made = made || (t && t->make);
        hops = hops || (t && t->make == ba_hops_make);
    }
    if (opt->length && !made) {
        return ba_cli_fail(BA_EXIT_USAGE, "--length: no task of %s is generated", opt->task);
    }
    return opt->hops && !hops ? ba_cli_fail(BA_EXIT_USAGE, "--hops goes with the task hops") : 0;
}

static int check(const ba_call *call, session *s) {
    const options *opt = call->options;
    const char *adapter = call->common->adapter, *slash = adapter ? strrchr(adapter, '/') : NULL;
    s->label = opt->label ? opt->label : !adapter ? "base" : slash && slash[1] ? slash + 1 : adapter;
    if (strchr(s->label, '/')) {
        return ba_cli_fail(BA_EXIT_USAGE, "--label %s: becomes part of file names, so it holds no /", s->label);
    }
    s->source = (ba_task_source){.folder = opt->data ? opt->data : default_folder(),
                                 .order = opt->order ? BA_BEST_FIRST : BA_BEST_LAST,
                                 .limit = opt->limit,
                                 .strict = opt->strict,
                                 .seed = call->common->seed,
                                 .passages = opt->passages,
                                 .words = opt->words,
                                 .hops = opt->hops,
                                 .report = report,
                                 .arg = s};
    if (opt->dump && call->common->out && strcmp(opt->dump, call->common->out) == 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "--dump %s: --out names the same file", opt->dump);
    }
    int status = check_tasks(opt->task);
    return status ? status : check_generated(opt);
}

/* Modes in their canonical spelling. 0, or an exit status. */
static int take_modes(session *s) {
    char err[BA_ERR_LEN];
    char **mode = ba_modes_split(s->c->mode, &s->n_mode);
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

/* The label's files in the folder of --outputs; those of other labels may be written at the same time. */
static int lock_outputs(const session *s, ba_writer_lock *lock) {
    char *path = NULL;
    if (!s->opt->outputs) {
        return 0;
    }
    if (asprintf(&path, "%s/%s", s->opt->outputs, s->label) < 0) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int status = ba_writer_lock_take(lock, path);
    free(path);
    return status;
}

static int open_and_evaluate(session *s, const ba_call *call) {
    ba_session b;
    int status = take_modes(s);
    status = status ? status : ba_session_open(call->common, &b);
    if (!status) {
        s->b = &b;
        status = evaluate(s, call->argc, call->argv);
        ba_session_close(&b);
        s->b = NULL;
    }
    free(s->mode);
    return status;
}

static int run(const ba_call *call) {
    const options *opt = call->options;
    ba_writer_lock dump = {.fd = -1}, outputs = {.fd = -1};
    session s = {.c = call->common, .opt = opt, .engine = ba_run_options(call->common)};
    s.eval = (ba_eval_options){.generate = opt->metric != METRIC_NLL, .engine = &s.engine};
    ba_catch_interrupt();
    int status = check(call, &s);
    status = status ? status : ba_writer_lock_take(&dump, opt->dump);
    status = status ? status : lock_outputs(&s, &outputs);
    status = status ? status : open_and_evaluate(&s, call);
    ba_writer_lock_drop(&outputs);
    ba_writer_lock_drop(&dump);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"task", "T[,T..]", BA_FILE, AT(task), .needed = true,
     .help = "tasks by name, or files of RAG items (JSON Lines, plain or gzipped)"},
    {"data", "DIR", BA_FOLDER, AT(data), .help = "the data folder; default: $BLOCKATTN_DATA, else ../shared/data"},
    {"limit", "N", BA_COUNT, AT(limit), .standard = "0",
     .help = "the first N items of each task; 0 is all (of generated tasks: 100)"},
    {"skip", "K", BA_COUNT, AT(skip), .standard = "0", .help = "pass over the first K of them"},
    {"every", "N", BA_COUNT, AT(every), .standard = "1", .least = 1, .most = 1 << 30,
     .help = "then take only every N-th"},
    {"metric", NULL, BA_CHOICE, AT(metric), .standard = "all", .words = "all|nll",
     .help = "nll: only the likelihood of the gold answer, nothing is generated"},
    {"dump", "FILE", BA_FILE, AT(dump), .against = "shard",
     .help = "also write each item as ids with its answer's ids, JSON Lines"},
    {"outputs", "DIR", BA_FOLDER, AT(outputs), .against = "shard",
     .help = "also write outputs in the official form of each task: DIR/LABEL.TASK.MODE.jsonl"},
    {"label", "TEXT", BA_TEXT, AT(label),
     .help = "name of the model in rows and reports; default: the adapter's, or base"},
    {"order", NULL, BA_CHOICE, AT(order), .standard = "best-last", .words = "best-last|best-first",
     .help = "order of the documents: the paper's, or that of its scripts"},
    {"prompts", "FILE", BA_FILE, AT(prompts), .help = "wording to use instead of the built-in one"},
    {"passages", "N", BA_COUNT, AT(passages), .standard = "10", .least = 2, .most = 4096,
     .help = "passages of a generated item"},
    {"words", "N", BA_COUNT, AT(words), .standard = "60", .least = 8, .most = 4096,
     .help = "words of a passage of a generated item"},
    {"hops", "N", BA_COUNT, AT(hops), .standard = "0", .most = 11,
     .help = "in the task hops: how often the value is handed on; 0: up to 3, as the passages allow"},
    {"length", "N", BA_COUNT, AT(length), .standard = "0", .most = 1 << 24, .against = "passages",
     .help = "generated items of about N tokens (4K, 32K) instead of a number of passages"},
    {"strict", NULL, BA_FLAG, AT(strict), .help = "stop at the first malformed line"},
    {"remark", "TEXT", BA_TEXT, AT(remark), .with = "out",
     .help = "kept in the trace; 'report' puts it under its tables"},
    {.name = NULL}};

const ba_command ba_command_eval = {
    .name = "eval",
    .summary = "accuracy and NLL of modes on tasks",
    .usage = "--task T[,T..] [--mode MODE[,MODE..]] [--limit N] [--out FILE.h5 [--resume]]",
    .about = "Accuracy and NLL of attention modes on tasks, item by item, with intervals. Modes share the store: a "
             "passage is encoded once.",
    .input = "A file of --task has one JSON object a line (experiments/data/FORMAT.md):\n"
             "  {\"id\": \"q1\", \"question\": \"Which river flows through Bern?\", \"answers\": [\"the Aare\"],\n"
             "   \"documents\": [{\"title\": \"Bern\", \"text\": \"The Aare ..\"}, \"a passage without a title\"]}\n"
             "The first answer is the gold one. Documents stand in the order of the prompt, the most relevant last.\n"
             "id and title may be missing. 'blockattn convert' makes such files from CSV, JSON and published sets.",
    .example = "blockattn eval --task nq --mode full,block --limit 20\n"
               "blockattn eval --task nq,2wiki,hotpotqa --mode full,block,lego --out results/eval.h5 --resume\n"
               "blockattn eval --task my-items.jsonl.gz --metric nll --json",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_ENGINE | BA_TAKES_CHAT | BA_TAKES_MODES | BA_TAKES_SEED | BA_TAKES_MEMORY | BA_TAKES_OUT |
             BA_TAKES_RESUME | BA_TAKES_SHARD | BA_TAKES_MARGINS | BA_TAKES_JSON | BA_TAKES_CSV,
    .mode = "full,block",
    .tables = ba_eval_tables,
    .hint = "tasks are given by --task",
    .run = run,
};
