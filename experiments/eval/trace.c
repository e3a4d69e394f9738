#include "trace.h"

#include "experiments/cli/environment.h"
#include "experiments/cli/settings.h"
#include "experiments/cli/tracing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct ba_eval_trace {
    ba_trace *trace;
    size_t items, summary;
};

/* A sitting. Strings are borrowed while the row is written. */
typedef struct sitting {
    char date[32]; /* UTC */
    const char *commit, *command, *cpu, *backend, *libraries;
    uint64_t threads;
} sitting;

static const ba_column sitting_columns[] = {
    BA_COLUMN(sitting, date, BA_COLUMN_TEXT, ""),        BA_COLUMN(sitting, commit, BA_COLUMN_STRING, ""),
    BA_COLUMN(sitting, command, BA_COLUMN_STRING, ""),   BA_COLUMN(sitting, cpu, BA_COLUMN_STRING, ""),
    BA_COLUMN(sitting, backend, BA_COLUMN_STRING, ""),   BA_COLUMN(sitting, threads, BA_COLUMN_U64, ""),
    BA_COLUMN(sitting, libraries, BA_COLUMN_STRING, ""), BA_COLUMNS_END};

const ba_table ba_eval_tables[] = {
    {"items", ba_eval_columns, sizeof(ba_eval_row), "an item of a task in one mode"},
    {"summary", ba_eval_summary_columns, sizeof(ba_eval_summary), "a mode on a task: means over its items"},
    {"sessions", sitting_columns, sizeof(sitting), "one call of the command; `--resume` adds one"},
    {"work", ba_work_columns, sizeof(ba_work_row), "with `--shard`: an item of the work that is finished"},
    {.name = NULL}};

/* The word itself, as a constant; NULL if it is none of them. */
static const char *word_of(const char *text) {
    static const char *const words[] = {"done", "too long", "no answer", "eos", "length", "string"};
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i], text) == 0) {
            return words[i];
        }
    }
    return NULL;
}

/* A copy of a row as it was read, its texts too. 0, or -1: out of memory. */
static int add_copy(ba_eval_rows *rows, const ba_eval_row *raw) {
    ba_eval_row row = *raw;
    row.label[sizeof row.label - 1] = row.task[sizeof row.task - 1] = row.mode[sizeof row.mode - 1] = 0;
    row.state = word_of(raw->state);
    row.stop = word_of(raw->stop);
    row.id = strdup(raw->id ? raw->id : "");
    row.text = raw->text ? strdup(raw->text) : NULL;
    bool failed = !row.id || (raw->text && !row.text);
    if (failed) {
        ba_eval_row_free(&row);
    }
    return failed || ba_eval_rows_add(rows, &row) ? -1 : 0;
}

enum { COLUMNS = 40 };

/* The columns that a trace must have: all, but for those that earlier versions did not write. */
static void columns_of(const ba_column *have, ba_column out[COLUMNS]) {
    size_t n = 0;
    for (const ba_column *c = ba_eval_columns; c->name && n + 1 < COLUMNS; c++) {
        bool there = strcmp(c->name, "charged") != 0;
        for (const ba_column *h = have; h->name; h++) {
            there = there || strcmp(h->name, c->name) == 0;
        }
        if (there) {
            out[n++] = *c;
        }
    }
    out[n] = (ba_column)BA_COLUMNS_END;
}

/* Rows [n] as the trace has them, which may be an earlier version's, added to rows. 0, or -1: out of memory. */
static int add_rows(ba_eval_rows *rows, const ba_column *have, const ba_column *want, const char *raw, size_t row_size,
                    size_t n) {
    for (size_t i = 0; i < n; i++) {
        ba_eval_row row = {.charged = NAN};
        ba_trace_convert(have, raw + i * row_size, want, &row);
        if (add_copy(rows, &row)) {
            return -1;
        }
    }
    return 0;
}

