/* The plan: what is encoded, and what attends to what. It is a value: it can be built, checked, printed, hashed, costed
 * without running, and executed. It depends on no mode and no model.
 *
 * A node is one encoding of a run of tokens. Its rows attend causally to the node itself, and to the keys that its
 * edges show. Position belongs to the edge: row r of a node has position pos + r step; key j of the seen node has
 * position at + j seen.step in the viewer's frame. Keys are stored rotated by their node-local position j step, so an
 * edge costs one rotation of the queries by (pos - at), and no rotation of keys. */
#ifndef BA_PLAN_H
#define BA_PLAN_H

#include "kernels/base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct ba_edge {
    size_t seen;     /* index of the seen node, smaller than the viewer's */
    size_t first, n; /* keys [first, first + n) of it */
    double at;       /* position of key 0 of the seen node in the viewer's frame, also if first > 0 */
    double inv_temp; /* multiplies scores; 1 = none */
    double bias;     /* added to scores; 0 = none */
    int group;       /* 0, or index + 1 into the viewer's lse_scale, which multiplies the group's log-sum-exp */
    bool selectable; /* candidate of the viewer's select_k */
    size_t refresh;  /* keys [first, first + refresh) are computed again in every layer, as rows of the viewer's own
                        pass at their position. Such a row sees what the edges before this one show, and the keys of
                        this one up to itself; every row sees refreshed keys instead of stored ones. */
} ba_edge;

typedef enum ba_score_part { BA_SCORE_V, BA_SCORE_K } ba_score_part;

/* Rows refreshed by choice (CacheBlend, arXiv 2405.16444). Layers below `layer` compute all rows of all seen nodes
 * again. At `layer`, K and V of all rows are fresh, and the `count` rows whose stored V (or K) has the largest squared
 * distance from the fresh one are kept (ties to the lower index). Only these and the viewer's own rows attend in
 * `layer` and continue; from layer + 1 on their fresh K and V replace the stored ones. */
typedef struct ba_choice {
    size_t count; /* rows kept; meaningful if on */
    size_t layer; /* >= 1 */
    ba_score_part score;
    bool on;
    bool bottom_right; /* row i of the m kept rows (viewer's own included) sees keys 0 .. i + n - m; else its past */
    size_t bottom_right_from; /* first layer with that mask: layer or layer + 1 */
} ba_choice;

typedef struct ba_node {
    int32_t *ids; /* [n], owned by the plan; tokens of the prompt and those that the mode inserts */
    size_t n;
    size_t skip;       /* leading rows that no edge shows (dropped dummies): for printing only */
    size_t seg, n_seg; /* prompt segments [seg, seg + n_seg) that it encodes */
    double pos, step;  /* position of row 0 in its own frame; distance between rows */
    bool stored;       /* its KV is looked up in the store, and kept there */
    ba_edge *edge;     /* [n_edge], owned; in the order of summation */
    size_t n_edge;
    double *lse_scale; /* [n_group], owned */
    size_t n_group;
    size_t select_k, select_top; /* per layer, head and row keep the best select_k selectable edges; 0 = off */
    bool select_shared;          /* one choice a layer for all heads and rows */
    ba_choice choice;            /* of the last node only */
    size_t path; /* 0, or the number (from 1) of the path that it belongs to (Superposition, arXiv 2404.06910) */
} ba_node;

typedef struct ba_plan {
    char *mode;    /* canonical spelling, for the record only */
    ba_node *node; /* [n_node], owned; a viewer comes after all it sees; the last node gives the answer */
    size_t n_node;
    size_t n_path;     /* paths; a path is its stored context node and its question copy, in this order */
    size_t keep_paths; /* 0 = all; else edges to nodes of all but the keep_paths paths of the best score are removed.
                          Score = mean log P of the context's tokens without its first + mean log P of all question
                          tokens (the first is predicted by the context's last row); an empty mean is 0 */
    bool skip_first;   /* the first question token is left out of the score */
    size_t n_tokens;   /* of the request, plus BOS kept, plus sinks and links inserted; copies are not counted */
    char note[256];    /* a remark for the user ("k is longer than every passage: equals full"); may be empty */
} ba_plan;

typedef struct ba_key {
    uint64_t lo, hi;
} ba_key;

/* NULL: out of memory. */
ba_plan *ba_plan_new(const char *mode);
void ba_plan_free(ba_plan *plan);
/* Appends a node with a copy of ids; step 1, pos 0, all else 0. Returns its index; SIZE_MAX: out of memory. Pointers to
 * nodes are invalid afterwards. */
size_t ba_plan_add_node(ba_plan *plan, const int32_t *ids, size_t n, size_t seg, size_t n_seg);
/* Appends an edge that shows all of `seen` at `at`. NULL: out of memory. Pointers to edges of the viewer are invalid
 * afterwards. */
ba_edge *ba_plan_add_edge(ba_plan *plan, size_t viewer, size_t seen, double at);

/* 0 if well formed: indices, ranges, finite positions, steps above 0, no empty node, refresh within range, paths in
 * pairs, fewer than 2^31 tokens. Else -1 and err. */
int ba_plan_check(const ba_plan *plan, char err[BA_ERR_LEN]);

/* Hash of all that the result depends on. Mode and note are not in it, nor is a shift of all positions by one constant.
 */
ba_key ba_plan_hash(const ba_plan *plan);

/* Content addresses of all nodes' KV, key [n_node]: a node's ids, its step, and what it sees at which distance, by the
 * addresses of the seen nodes; its own position, its segment and whether it is stored do not matter. */
void ba_plan_keys(const ba_plan *plan, ba_key *key);

/* Rows that refresh keys of other nodes in this node's pass: `refresh` of its edges, or all keys if it has a choice. */
size_t ba_node_refreshed(const ba_plan *plan, const ba_node *node);

/* The mask: rows of all nodes in order, without skipped rows, against the same list of keys. flags[c] = 1 if the row,
 * in the form computed last, sees key c. Calls emit for every row with its n flags until it returns non-zero; returns
 * the number of rows. Choices made during a run are shown as if everything were kept. */
size_t ba_plan_mask(const ba_plan *plan, int (*emit)(void *arg, size_t row, const uint8_t *flags, size_t n), void *arg);

#endif
