/* FLOPs and bytes of a plan without running it: needs a shape, no weights. Equals the kernels' counters exactly,
 * because engine and cost follow one schedule. */
#ifndef BA_COST_H
#define BA_COST_H

#include "plan.h"
#include "schedule.h"
#include "sim/model/shape.h"

/* Bytes of one element in a backend. */
typedef struct ba_sizes {
    size_t real, weight, kv;
} ba_sizes;

typedef struct ba_cost {
    uint64_t flops_exact; /* matrix products and visible query-key pairs; LM head on head_rows rows */
    uint64_t flops_dense; /* the same, but all pairs of a viewer's rows and a seen segment's keys */
    uint64_t flops_paper; /* Block-Attention's convention (arXiv 2409.15355, Table 3): 2 x (layer weights + LM head) per
                             computed token (in each layer, where rows stop on the way), no attention */
    uint64_t flops_attention; /* the part of flops_exact that is attention */
    uint64_t bytes_read, bytes_written;
    uint64_t kv_bytes; /* KV of all distinct nodes, at the backend's element size */
    size_t n_computed, n_reused;
    /* Share of the reusable tokens (prefix and passages) whose K and V are computed again when all that can be stored is:
     * rows computed, summed over layers, plus for a choice by attention the viewer's rows times the layers of its probe,
     * over layers x reusable tokens. So it may exceed 1; 0 without reusable tokens. */
    double charged;
} ba_cost;

/* What was chosen while a plan ran, as in ba_run_stats, where the cost depends on it. NULL: as many rows as can be
 * chosen (two scores choose no row twice, windows do not overlap), evenly spread, and the paths with the lowest numbers.
 */
typedef struct ba_chosen {
    const size_t *row; /* [n_row] ascending, counted over the keys of all edges */
    size_t n_row;
    const uint8_t *path; /* [n_path] 1 = kept */
} ba_chosen;

/* head_rows: rows that go through the LM head after the last pass, in one product (1 for a first token). Scores of
 * paths add their own: the rows of contexts and question copies that are computed in this run and predict a token of
 * the same node, BA_SCORE_ROWS at a time, and one row per path for the question's first token (also if plan->skip_first
 * leaves it out of the score). What is chosen while the plan runs is estimated as in ba_chosen. 0, or -1 and err (out
 * of memory, a size that overflows). */
int ba_cost_plan(const ba_shape *shape, const ba_plan *plan, const ba_schedule *schedule, ba_sizes sizes,
                 size_t head_rows, ba_cost *out, char err[BA_ERR_LEN]);

/* ba_cost.charged alone; chosen: as below. 0, or -1 and err. */
int ba_cost_charged(const ba_shape *shape, const ba_plan *plan, const ba_chosen *chosen, double *out,
                    char err[BA_ERR_LEN]);

/* The same after a run, with what was chosen in it. */
int ba_cost_run(const ba_shape *shape, const ba_plan *plan, const ba_schedule *schedule, ba_sizes sizes,
                size_t head_rows, const ba_chosen *chosen, ba_cost *out, char err[BA_ERR_LEN]);

#endif