/* Whether the table `work` names several machines. 0 or 1, or what the trace returned. */
static int has_machines(const ba_trace *t, char err[BA_ERR_LEN]) {
    size_t table = 0, size;
    char first[sizeof((ba_work_row *)0)->machine] = "";
    while (table < ba_trace_tables(t) && strcmp(ba_trace_table_name(t, table), "work") != 0) {
        table++;
    }
    size_t n = table < ba_trace_tables(t) ? ba_trace_rows(t, table) : 0;
    int rc = n ? ba_trace_has_columns(t, table, ba_work_columns, err) : 0;
    const ba_column *have = n ? ba_trace_columns(t, table, &size) : NULL;
    char *raw = n && !rc ? calloc(1, size) : NULL;
    if (n && !rc && !raw) {
        ba_fail(err, "out of memory");
        return BA_TRACE_MACHINE;
    }
    for (size_t i = 0; i < n && !rc; i++) {
        ba_work_row row;
        if (!(rc = ba_trace_read(t, table, i, 1, raw, err))) {
            ba_trace_convert(have, raw, ba_work_columns, &row);
            ba_trace_release(t, table, raw, 1);
            rc = *first && strcmp(first, row.machine) != 0;
            memcpy(first, row.machine, sizeof first);
        }
    }
    free(raw);
    return rc;
}

/* Times of different machines are never averaged: rows of several have none. */
static int blank_times(const ba_trace *t, ba_eval_rows *rows, size_t from, char err[BA_ERR_LEN]) {
    int several = has_machines(t, err);
    for (size_t i = from; several == 1 && i < rows->n; i++) {
        rows->row[i].ttft_s = rows->row[i].ttft_cold_s = NAN;
    }
    return several < 0 ? several : 0;
}

/* Many rows at once: every call of ba_trace_read checks the addresses of texts again. */
int ba_eval_rows_read(const ba_trace *t, ba_eval_rows *rows, char err[BA_ERR_LEN]) {
    enum { PIECE = 256 };
    size_t table = 0;
    const size_t known = rows->n;
    while (table < ba_trace_tables(t) && strcmp(ba_trace_table_name(t, table), "items") != 0) {
        table++;
    }
    size_t n = table < ba_trace_tables(t) ? ba_trace_rows(t, table) : 0;
    if (!n) {
        return 0;
    }
    size_t row_size;
    const ba_column *have = ba_trace_columns(t, table, &row_size);
    ba_column want[COLUMNS];
    columns_of(have, want);
    int rc = ba_trace_has_columns(t, table, want, err);
    if (rc) {
        return rc;
    }
    char *raw = calloc(PIECE, row_size);
    bool failed = !raw;
    for (size_t first = 0, some; first < n && !failed && !rc; first += some) {
        some = n - first < PIECE ? n - first : PIECE;
        if ((rc = ba_trace_read(t, table, first, some, raw, err))) {
            break;
        }
        failed = add_rows(rows, have, want, raw, row_size, some) != 0;
        ba_trace_release(t, table, raw, some);
    }
    free(raw);
    if (failed) {
        ba_fail(err, "out of memory");
        rc = BA_TRACE_MACHINE;
    }
    return rc ? rc : blank_times(t, rows, known, err);
}

