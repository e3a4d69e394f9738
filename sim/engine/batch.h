/* Rows of several nodes that go through the layers side by side: which tokens they are, where their keys and values are
 * written, and what they see. Worked out once for all layers, from the plan's geometry (visible.h). */
#ifndef BA_BATCH_H
#define BA_BATCH_H

#include "kernels/backend.h"
#include "sim/plan/visible.h"

/* Keys and values of rows [row0, row0 + n) of the batch become tokens at, at + 1, .. (or token[i]) of kv. */
typedef struct ba_kv_rows {
    ba_kv *kv;
    size_t at;
    const int32_t *token; /* [n], or NULL */
    size_t row0, n;
    size_t rot_row; /* the first row's rotation */
} ba_kv_rows;

typedef struct ba_batch {
    size_t rows;
    int32_t *ids; /* [rows] */
    ba_kv_rows *write;
    size_t n_write;
    ba_attn_job *job, *job_local; /* [n_job] for full and for sliding-window layers: they differ in lo only */
    size_t n_job;
    double *place; /* [n_place] the angle of each rotation, in positions */
    size_t n_place;
    struct ba_batch_parts *parts; /* arrays under construction */
} ba_batch;

/* A run of rows of one viewer, and their tokens. run.row is borrowed while the batch is alive. */
typedef struct ba_rows {
    ba_run_of_rows run;
    const int32_t *ids; /* [run.n], copied */
} ba_rows;

/* How one node looks at KV during a run. All of it is borrowed. */
typedef struct ba_look {
    const ba_plan *plan;
    size_t node;
    const ba_kv *const
        *shown;          /* [n_edge] what each edge shows: the seen node's KV or a patched copy; NULL: edge removed */
    ba_kv *const *patch; /* [n_edge] where refreshed rows are written; NULL: none are */
    ba_kv *own;          /* where own rows are written */
    size_t merged;       /* > 0 (BA_MERGE_KEYS): own holds that many keys of the edges, at absolute places, before the
                            node's own keys, and is all that is seen */
    size_t window;       /* tokens that sliding-window layers see; 0: there are no such layers */
} ba_look;

/* NULL: out of memory. */
ba_batch *ba_batch_new(void);
void ba_batch_free(ba_batch *b);
/* Appends runs of rows of one viewer. bottom_right: row i of its m rows sees keys 0 .. i + n - m of the n it is shown.
 * 0, or -1: out of memory. */
int ba_batch_add(ba_batch *b, const ba_look *look, const ba_rows *rows, size_t n_runs, bool bottom_right);
/* Sets all pointers; nothing may be added afterwards. 0, or -1: out of memory. */
int ba_batch_finish(ba_batch *b);

#endif
