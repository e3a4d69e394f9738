/* Inside of a run, shared by the files of this folder. Each part below is one file, and calls only files further down:
 *
 *   prefill.c   the passes of the schedule, one after the other
 *   extend.c    logits and more tokens, after prefill
 *   limits.c    what a run refuses
 *   choice.c    probes, and a pass whose rows are chosen on the way
 *   pick.c      from scores to chosen rows
 *   paths.c     scores of paths
 *   head.c      log-probabilities
 *   walk.c      rows through the layers
 *   keys.c      the keys that a node looks at
 *   lookup.c    what the store has, and what it is given
 *   run.c       memory, and small questions about a plan */
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
    size_t merged;   /* keys of its edges before its own (BA_MERGE_KEYS) */
    size_t edge0;    /* where its edges begin in shown and patch */
    double *aux;     /* [1 + d_model] of a node whose path is scored: sum of log P, last hidden row; owned; or NULL */
} ba_held;

/* What a choice has taken; freed with ba_run_free_chosen. n: keys of all edges of the node that chooses. */
typedef struct ba_chosen_rows {
    double *score; /* [2, n] of one or two scores */
    size_t *row;   /* [stats.n_chosen_row] ascending, counted over the keys of all edges */
    size_t *token; /* the same in the seen nodes, which `run` borrows */
    int32_t *ids;  /* their tokens, the same */
    ba_rows *run;  /* [n_edge + 1] the rows of each edge, then the node's own */
    double *shift; /* [2, 2, n] of K, of V: what each row gives to the mean, and takes of it (kv_shift); or NULL */
} ba_chosen_rows;

struct ba_run {
    ba_engine *e;
    const ba_plan *plan;
    ba_engine_options opt;
    size_t room, extra;  /* tokens that may be appended, that were */
    ba_held *held;       /* [n_node] */
    ba_key *key;         /* [n_node] under which its KV is stored */
    const ba_kv **shown; /* [all edges] what each edge shows; NULL: the edge was removed */
    ba_kv **patch;       /* [all edges] copies with refreshed rows, owned; or NULL */
    ba_buf *end;         /* [1, d_model] hidden row of the prompt's last token */
    ba_buf *last;        /* [1, d_model] hidden row of the last token */
    double *logits;      /* [vocab] */
    bool logits_ready;
    double *rows;         /* [BA_SCORE_ROWS, vocab] scratch of ba_run_logprob; allocated at its first call */
    uint64_t done, total; /* row-layers, for progress */
    ba_run_stats stats;
    ba_lookup_record *lookup;
    ba_chosen_rows chosen;
    double *path_score;
    uint8_t *path_kept;
};

/* Functions return 0; -1: out of memory; and BA_INTERRUPTED where they report progress. */

/* --- choice.c --- */

/* A pass of one node that chooses which rows it refreshes; `all` holds all of them. Ends with r->end filled. */
int ba_run_walk_choice(ba_run *r, const ba_work *w, const ba_batch *all);
/* The probe of a choice by attention: the node's rows through the layers, and the choice. */
int ba_run_probe(ba_run *r, const ba_work *w, const ba_batch *b);

/* --- pick.c --- */

/* Fills r->chosen from its scores, and the run's statistics. */
int ba_run_choose(ba_run *r, size_t node);
void ba_run_free_chosen(ba_chosen_rows *c);
/* Keys of all edges. */
size_t ba_run_keys(const ba_node *v);

/* --- paths.c --- */

/* Adds the log P of the node's tokens that rows [row0, ..) of the pass predict to its aux, and after its last row keeps
 * that hidden row. */
int ba_run_score(ba_run *r, const ba_work *w, size_t row0);
/* Scores of all paths, and which are kept. */
int ba_run_keep_paths(ba_run *r);

/* --- head.c --- */

/* out[i] = log P(ids[i] | hidden row row0 + i of `from`), i < n. */
int ba_run_logprob(ba_run *r, ba_view from, size_t row0, size_t n, const int32_t *ids, double *out);

/* --- walk.c --- */

/* Pointers and rotations of a batch to which nothing more will be added. */
int ba_run_finish(ba_run *r, ba_batch *b);
/* Layers [first, end) for a finished batch whose rows are in net->x. last: its last job is the output node's, and is
 * shown to the caller's probes. */
int ba_run_walk(ba_run *r, const ba_batch *b, size_t first, bool last, ba_stage stage, bool stable);
/* The part of a layer after its keys. */
int ba_run_layer(ba_run *r, const ba_batch *b, size_t layer, bool last, bool stable);
/* Reports that `rows` more went through a layer; BA_INTERRUPTED if the caller wants to stop. */
int ba_run_step(ba_run *r, ba_stage stage, size_t rows);
/* Copies the hidden row of one token out of net->x, to r->end or r->last. */
void ba_run_take_row(ba_run *r, size_t row, ba_buf *to);

/* --- keys.c --- */

/* Makes what has to be there before the first row of a node is computed: its KV, and what its edges show. */
int ba_run_prepare(ba_run *r, const ba_work *w);

/* --- lookup.c --- */

/* Looks up all stored nodes; have[node] = 1 for those found. */
int ba_run_look_up(ba_run *r, const ba_schedule *s, uint8_t *have);
/* Gives the KV of a stored node, now complete, to the store. seconds: that encoding it took. */
int ba_run_keep(ba_run *r, size_t node, double seconds);

/* --- limits.c --- */

/* What a run refuses before it computes anything. 0, or -1 and err. */
int ba_run_check_ids(const ba_engine *e, const ba_plan *plan, char err[BA_ERR_LEN]);
/* Why a run ended with rc: interrupted, a failed device, or no memory. */
void ba_run_explain(const ba_run *r, int rc, char err[BA_ERR_LEN]);
/* Also notes in the run's statistics what KV and work space take. s: with what the store has left out. */
int ba_run_check_memory(ba_run *r, const ba_schedule *s, const uint8_t *have, size_t rows, char err[BA_ERR_LEN]);

/* --- run.c --- */

/* NULL: out of memory. Freed with ba_run_free. */
ba_run *ba_run_new(ba_engine *e, const ba_plan *plan, const ba_engine_options *opt, size_t room);
/* Adds what the backend counted since `before` to the run's count. */
void ba_run_count(ba_run *r, ba_counters before);
bool ba_run_is_last(const ba_run *r, size_t node);
/* Whether rows leave a pass on the way through the layers. */
bool ba_run_drops_rows(const ba_plan *plan);
/* Whether a node's tokens are scored, because its path may be dropped. */
bool ba_run_scored(const ba_plan *plan, size_t node);
/* How a node looks at what its edges show. */
ba_look ba_run_look(ba_run *r, size_t node);
/* A KV of the model's shape, owned by the caller; NULL: out of memory. And the bytes of one. */
ba_kv *ba_run_new_kv(ba_run *r, size_t tokens);
uint64_t ba_run_kv_bytes(const ba_run *r, size_t tokens);

#endif
