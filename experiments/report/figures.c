#include "figures.h"

#include "sim/base/grow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ba_report_points(FILE *out, const ba_report_table *t, const ba_eval_rows *rows) {
    fputs("label,mode,flops_fraction,charged,score_lost,score_lost_low,score_lost_high,nll_lost,nll_lost_low,"
          "nll_lost_high,n\n",
          out);
    for (size_t r = 0; r < t->n_row; r++) {
        const ba_row_key key = t->row[r].key, full = {key.label, "full"};
        ba_estimate score = ba_estimate_of(rows, BA_OF_SCORE, full, &key, t->task, t->n_task),
                    nll = ba_estimate_of(rows, BA_OF_NLL, key, &full, t->task, t->n_task);
        double flops = ba_estimate_of(rows, BA_OF_FLOPS, key, NULL, t->task, t->n_task).mean /
                       ba_estimate_of(rows, BA_OF_FLOPS, full, NULL, t->task, t->n_task).mean;
        double charged = ba_estimate_of(rows, BA_OF_CHARGED, key, NULL, t->task, t->n_task).mean;
        if (strcmp(key.mode, "full") != 0 && !isnan(flops) && !isnan(nll.mean)) {
            fprintf(out, "%s,%s,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%zu\n", key.label, key.mode, flops, charged,
                    score.mean, score.low, score.high, nll.mean, nll.low, nll.high, nll.n_item);
        }
    }
}

static const ba_column *column_of(const ba_column *c, const char *name, ba_column_type type) {
    while (c->name && (strcmp(c->name, name) != 0 || c->type != type)) {
        c++;
    }
    return c->name ? c : NULL;
}

/* Where the columns of a validation are in a row. */
typedef struct validation_columns {
    const ba_column *step, *mode, *nll;
} validation_columns;

static int add_validation(const validation_columns *c, const char *row, const char *label, ba_validations *out) {
    ba_validation v;
    if (ba_grow(&out->v, &out->cap, out->n + 1, sizeof *out->v)) {
        return -1;
    }
    snprintf(v.label, sizeof v.label, "%s", label);
    memcpy(&v.step, row + c->step->offset, sizeof v.step);
    memcpy(&v.nll, row + c->nll->offset, sizeof v.nll);
    snprintf(v.mode, sizeof v.mode, "%.*s", (int)c->mode->size, row + c->mode->offset);
    out->v[out->n++] = v;
    return 0;
}

int ba_validations_read(const ba_trace *t, const char *label, ba_validations *out, char err[BA_ERR_LEN]) {
    size_t table = 0, size;
    while (table < ba_trace_tables(t) && strcmp(ba_trace_table_name(t, table), "validation") != 0) {
        table++;
    }
    if (table == ba_trace_tables(t)) {
        return 0;
    }
    const ba_column *columns = ba_trace_columns(t, table, &size);
    const validation_columns c = {column_of(columns, "step", BA_COLUMN_U64), column_of(columns, "mode", BA_COLUMN_TEXT),
                                  column_of(columns, "nll", BA_COLUMN_F64)};
    if (!c.step || !c.mode || !c.nll) {
        return ba_fail(err, "table validation lacks a column step, mode or nll");
    }
    char *row = calloc(1, size);
    if (!row) {
        return ba_fail(err, "out of memory");
    }
    int rc = -1;
    for (size_t i = 0; i < ba_trace_rows(t, table); i++) {
        if (ba_trace_read(t, table, i, 1, row, err)) {
            goto done;
        }
        bool failed = add_validation(&c, row, label, out) != 0;
        ba_trace_release(t, table, row, 1);
        if (failed) {
            ba_fail(err, "out of memory");
            goto done;
        }
    }
    rc = 0;
done:
    free(row);
    return rc;
}

/* The step of a label NAME@STEP. */
static long step_of(const char *label) {
    return strtol(strrchr(label, '@') + 1, NULL, 10);
}

/* For qsort of labels: by step, and of equals by name. */
static int by_step(const void *a, const void *b) {
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    long p = step_of(x), q = step_of(y);
    return p != q ? (p > q) - (p < q) : strcmp(x, y);
}

/* The different labels NAME@STEP of the rows [*n], sorted by step. malloc'ed; NULL: out of memory. */
static const char **stepped_labels(const ba_eval_rows *rows, size_t *n) {
    const char **label = calloc(rows->n + 1, sizeof *label);
    *n = 0;
    for (size_t i = 0; label && i < rows->n; i++) {
        bool known = !strchr(rows->row[i].label, '@');
        for (size_t k = 0; k < *n && !known; k++) {
            known = strcmp(label[k], rows->row[i].label) == 0;
        }
        if (!known) {
            label[(*n)++] = rows->row[i].label;
        }
    }
    if (label) {
        qsort(label, *n, sizeof *label, by_step);
    }
    return label;
}

void ba_report_steps(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows, const ba_validations *checks) {
    const ba_report_table *t = &spec->table[0];
    static const char *const modes[] = {"full", "block"};
    size_t n_label;
    const char **label = stepped_labels(rows, &n_label);
    fputs("source,label,step,mode,score,score_low,score_high,nll,nll_low,nll_high,n\n", out);
    for (size_t i = 0; label && i < n_label; i++) {
        for (size_t m = 0; m < 2; m++) {
            const ba_row_key key = {label[i], modes[m]};
            ba_estimate score = ba_estimate_of(rows, BA_OF_SCORE, key, NULL, t->task, t->n_task),
                        nll = ba_estimate_of(rows, BA_OF_NLL, key, NULL, t->task, t->n_task);
            if (nll.n_task) {
                fprintf(out, "eval,%.*s,%ld,%s,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%zu\n",
                        (int)(strrchr(label[i], '@') - label[i]), label[i], step_of(label[i]), modes[m], score.mean,
                        score.low, score.high, nll.mean, nll.low, nll.high, nll.n_item);
            }
        }
    }
    free(label);
    for (size_t i = 0; i < checks->n; i++) {
        const ba_validation *v = &checks->v[i];
        fprintf(out, "validation,%s,%llu,%s,NaN,NaN,NaN,%.6g,%.6g,%.6g,NaN\n", v->label, (unsigned long long)v->step,
                v->mode, v->nll, v->nll, v->nll);
    }
}
