/* Means over tasks with their standard errors: of one row of a table (a model's label and a mode), or of the paired
 * difference of two. Every task has the same weight, as in the paper's averages. Several rows (seeds of a model) count as
 * one row, whose value of an item is the mean of theirs. */
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
    double mean, low, high; /* 95 % (ba_mean_over); NaN: no items */
    size_t n_item, n_task;  /* that it was computed from */
} ba_estimate;

typedef enum ba_quantity {
    BA_OF_SCORE,   /* a mean */
    BA_OF_NLL,     /* nats a token: sums over items */
    BA_OF_FLOPS,   /* of a warm first token */
    BA_OF_CHARGED, /* share of the reusable tokens that is computed again (ba_cost.charged) */
} ba_quantity;

/* Over tasks [n]: of a if b is NULL, else of a - b on the items that both have. */
ba_estimate ba_estimate_of(const ba_eval_rows *rows, ba_quantity what, ba_row_key a, const ba_row_key *b,
                           const char *const *tasks, size_t n);

/* The same for means of several rows, on the items that all of them have; of a alone if b has no rows. */
ba_estimate ba_difference_of(const ba_eval_rows *rows, ba_quantity what, ba_row_keys a, ba_row_keys b,
                             const char *const *tasks, size_t n);

/* Interval (95 %) of mean(of - from) / mean(to - from), means over tasks: a bootstrap over the items of all tasks. */
ba_interval ba_share_of(const ba_eval_rows *rows, ba_quantity what, ba_row_keys from, ba_row_keys to, ba_row_keys of,
                        const char *const *tasks, size_t n);

#endif
