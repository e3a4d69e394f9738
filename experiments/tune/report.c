#include "report.h"

#include "experiments/cli/rows.h"

#include <stdlib.h>
#include <string.h>

static const ba_column step_columns[] = {BA_COLUMN(ba_tune_step_row, step, BA_COLUMN_U64, ""),
                                         BA_COLUMN(ba_tune_step_row, lr, BA_COLUMN_F64, ""),
                                         BA_COLUMN(ba_tune_step_row, loss, BA_COLUMN_F64, ""),
                                         BA_COLUMN(ba_tune_step_row, kl, BA_COLUMN_F64, ""),
                                         BA_COLUMN(ba_tune_step_row, grad_norm, BA_COLUMN_F64, ""),
                                         BA_COLUMN(ba_tune_step_row, seconds, BA_COLUMN_F64, "s"),
                                         BA_COLUMN(ba_tune_step_row, tokens_per_s, BA_COLUMN_F64, "1/s"),
                                         BA_COLUMN_AS("step_tokens", ba_tune_step_row, tokens, BA_COLUMN_U64, ""),
                                         BA_COLUMN(ba_tune_step_row, answer_tokens, BA_COLUMN_U64, ""),
                                         BA_COLUMNS_END};
static const ba_column validation_columns[] = {BA_COLUMN(ba_tune_validation_row, step, BA_COLUMN_U64, ""),
                                               BA_COLUMN(ba_tune_validation_row, mode, BA_COLUMN_TEXT, ""),
                                               BA_COLUMN(ba_tune_validation_row, nll, BA_COLUMN_F64, ""),
                                               BA_COLUMN(ba_tune_validation_row, samples, BA_COLUMN_U64, ""),
                                               BA_COLUMN(ba_tune_validation_row, seconds, BA_COLUMN_F64, "s"),
                                               BA_COLUMNS_END};

const ba_table ba_tune_tables[] = {{"steps", step_columns, sizeof(ba_tune_step_row), "one training step"},
                                   {"validation", validation_columns, sizeof(ba_tune_validation_row),
                                    "one mode on the validation samples after a step"},
                                   {.name = NULL}};

/* The step of a table's last row; 0: it has none. */
static int last_step(const ba_trace *t, size_t table, size_t row_size, uint64_t *step, char err[BA_ERR_LEN]) {
    size_t n = ba_trace_rows(t, table);
    union {
        ba_tune_step_row step;
        ba_tune_validation_row validation;
    } row = {0};
    int rc = n && row_size <= sizeof row ? ba_trace_read(t, table, n - 1, 1, &row, err) : 0;
    memcpy(step, &row, sizeof *step); /* the first member of both */
    return rc;
}

int ba_tune_report_open(ba_tune_report *r, ba_format format, const char *path, bool resume, char err[BA_ERR_LEN]) {
    *r = (ba_tune_report){.format = format};
    if (!path) {
        return 0;
    }
    size_t *const index[] = {&r->steps, &r->validation};
    uint64_t *const last[] = {&r->last, &r->last_checked};
    int rc = (resume ? ba_trace_resume : ba_trace_create)(path, "blockattn/tune/2", &r->trace, err);
    for (size_t i = 0; !rc && i < sizeof index / sizeof *index; i++) {
        const ba_table *table = &ba_tune_tables[i];
        rc = ba_table_declare(r->trace, table, index[i], err);
        rc = rc ? rc : last_step(r->trace, *index[i], table->row_size, last[i], err);
    }
    return rc;
}

/* A line of JSON that names the kind of its row. */
static void print_json(const char *kind, const ba_column *columns, const void *row) {
    printf("{\"%s\": ", kind);
    ba_rows_print(stdout, BA_ROWS_JSON, columns, row, true);
    puts("}");
}

int ba_tune_report_step(ba_tune_report *r, const ba_tune_row *row, double seconds, char err[BA_ERR_LEN]) {
    const ba_tune_step_row out = {
        row->step,   row->lr,           row->loss, row->kl, row->grad_norm, seconds, (double)row->tokens / seconds,
        row->tokens, row->answer_tokens};
    if (r->format == BA_FORMAT_JSON) {
        print_json("step", step_columns, &out);
    } else if (r->format == BA_FORMAT_CSV) {
        if (!r->begun) {
            ba_rows_begin(stdout, BA_ROWS_CSV, step_columns);
        }
        ba_rows_print(stdout, BA_ROWS_CSV, step_columns, &out, !r->begun);
    } else {
        if (!r->begun) {
            printf("%6s  %9s  %8s  %8s  %9s  %9s\n", "step", "lr", "loss", "KL", "|grad|", "tokens/s");
        }
        printf("%6llu  %9.3g  %8.4f  %8.4f  %9.3g  %9.0f\n", (unsigned long long)out.step, out.lr, out.loss, out.kl,
               out.grad_norm, out.tokens_per_s);
    }
    fflush(stdout);
    r->begun = true;
    if (!r->trace || out.step <= r->last) {
        return 0;
    }
    int rc = ba_trace_append(r->trace, r->steps, &out, err);
    return rc ? rc : ba_trace_commit(r->trace, err);
}

int ba_tune_report_validation(ba_tune_report *r, const ba_tune_validation_row *row, char err[BA_ERR_LEN]) {
    if (r->format == BA_FORMAT_JSON) {
        print_json("validation", validation_columns, row);
    } else if (r->format == BA_FORMAT_TABLE) {
        printf("step %llu, %s: validation NLL %.4f nats a token (%llu samples)\n", (unsigned long long)row->step,
               row->mode, row->nll, (unsigned long long)row->samples);
    }
    fflush(stdout);
    if (!r->trace || (r->last_checked && row->step <= r->last_checked)) {
        return 0;
    }
    int rc = ba_trace_append(r->trace, r->validation, row, err);
    return rc ? rc : ba_trace_commit(r->trace, err);
}

void ba_tune_report_close(ba_tune_report *r) {
    ba_trace_close(r->trace);
    *r = (ba_tune_report){0};
}
