#include "estimate.h"

#include "eval_trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ba_ratio(const double *top, const double *bottom, size_t n, double *ratio, double *variance) {
    double a = 0, b = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        a += top[i];
        b += bottom[i];
    }
    *ratio = n ? a / b : NAN;
    for (size_t i = 0; i < n; i++) {
        double rest = top[i] - *ratio * bottom[i];
        square += rest * rest;
    }
    *variance = n > 1 ? square * (double)n / (double)(n - 1) / (b * b) : NAN;
}

static double value_of(const ba_eval_row *r, ba_quantity what) {
    return what == BA_OF_SCORE ? r->score : what == BA_OF_NLL ? r->nll : r->flops;
}

static bool is_row(const ba_eval_row *r, ba_row_key key, const char *task) {
    return !strcmp(r->task, task) && !strcmp(r->label, key.label) && !strcmp(r->mode, key.mode);
}

/* Values of one task; how many. */
static size_t collect(const ba_eval_rows *rows, ba_quantity what, ba_row_key a, const ba_row_key *b, const char *task,
                      double *top, double *bottom) {
    size_t n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const ba_eval_row *r = &rows->row[i];
        if (!is_row(r, a, task)) {
            continue;
        }
        double value = value_of(r, what);
        if (b) {
            ba_eval_row like = {.index = r->index};
            snprintf(like.task, sizeof like.task, "%s", task);
            snprintf(like.label, sizeof like.label, "%s", b->label);
            snprintf(like.mode, sizeof like.mode, "%s", b->mode);
            const ba_eval_row *other = ba_eval_rows_find(rows, &like);
            value = other ? value - value_of(other, what) : NAN;
        }
        if (isfinite(value)) {
            top[n] = value;
            bottom[n++] = what == BA_OF_NLL ? (double)r->n_answer_tokens : 1;
        }
    }
    return n;
}

ba_estimate ba_estimate_of(const ba_eval_rows *rows, ba_quantity what, ba_row_key a, const ba_row_key *b,
                           const char *const *tasks, size_t n) {
    ba_estimate out = {NAN, NAN, NAN, 0, 0};
    double *top = calloc(rows->n + 1, sizeof *top), *bottom = calloc(rows->n + 1, sizeof *bottom);
    double sum = 0, square = 0;
    for (size_t t = 0; top && bottom && t < n; t++) {
        double ratio, variance;
        size_t items = collect(rows, what, a, b, tasks[t], top, bottom);
        ba_ratio(top, bottom, items, &ratio, &variance);
        if (items) {
            sum += ratio;
            square += variance;
            out.n_item += items;
            out.n_task++;
        }
    }
    free(top);
    free(bottom);
    if (out.n_task) {
        double half = 1.959963984540054 * sqrt(square) / (double)out.n_task;
        out.mean = sum / (double)out.n_task;
        out.low = out.mean - half;
        out.high = out.mean + half;
    }
    return out;
}
