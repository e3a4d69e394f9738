/* In which passes a plan is executed, given what is stored already. A pure function, shared by the engine, which
 * executes it, and by cost, which adds it up: that is why counted and computed FLOPs are equal.
 *
 * A pass is one walk through all layers with the rows of several nodes side by side. All nodes of one depth that are
 * missing are encoded in as few passes as max_rows allows, stored ones before the others (they are timed apart); a node
 * that does not fit into the rest of a pass goes on in the next. Two nodes with one key (a repeated passage) are
 * encoded once, except the last node, whose hidden rows are wanted. A node with refreshed rows, or whose rows
 * make one choice together, runs alone in one pass, whatever its size. A node that only nodes in the store see is not
 * needed and not encoded. */
#ifndef BA_SCHEDULE_H
#define BA_SCHEDULE_H

#include "plan.h"

/* Rows of a pass unless the caller says otherwise: enough that weights are read once for many rows, few enough that
 * activations stay near the cores. And rows that pass through the LM head at once when paths are scored. */
enum { BA_PASS_ROWS = 1024, BA_SCORE_ROWS = 32 };

typedef struct ba_work {
    size_t node;
    size_t row0, rows; /* own rows [row0, row0 + rows) */
    size_t refreshed;  /* rows of other nodes that come before them in the pass */
} ba_work;

typedef struct ba_pass {
    size_t work0, n_work;
    size_t rows; /* of all its work, refreshed included */
    bool online; /* holds a node that is not stored: question prefill */
} ba_pass;

typedef struct ba_schedule {
    ba_work *work;
    ba_pass *pass;
    size_t n_pass, n_work;
    size_t *same;      /* [n_node] the first node with the same key (itself if none) */
    size_t n_computed; /* rows of all passes */
    size_t n_reused;   /* tokens of nodes taken from the store or from a twin */
} ba_schedule;

/* have[node] != 0: its KV is there (NULL: nothing is). max_rows >= 1. NULL: out of memory. */
ba_schedule *ba_schedule_new(const ba_plan *plan, const uint8_t *have, size_t max_rows);
void ba_schedule_free(ba_schedule *s);

#endif
