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
    size_t quota;    /* of the viewer's choice, if it has one: most keys that each score chooses here; SIZE_MAX: all */
} ba_edge;

/* A row's score, by which rows are chosen.
 *
 * Scores of change: all rows of the seen nodes are computed again below `layer`; at `layer` K and V of all rows are
 * fresh, and a row's score is the squared distance of the fresh one from the stored one, over heads and dimensions.
 * Scores of attention: the viewer's rows run through the layers as if nothing were chosen, which changes nothing. A key's
 * score is what the voting rows attend to it: its probability in the softmax over the keys of all edges (not over the
 * viewer's own), as a mean over rows and heads, and over the layers that count. */
typedef enum ba_score {
    BA_SCORE_V,
    BA_SCORE_K,
    BA_SCORE_K_AND_V,   /* two lists, each with the whole budget; the rows of both are chosen */
    BA_SCORE_ATTENTION, /* of every row and query head */
    BA_SCORE_MEAN_QUERY /* of one query a KV head: the mean of the rotated queries of all rows and heads that share it */
} ba_score;

/* Layers of a model whose number of layers L is not known yet. */
typedef enum ba_layer_kind {
    BA_LAYERS_ALL,
    BA_LAYERS_MIDDLE, /* floor(L / 3) .. floor(2 L / 3) - 1, at least one */
    BA_LAYERS_LISTED
} ba_layer_kind;

enum { BA_MOST_LAYERS = 256 }; /* that can be listed */

typedef struct ba_layer_set {
    ba_layer_kind kind;
    uint64_t listed[BA_MOST_LAYERS / 64]; /* bit l % 64 of element l / 64 */
} ba_layer_set;

/* Rows refreshed by choice, after a probe. By each score, the `count` rows with the highest are chosen (ties to the
 * lower index), of each edge at most its quota, and with each row the next window - 1 keys of its edge.
 *
 * By change (CacheBlend, arXiv 2405.16444): only the chosen and the viewer's own rows attend in `layer` and continue;
 * from layer + 1 on their fresh K and V replace the stored ones. By attention (ProphetKV, arXiv 2602.02579): the chosen
 * and the viewer's own rows are computed from the embeddings through all layers.
 *
 * shift, with BA_SCORE_K_AND_V: in every layer after `layer`, the other rows of an edge move by the mean change of those
 * that were chosen by the score of K (for K; of V for V), times the square root of their own score, at most 1. */
typedef struct ba_choice {
    bool on;
    ba_score score;
    size_t count, window; /* window >= 1 */
    size_t layer;         /* by change: >= 1 */
    bool
        bottom_right; /* by change: row i of the m rows (viewer's own included) sees keys 0 .. i + n - m; else its past */
    size_t bottom_right_from; /* first layer with that mask: layer or layer + 1 */
    bool shift;
    size_t vote, n_vote; /* by attention: the viewer's rows [vote, vote + n_vote) */
    ba_layer_set layers; /* by attention: whose scores count; the probe ends with the queries of the last */
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
    bool continues;    /* its stored nodes are what the prompt before this one has left in the KV cache */
    bool skip_first;   /* the first question token is left out of the score */
    size_t n_tokens;   /* of the request, plus BOS kept, plus sinks and links inserted; copies are not counted */
    size_t question, n_question; /* the last block: its first segment, its tokens; what is before it can be reused */
    char note[256]; /* a remark for the user ("k is longer than every passage: equals full"); may be empty */
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

/* Keys of an edge that its viewer may compute again. */
size_t ba_edge_refreshed(const ba_node *viewer, const ba_edge *e);
/* Most rows that refresh keys of other nodes in this node's pass: `refresh` of its edges; all keys if it chooses by
 * change; the most that it can choose by attention. */
size_t ba_node_refreshed(const ba_node *node);
/* Most rows that a choice takes of one edge, and of all. */
size_t ba_edge_chosen(const ba_node *viewer, const ba_edge *e);
size_t ba_node_chosen(const ba_node *node);
/* Rows for which a pass had room, and which a choice of n did not take: 0 but for choices by attention. */
size_t ba_node_spare(const ba_node *node, size_t n);
bool ba_choice_by_attention(const ba_choice *c);
/* Whether a layer's scores count, and the number of layers that the probe runs: up to the last that counts, or (by
 * change) up to the choice. Needs ba_plan_fits. */
bool ba_choice_counts(const ba_choice *c, size_t layer, size_t n_layers);
size_t ba_choice_layers(const ba_choice *c, size_t n_layers);
/* 0 if the plan names only layers that a model of n_layers has. Else -1 and err. */
int ba_plan_fits(const ba_plan *plan, size_t n_layers, char err[BA_ERR_LEN]);

/* The mask: rows of all nodes in order, without skipped rows, against the same list of keys. flags[c] = 1 if the row,
 * in the form computed last, sees key c. Calls emit for every row with its n flags until it returns non-zero; returns
 * the number of rows. Choices made during a run are shown as if everything were kept. */
size_t ba_plan_mask(const ba_plan *plan, int (*emit)(void *arg, size_t row, const uint8_t *flags, size_t n), void *arg);

#endif
