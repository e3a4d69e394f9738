/* Inside of a run, shared by engine.c (prefill) and run.c (what follows). */
#ifndef BA_RUN_H
#define BA_RUN_H

#include "engine.h"
#include "layers.h"
#include "schedule.h"

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

/* Walks a finished batch through all layers. 0, BA_INTERRUPTED, or -1: out of memory. */
int ba_run_walk(ba_run *r, const ba_batch *b, ba_stage stage, bool stable);
/* Reports progress; BA_INTERRUPTED if the caller wants to stop. */
int ba_run_step(ba_run *r, ba_stage stage, size_t rows);
/* log P of ids[i] behind row row0 + i of net->x, i < n; into out. 0 or -1: out of memory. */
int ba_run_logprob(ba_run *r, ba_view from, size_t row0, size_t n, const int32_t *ids, double *out);
ba_look ba_run_look(ba_run *r, size_t node);
/* after - before, field by field. */
ba_counters ba_counters_less(ba_counters after, ba_counters before);
double ba_now(void);

#endif
