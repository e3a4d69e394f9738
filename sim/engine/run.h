/* Inside of a run, shared by engine.c (prefill) and run.c (what follows). */
#ifndef BA_RUN_H
#define BA_RUN_H

#include "engine.h"
#include "network.h"
#include "sim/plan/schedule.h"

struct ba_engine {
    ba_network net;
    ba_store *store;
    bool own_store; /* made here because the caller has none */
    char *adapter, *dtype;
    ba_origin origin;
};

/* One node's KV during a run. */
typedef struct ba_held {
    ba_entry *entry; /* pinned, or NULL */
    ba_kv *own;      /* owned by the run, or NULL */
    const ba_kv *kv; /* what viewers see: the entry's or own */
    size_t merged;   /* keys of its edges in front of its own (BA_MERGE_KEYS) */
    size_t edge0;    /* where its edges begin in shown and patch */
    double *aux;     /* stored context of a path: sum of log P, last hidden row [d_model]; owned */
} ba_held;

struct ba_run {
    ba_engine *e;
    const ba_plan *plan;
    ba_engine_options opt;
    size_t room, extra;  /* tokens that may follow, that did */
    ba_held *held;       /* [n_node] */
    const ba_kv **shown; /* [all edges] */
    ba_kv **patch;       /* [all edges], owned */
    ba_buf *end;         /* [1, d_model] hidden row of the prompt's last token */
    ba_buf *last;        /* [1, d_model] hidden row of the last token */
    double *logits;      /* [vocab] */
    bool logits_ready;
    double *rows;         /* [BA_SCORE_ROWS, vocab] scratch of log P; allocated when first needed */
    uint64_t done, total; /* row-layers, for progress */
    ba_run_stats stats;
    ba_lookup_record *lookup;
    size_t *chosen_row;
    double *path_score;
    uint8_t *path_kept;
};

/* --- run_walk.c --- */

/* Layers [first, end) for a finished batch whose rows are in net->x. last: its last job is the output node's, and is
 * shown to the caller's probes. 0, BA_INTERRUPTED, or -1: out of memory. */
int ba_run_walk(ba_run *r, const ba_batch *b, size_t first, bool last, ba_stage stage, bool stable);
/* Reports progress; BA_INTERRUPTED if the caller wants to stop. */
int ba_run_step(ba_run *r, ba_stage stage, size_t rows);
/* The part of a layer behind its keys. last: as above. 0, or -1: out of memory. */
int ba_run_layer(ba_run *r, const ba_batch *b, size_t layer, bool last, bool stable);

/* --- run_keys.c --- */

/* Keys that an edge lets the viewer compute again. */
size_t ba_run_refreshed(const ba_node *viewer, const ba_edge *e);
bool ba_run_is_last(const ba_run *r, size_t node);
/* Whether a node's tokens are scored, because its path may be dropped. */
bool ba_run_scored(const ba_plan *plan, size_t node);
ba_kv *ba_run_new_kv(ba_run *r, size_t tokens);
ba_look ba_run_look(ba_run *r, size_t node);
/* What has to be there before the first row of a node is computed. 0, or -1: out of memory. */
int ba_run_prepare(ba_run *r, const ba_work *w);
/* Pointers and rotations of a batch. 0, or -1: out of memory. */
int ba_run_finish(ba_run *r, ba_batch *b);

/* --- run_choice.c --- */

/* A pass whose rows are thinned out on the way; the batch holds all of them. 0, BA_INTERRUPTED, or -1: out of memory.
 */
int ba_run_walk_choice(ba_run *r, const ba_work *w, const ba_batch *all);

/* --- run_paths.c --- */

typedef struct ba_ranked {
    double value;
    size_t index;
} ba_ranked;
/* For qsort: highest value first, ties to the lower index. */
int ba_ranked_first(const void *a, const void *b);
/* Adds the log P of a path node's tokens that rows [row0, ..) of the pass predict; keeps a context's last hidden row.
 */
int ba_run_score(ba_run *r, const ba_work *w, size_t row0);
/* Scores of all paths, and which are kept. */
int ba_run_keep_paths(ba_run *r);

/* --- run.c --- */

/* log P of ids[i] behind row row0 + i of net->x, i < n; into out. 0 or -1: out of memory. */
int ba_run_logprob(ba_run *r, ba_view from, size_t row0, size_t n, const int32_t *ids, double *out);
/* after - before, field by field. */
ba_counters ba_counters_less(ba_counters after, ba_counters before);

#endif
