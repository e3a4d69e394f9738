/* The plan: what is encoded, and what attends to what. A value: it can be built, checked, printed, hashed, costed
 * without running, and executed. Knows no mode and no model.
 *
 * A node is one encoding of a run of tokens. Its rows attend causally to the node itself and to what its edges show.
 * Position belongs to the edge: row r of a node stands at pos + r step; key j of the seen node stands at at + j
 * seen.step in the viewer's frame. Keys are kept rotated at their node-local position j step, so an edge costs one
 * rotation of the queries by (pos - at), and none of the keys. */
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
    double at;       /* where its key 0 stands (key 0 of the node, also if first > 0) */
    double inv_temp; /* scores times this; 1 = none */
    double bias;     /* added to scores; 0 = none */
    int group;       /* 0, or index + 1 into the viewer's lse_scale: log-sum-exp of the group times that */
    bool selectable; /* candidate of the viewer's select_k */
    size_t refresh;  /* the viewer computes keys [first, first + refresh) again, in every layer, as rows of its own pass
                        at their place. Such a row sees what the edges before this one show and the keys of this one
                        up to itself; every row sees refreshed keys in place of stored ones. */
} ba_edge;

typedef enum ba_score_part { BA_SCORE_V, BA_SCORE_K } ba_score_part;

/* Rows refreshed by choice (CacheBlend, arXiv 2405.16444): layers below `layer` compute all rows of all seen nodes
 * afresh; at `layer` K and V of all rows are fresh and the `count` rows whose stored V (or K) is farthest from the
 * fresh one, in squared distance, are kept (ties to the lower index); only these and the viewer's own rows attend in
 * `layer` and go on; from layer + 1 on their fresh K and V replace the stored ones. */
typedef struct ba_choice {
    size_t count; /* rows kept; meaningful if on */
    size_t layer; /* 1 */
    ba_score_part score;
    bool on;
    bool bottom_right; /* row i of the m kept rows (viewer's own included) sees keys 0 .. i + n - m, else its past */
    size_t bottom_right_from; /* first layer with that mask: 1 or 2 */
} ba_choice;

typedef struct ba_node {
    int32_t *ids; /* [n], owned by the plan; tokens of the prompt and those that the mode inserts */
    size_t n;
    size_t skip;       /* leading rows that nobody sees (dropped dummies): for printing only */
    size_t seg, n_seg; /* prompt segments [seg, seg + n_seg) that it encodes */
    double pos, step;  /* place of row 0 in its own frame; distance between rows */
    bool stored;       /* depends on nothing but itself and what it sees: may live in the store */
    ba_edge *edge;     /* [n_edge], owned; in the order of their places */
    size_t n_edge;
    double *lse_scale; /* [n_group] */
    size_t n_group;
    size_t select_k, select_top; /* per layer, head and row keep the best select_k selectable edges; 0 = off */
    bool select_shared;          /* one choice a layer for all heads and rows */
    ba_choice choice;            /* of the last node only */
    size_t path; /* 0, or the number (from 1) of the path that it belongs to (Superposition, arXiv 2404.06910) */
} ba_node;

typedef struct ba_plan {
    char *mode;    /* canonical spelling, for the record only */
    ba_node *node; /* [n_node], a viewer behind all it sees; the last node gives the answer */
    size_t n_node;
    size_t n_path;     /* paths; a path is its stored context node and its question copy, in this order */
    size_t keep_paths; /* 0 = all; else edges to nodes of paths whose score is not among the best are removed.
                          Score = mean log P of the context's tokens without its first + mean log P of all question
                          tokens (the first is predicted by the context's last row); an empty mean is 0 */
    bool skip_first;   /* the first question token is left out of the score */
    size_t n_tokens;   /* of the request, plus BOS kept, plus sinks inserted; copies not counted */
    char note[256];    /* something a user should know ("k is longer than every passage: equals full"); may be empty */
} ba_plan;

typedef struct ba_key {
    uint64_t lo, hi;
} ba_key;

/* Building. All return -1 (or SIZE_MAX for an index) when out of memory. */
ba_plan *ba_plan_new(const char *mode);
void ba_plan_free(ba_plan *plan);
/* Appends a node with a copy of ids; step 1, pos 0, nothing else set. Pointers to nodes are invalid afterwards. */
size_t ba_plan_add_node(ba_plan *plan, const int32_t *ids, size_t n, size_t seg, size_t n_seg);
/* Appends an edge that shows all of `seen` at `at`; NULL on failure. Pointers to edges of the viewer are invalid
 * afterwards. */
ba_edge *ba_plan_add_edge(ba_plan *plan, size_t viewer, size_t seen, double at);

/* 0 if well formed: indices, ranges, finite positions, steps above 0, no empty node, refresh within range, paths in
 * pairs, fewer than 2^31 tokens. Else -1 and err. */
int ba_plan_check(const ba_plan *plan, char err[BA_ERR_LEN]);

/* Hash of everything that decides the result: mode and note excluded, and a shift of all positions by one constant. */
ba_key ba_plan_hash(const ba_plan *plan);

/* Content address of a node's KV: its ids, step, and what it sees from where, recursively; independent of its place, of
 * its segment, and of whether it is stored. Walks down every edge: for a node that sees little (a stored one). */
ba_key ba_plan_node_key(const ba_plan *plan, size_t node);

/* The same for all nodes at once, key[n_node], each hashed once. */
void ba_plan_keys(const ba_plan *plan, ba_key *key);

/* Rows that refresh keys of other nodes in this node's pass (static ones, or all if it has a choice). */
size_t ba_node_refreshed(const ba_plan *plan, const ba_node *node);

/* Visibility: rows of all nodes in order (skip rows left out) against the same list; cell(r, c) = 1 if row r, in its
 * last computed form, sees key c. Returns the number of rows; calls emit for every row with `n` flags, until it returns
 * non-zero. Dynamic choices are shown as if everything were kept. */
size_t ba_plan_mask(const ba_plan *plan, int (*emit)(void *arg, size_t row, const uint8_t *flags, size_t n), void *arg);

#endif