static int add_sitting(ba_trace *t, const ba_eval_sitting *s, char err[BA_ERR_LEN]) {
    size_t table;
    ba_environment env;
    time_t now = time(NULL);
    struct tm utc;
    if (ba_environment_capture(&env, s->argc, s->argv, s->b->be, s->c->threads)) {
        ba_fail(err, "out of memory");
        return BA_TRACE_MACHINE;
    }
    sitting row = {.commit = ba_environment_get(&env, "commit"),
                   .command = ba_environment_get(&env, "command"),
                   .cpu = ba_environment_get(&env, "cpu"),
                   .backend = ba_environment_get(&env, "backend"),
                   .threads = s->c->threads,
                   .libraries = ba_environment_get(&env, "libraries")};
    if (gmtime_r(&now, &utc)) {
        strftime(row.date, sizeof row.date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    int rc = ba_table_declare_named(t, ba_eval_tables, "sessions", &table, err);
    rc = rc ? rc : ba_trace_append(t, table, &row, err);
    ba_environment_free(&env);
    return rc;
}

static bool has_rows_of(const ba_eval_rows *rows, const char *label) {
    for (size_t i = 0; i < rows->n; i++) {
        if (strcmp(rows->row[i].label, label) == 0) {
            return true;
        }
    }
    return false;
}

/* Everything about a trace that is open already. */
static int begin(ba_eval_trace *t, const ba_eval_sitting *s, ba_eval_rows *rows, char err[BA_ERR_LEN]) {
    char more[32];
    snprintf(more, sizeof more, "metric %s", s->metric);
    const ba_settings settings = {s->b->model, s->c->adapter, s->b->be, &s->b->tiers, more};
    int rc;
    if ((rc = ba_tracing_model(t->trace, s->b->model, err)) ||
        (rc = ba_table_declare_named(t->trace, ba_eval_tables, "items", &t->items, err)) ||
        (rc = ba_table_declare_named(t->trace, ba_eval_tables, "summary", &t->summary, err)) ||
        (rc = ba_eval_rows_read(t->trace, rows, err)) ||
        (rc = ba_settings_hold(t->trace, s->label, &settings, !has_rows_of(rows, s->label), err))) {
        return rc;
    }
    if (s->work) {
        size_t table;
        rc = ba_table_declare_named(t->trace, ba_eval_tables, "work", &table, err);
        rc = rc ? rc : ba_work_begin(s->work, t->trace, table, s->c->out, s->resume, err);
    }
    return rc ? rc : add_sitting(t->trace, s, err);
}

int ba_eval_trace_begin(const ba_eval_sitting *s, ba_eval_rows *rows, ba_eval_trace **out, char err[BA_ERR_LEN]) {
    ba_eval_trace *t = calloc(1, sizeof *t);
    if (!t) {
        ba_fail(err, "out of memory");
        return BA_TRACE_MACHINE;
    }
    int rc = (s->resume ? ba_trace_resume : ba_trace_create)(s->c->out, BA_EVAL_SCHEMA, &t->trace, err);
    rc = rc ? rc : begin(t, s, rows, err);
    if (rc) {
        ba_eval_trace_close(t);
        return rc;
    }
    *out = t;
    return 0;
}

int ba_eval_trace_remark(ba_eval_trace *t, const char *remark, char err[BA_ERR_LEN]) {
    return ba_trace_set(t->trace, "remark", remark, err);
}

int ba_eval_trace_add(ba_eval_trace *t, const ba_eval_row *row, char err[BA_ERR_LEN]) {
    int rc = ba_trace_append(t->trace, t->items, row, err);
    return rc ? rc : ba_trace_commit_due(t->trace, err);
}

int ba_eval_trace_done(ba_eval_trace *t, ba_work_list *w, size_t item, char err[BA_ERR_LEN]) {
    int rc = ba_work_finish(w, t->trace, item, err);
    /* A rank that dies loses no more than the item at hand. */
    return rc ? rc : (w->shard.ranks ? ba_trace_commit : ba_trace_commit_due)(t->trace, err);
}

int ba_eval_trace_finish(ba_eval_trace *t, const ba_eval_summary *s, size_t n, bool whole, char err[BA_ERR_LEN]) {
    int rc = ba_trace_clear(t->trace, t->summary, err);
    for (size_t i = 0; i < n; i++) {
        if (rc || (rc = ba_trace_append(t->trace, t->summary, &s[i], err))) {
            return rc;
        }
    }
    return rc ? rc : whole ? ba_trace_finish(t->trace, err) : ba_trace_commit(t->trace, err);
}

void ba_eval_trace_close(ba_eval_trace *t) {
    if (t) {
        ba_trace_close(t->trace);
        free(t);
    }
}
