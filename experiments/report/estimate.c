#include "estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double value_of(const ba_eval_row *r, ba_quantity what) {
    return what == BA_OF_SCORE ? r->score : what == BA_OF_NLL ? r->nll : what == BA_OF_FLOPS ? r->flops : r->charged;
}

static bool is_row(const ba_eval_row *r, ba_row_key key, const char *task) {
    return !strcmp(r->task, task) && !strcmp(r->label, key.label) && !strcmp(r->mode, key.mode);
}

/* The value of the same item in another model and mode; NaN if there is none. */
static double value_at(const ba_eval_rows *rows, ba_quantity what, ba_row_key key, const ba_eval_row *item) {
    ba_eval_row like = {.index = item->index};
    snprintf(like.task, sizeof like.task, "%s", item->task);
    snprintf(like.label, sizeof like.label, "%s", key.label);
    snprintf(like.mode, sizeof like.mode, "%s", key.mode);
    const ba_eval_row *found = ba_eval_rows_find(rows, &like);
    return found ? value_of(found, what) : NAN;
}

/* The mean of an item's values over some rows; NaN if one of them lacks it. */
static double mean_at(const ba_eval_rows *rows, ba_quantity what, ba_row_keys keys, const ba_eval_row *item) {
    double sum = 0;
    for (size_t i = 0; i < keys.n; i++) {
        sum += value_at(rows, what, keys.key[i], item);
    }
    return sum / (double)keys.n;
}

static double weight_of(const ba_eval_row *r, ba_quantity what) {
    return what == BA_OF_NLL ? (double)r->n_answer_tokens : 1;
}

/* Collects the values of one task: of a if b has no keys, else of a - b. Returns how many. */
static size_t collect(const ba_eval_rows *rows, ba_quantity what, ba_row_keys a, ba_row_keys b, const char *task,
                      double *top, double *bottom) {
    size_t n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const ba_eval_row *r = &rows->row[i];
        if (!is_row(r, a.key[0], task)) {
            continue;
        }
        double value = mean_at(rows, what, a, r);
        if (b.n) {
            value -= mean_at(rows, what, b, r);
        }
        if (isfinite(value)) {
            top[n] = value;
            bottom[n++] = weight_of(r, what);
        }
    }
    return n;
}

/* The mean over the items of one task, or of the paired change. */
static ba_mean mean_of(ba_quantity what, bool change, const double *top, const double *bottom, size_t n) {
    return what == BA_OF_SCORE && change ? ba_mean_change(top, n)
           : what == BA_OF_NLL           ? ba_mean_of(top, bottom, n)
                                         : ba_mean_of(top, NULL, n);
}

ba_estimate ba_difference_of(const ba_eval_rows *rows, ba_quantity what, ba_row_keys a, ba_row_keys b,
                             const char *const *tasks, size_t n) {
    ba_estimate out = {NAN, NAN, NAN, 0, 0};
    double *top = calloc(rows->n + 1, sizeof *top), *bottom = calloc(rows->n + 1, sizeof *bottom);
    ba_mean *mean = calloc(n + 1, sizeof *mean);
    for (size_t t = 0; top && bottom && mean && t < n; t++) {
        size_t items = collect(rows, what, a, b, tasks[t], top, bottom);
        mean[t] = mean_of(what, b.n > 0, top, bottom, items);
        out.n_task += items > 0;
    }
    if (mean) {
        ba_mean all = ba_mean_over(mean, n);
        out.mean = all.mean;
        out.low = all.low;
        out.high = all.high;
        out.n_item = all.n;
    }
    if (mean && out.n_task == 1 && n == 1 && what == BA_OF_SCORE && !b.n) { /* a share near 0 or 1 needs Wilson's */
        ba_mean one = ba_mean_score(top, mean[0].n);
        out.low = one.low;
        out.high = one.high;
    }
    free(top);
    free(bottom);
    free(mean);
    return out;
}

ba_estimate ba_estimate_of(const ba_eval_rows *rows, ba_quantity what, ba_row_key a, const ba_row_key *b,
                           const char *const *tasks, size_t n) {
    return ba_difference_of(rows, what, (ba_row_keys){&a, 1}, (ba_row_keys){b, b ? 1 : 0}, tasks, n);
}

/* Adds the items of one task to n others, scaled so that their sum is the difference of the task's means. Returns the new n. */
static size_t add_shares(const ba_eval_rows *rows, ba_quantity what, ba_row_keys from, ba_row_keys to, ba_row_keys of,
                         const char *task, double *top, double *bottom, size_t n) {
    double weight = 0;
    size_t first = n;
    for (size_t i = 0; i < rows->n; i++) {
        const ba_eval_row *r = &rows->row[i];
        if (is_row(r, from.key[0], task)) {
            double start = mean_at(rows, what, from, r);
            top[n] = mean_at(rows, what, of, r) - start;
            bottom[n] = mean_at(rows, what, to, r) - start;
            if (isfinite(top[n]) && isfinite(bottom[n])) {
                weight += weight_of(r, what);
                n++;
            }
        }
    }
    for (size_t i = first; i < n; i++) {
        top[i] /= weight;
        bottom[i] /= weight;
    }
    return n;
}

ba_interval ba_share_of(const ba_eval_rows *rows, ba_quantity what, ba_row_keys from, ba_row_keys to, ba_row_keys of,
                        const char *const *tasks, size_t n) {
    ba_interval out = {NAN, NAN};
    double *top = calloc(rows->n + 1, sizeof *top), *bottom = calloc(rows->n + 1, sizeof *bottom);
    size_t items = 0;
    for (size_t t = 0; top && bottom && t < n; t++) {
        items = add_shares(rows, what, from, to, of, tasks[t], top, bottom, items);
    }
    if (items) {
        out = ba_bootstrap(top, bottom, items, BA_INTERVAL_SEED);
    }
    free(top);
    free(bottom);
    return out;
}
