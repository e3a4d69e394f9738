/* The passes in which a plan is executed, given what is already stored. A pure function used by both the engine, which
 * executes it, and the cost model, which adds it up; so counted and computed FLOPs are equal.
 *
 * A pass is one walk through all layers with the rows of several nodes side by side. All missing nodes of one depth are
 * encoded in as few passes as max_rows allows, stored nodes before the others (they are timed separately); a node that
 * does not fit into a pass continues in the next one. Two nodes with the same key (a repeated passage) are encoded
 * once, except the last node, whose hidden rows are needed. A node with refreshed rows, or whose rows make one choice
 * together, has a pass of its own, of any size; if it chooses by attention, its probe has another before that. A node
 * that is seen only by nodes found in the store is not encoded. */
#ifndef BA_SCHEDULE_H
#define BA_SCHEDULE_H

#include "plan.h"

/* BA_PASS_ROWS: rows of a pass by default; enough that weights are read once for many rows, few enough that activations
 * stay in the caches. BA_SCORE_ROWS: rows that go through the LM head at once when paths are scored. */
enum { BA_PASS_ROWS = 1024, BA_SCORE_ROWS = 32 };

typedef struct ba_work {
    size_t node;
    size_t row0, rows; /* own rows [row0, row0 + rows) */
    size_t refreshed;  /* rows of other nodes that come before them in the pass; the most, if chosen by attention */
    bool probe;        /* all own rows, to choose by their attention: another work item of the node follows */
} ba_work;

typedef struct ba_pass {
    size_t work0, n_work;
    size_t rows; /* of all its work, refreshed included */
    bool online; /* has a node that is not stored: prefill of the question */
} ba_pass;

typedef struct ba_schedule {
    ba_work *work;
    ba_pass *pass;
    size_t n_pass, n_work;
    size_t *same;      /* [n_node] the first node with the same key (itself if none) */
    size_t n_computed; /* rows of all passes */
    size_t n_reused;   /* tokens of nodes taken from the store, or from another node with the same key */
} ba_schedule;

/* have[node] != 0: its KV was found in the store; have NULL: none was. max_rows >= 1. NULL: out of memory. */
ba_schedule *ba_schedule_new(const ba_plan *plan, const uint8_t *have, size_t max_rows);
void ba_schedule_free(ba_schedule *s);

#endif
