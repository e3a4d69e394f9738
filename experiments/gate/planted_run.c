#include "planted_run.h"

#include "experiments/cli/ask.h"
#include "experiments/cli/tracing.h"
#include "experiments/measure/intervals.h"
#include "planted.h"
#include "trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "blockattn/planted/1"

typedef struct job {
    const ba_common *c;
    ba_planted p;
    char **mode;
    size_t n_mode, n_done;
    ba_items items;
    ba_planted_row *row;         /* [items.n, 1 + n_mode] */
    ba_planted_summary *summary; /* [1 + n_mode] */
    double *room;                /* [3 items.n] */
    ba_trace *trace;
    size_t item_table, mode_table;
} job;

static int prepare(job *j, const char *data, size_t limit, int argc, char **argv) {
    char err[BA_ERR_LEN], spelling[128];
    int status = ba_items_read_list(data, limit, &j->items, err) ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
    j->mode = ba_modes_split(j->c->mode, &j->n_mode);
    for (size_t m = 0; !status && j->mode && m < j->n_mode; m++) {
        status =
            ba_planted_mode(j->mode[m], spelling, sizeof spelling, err) ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
    }
    if (status) {
        return status;
    }
    j->row = calloc(j->items.n * (1 + j->n_mode), sizeof *j->row);
    j->summary = calloc(1 + j->n_mode, sizeof *j->summary);
    j->room = calloc(3 * j->items.n, sizeof *j->room);
    if (!j->mode || !j->row || !j->summary || !j->room) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    status = ba_tracing_begin(j->c, SCHEMA, argc, argv, ba_engine_backend(j->p.engine), NULL, &j->trace);
    if (status || !j->trace) {
        return status;
    }
    int rc = ba_table_declare_named(j->trace, ba_gate_tables, "planted", &j->item_table, err);
    rc = rc ? rc : ba_table_declare_named(j->trace, ba_gate_tables, "planted_modes", &j->mode_table, err);
    return ba_tracing_exit(rc, err);
}

/* The rows of one item reach the trace together. */
static int measure_item(job *j, const ba_item *item) {
    char err[BA_ERR_LEN];
    const size_t step = 1 + j->n_mode;
    ba_planted_row *row = j->row + j->n_done * step;
    int status = ba_engine_exit(ba_planted_measure(&j->p, item, j->n_done, j->mode, j->n_mode, row, err), err), rc = 0;
    if (status) {
        return status;
    }
    for (size_t m = 0; j->trace && m < step && !rc; m++) {
        rc = ba_trace_append(j->trace, j->item_table, &row[m], err);
    }
    rc = rc || !j->trace ? rc : ba_trace_commit_due(j->trace, err);
    j->n_done += !rc;
    return ba_tracing_exit(rc, err);
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static void print_table(const job *j) {
    printf("n = %zu item%s; [low, high]: 95 %% over items\n\n%-30s %-9s %-16s %8s %8s %-26s %s\n", j->n_done,
           j->n_done == 1 ? "" : "s", "mode", "secret in", "leaks %", "NLL", "without", "change", "same bits");
    for (size_t m = 0; m <= j->n_mode; m++) {
        const ba_planted_summary *s = &j->summary[m];
        char leaks[32], change[32];
        ba_interval_text(leaks, sizeof leaks, "%.0f", 100, s->leaks, s->leaks_low, s->leaks_high);
        ba_interval_text(change, sizeof change, "%+.3f", 1, s->change, s->change_low, s->change_high);
        printf("%-30s %-9s %-16s %8.3f %8.3f %-26s %s\n", s->mode, s->secret_in, leaks, s->nll, s->nll_without, change,
               s->same);
    }
    puts(
        "\nBoth requests ask for the code word of the item's subject. Only the donor's has a passage that says it; the "
        "one answered\nhere lacks that passage.\n"
        "leaks: greedy answers with the code word. NLL: of the code word, nats a token, after the donor and without "
        "it; a negative\nchange makes it likelier. same bits: logits after the donor equal those with an empty store; "
        "asked of modes that take\nnothing from a donor. The first row reads the passage, to show what can be told "
        "at all.");
}

static void print_rows(const job *j, ba_rows_format format) {
    ba_rows_begin(stdout, format, ba_planted_summary_columns);
    for (size_t m = 0; m <= j->n_mode; m++) {
        ba_rows_print(stdout, format, ba_planted_summary_columns, &j->summary[m], m == 0);
    }
    ba_rows_end(stdout, format);
}

/* Of what is finished, also after an interruption. */
static int report(job *j) {
    char err[BA_ERR_LEN];
    int rc = 0;
    bool broken = false;
    for (size_t m = 0; m <= j->n_mode; m++) {
        j->summary[m] = ba_planted_summarise(j->row + m, j->n_done, 1 + j->n_mode, j->room);
        broken = broken || strcmp(j->summary[m].same, "FAIL") == 0;
        rc = rc || !j->trace ? rc : ba_trace_append(j->trace, j->mode_table, &j->summary[m], err);
    }
    rc = rc || !j->trace ? rc : ba_trace_finish(j->trace, err);
    if (j->c->format == BA_FORMAT_TABLE) {
        print_table(j);
    } else {
        print_rows(j, j->c->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV);
    }
    return rc ? ba_tracing_exit(rc, err) : broken ? BA_EXIT_CHECK : BA_EXIT_OK;
}

static int measure(job *j) {
    ba_progress bar;
    int status = 0;
    ba_progress_start(&bar, "planted", j->c->quiet);
    for (size_t i = 0; i < j->items.n && !status; i++) {
        status = measure_item(j, &j->items.item[i]);
        ba_progress_update(&bar, (double)j->n_done / (double)j->items.n);
    }
    ba_progress_end(&bar);
    if (!j->n_done || (status && status != BA_EXIT_INTERRUPTED)) {
        return status;
    }
    int reported = report(j);
    return status ? status : reported;
}

int ba_planted_run(const ba_common *c, const ba_session *b, const char *data, size_t limit, size_t max_tokens, int argc,
                   char **argv) {
    job j = {.c = c,
             .p = {.engine = b->engine,
                   .store = b->store,
                   .tok = b->tok,
                   .opt = ba_run_options(c),
                   .max_tokens = max_tokens,
                   .seed = c->seed}};
    int status = prepare(&j, data, limit, argc, argv);
    status = status ? status : measure(&j);
    ba_trace_close(j.trace);
    ba_items_free(&j.items);
    free(j.row);
    free(j.summary);
    free(j.room);
    ba_modes_free(j.mode);
    return status;
}
