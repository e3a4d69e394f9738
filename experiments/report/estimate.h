/* Means over tasks with their standard errors: of one row of a table (a model's label and a mode), or of the paired
 * difference of two. A task counts as much as any other, whatever its number of items, as in the paper's averages.
 * Several rows (a model's seeds) are taken as one whose value of an item is the mean of theirs. */
#ifndef BA_ESTIMATE_H
#define BA_ESTIMATE_H

#include "experiments/eval/summary.h"

typedef struct ba_row_key {
    const char *label, *mode;
} ba_row_key;

typedef struct ba_row_keys {
    const ba_row_key *key; /* [n], borrowed */
    size_t n;
} ba_row_keys;

typedef struct ba_estimate {
    double mean, low, high; /* 95 %: 1.96 standard errors; NaN: no items */
    size_t n_item, n_task;  /* what it rests on */
} ba_estimate;

typedef enum ba_quantity {
    BA_OF_SCORE, /* a mean */
    BA_OF_NLL,   /* nats a token: sums over items; standard error of a ratio, linearised */
    BA_OF_FLOPS, /* of a warm first token */
} ba_quantity;

/* Over the tasks [n]; b NULL: of a itself, else of a - b on the items that both have. */
ba_estimate ba_estimate_of(const ba_eval_rows *rows, ba_quantity what, ba_row_key a, const ba_row_key *b,
                           const char *const *tasks, size_t n);

/* The same of a - b where both are means of some rows, on the items that all of these have; of a itself: b has none. */
ba_estimate ba_difference_of(const ba_eval_rows *rows, ba_quantity what, ba_row_keys a, ba_row_keys b,
                             const char *const *tasks, size_t n);

/* Of mean(of - from) / mean(to - from), means over tasks: 95 %, from draws of items of all tasks together. */
ba_interval ba_share_of(const ba_eval_rows *rows, ba_quantity what, ba_row_keys from, ba_row_keys to, ba_row_keys of,
                        const char *const *tasks, size_t n);

/* From values top[n] / bottom[n] of one task: sum(top) / sum(bottom), and the square of its standard error. */
void ba_ratio(const double *top, const double *bottom, size_t n, double *ratio, double *variance);

#endif
