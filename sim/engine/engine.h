/* Executes plans on a model with a backend; knows no attention mode.
 *
 * An engine owns the weights, in the backend's form, and its work space. A run is a prompt after prefill: it holds the
 * KV that the answer attends to, and can be continued by one token or many at once. Several runs may exist at a time;
 * an engine and its runs take one call at a time. */
#ifndef BA_ENGINE_H
#define BA_ENGINE_H

#include "kernels/backend.h"
#include "profile.h"
#include "sim/files/packed.h"
#include "sim/model/model.h"
#include "sim/plan/plan.h"
#include "sim/store/store.h"

typedef struct ba_engine ba_engine;
typedef struct ba_run ba_run;

/* Stages of TTFT, in order. Each is timed separately; a stage that does not occur has 0. */
typedef enum ba_stage {
    BA_STAGE_TOKENIZE, /* the caller's */
    BA_STAGE_LOOKUP,   /* keys and store look-ups */
    BA_STAGE_LOAD,     /* finding blocks in the store's tiers, and loading them */
    BA_STAGE_ENCODE,   /* missing blocks */
    BA_STAGE_MERGE,    /* concatenating and rotating keys (BA_MERGE_KEYS), copies for refreshed rows */
    BA_STAGE_PREFILL,  /* the question */
    BA_STAGE_FIRST,    /* LM head and choice of the first token */
    BA_STAGE_COUNT
} ba_stage;
const char *ba_stage_name(ba_stage s);

typedef enum ba_executor {
    BA_IN_PLACE,   /* queries are rotated for each segment; keys are neither moved nor rotated again */
    BA_MERGE_KEYS, /* the paper's way, for the last node: concatenate caches, rotate keys, one segment */
} ba_executor;

/* What the rows of the output node attend to in one layer, segment by segment: its edges that were not removed, in
 * order, and then the node itself. */
typedef struct ba_attention {
    size_t layer, rows, heads, n_seg;
    const size_t *edge;       /* [n_seg] index of the edge; n_edge: the node's own keys */
    const double *lse;        /* [rows, heads, n_seg] log-sum-exp of scores; -INFINITY: nothing is seen */
    const double *mean_score; /* [rows, heads, n_seg] mean of the scores, weighted by their own softmax */
} ba_attention;

typedef struct ba_engine_options {
    ba_executor executor;
    size_t max_rows; /* rows of a pass; 0 = BA_PASS_ROWS */
    uint64_t memory; /* bytes that one run may take for KV and work space; 0 = no limit */
    /* Called between layers; non-zero stops the run with BA_INTERRUPTED. May be NULL. done / total in row-layers. */
    int (*progress)(void *arg, ba_stage stage, uint64_t done, uint64_t total);
    /* Probe of the layers of the last pass: called after each layer with the output node's hidden rows
     * [rows, d_model]. May be NULL. */
    void (*layer)(void *arg, size_t layer, const double *hidden, size_t rows, size_t d_model);
    /* Probe of its attention (slow). May be NULL. */
    void (*attention)(void *arg, const ba_attention *a);
    void *arg;
    ba_profile *profile; /* the run's operations are added to it; must outlive the run; or NULL */
} ba_engine_options;

typedef struct ba_lookup_record {
    size_t node, tokens;
    ba_finding found;
} ba_lookup_record;

typedef struct ba_run_stats {
    double stage[BA_STAGE_COUNT]; /* seconds, monotonic clock */
    ba_counters count;            /* of this run so far */
    size_t n_prompt, n_computed, n_reused;
    uint64_t kv_bytes, work_bytes;
    uint64_t load_bytes;            /* read from the store's tiers */
    double copy_s;                  /* that their copies to a device took, beside the stages; 0: there is none */
    const ba_lookup_record *lookup; /* [n_lookup], owned by the run */
    size_t n_lookup;
    /* What was chosen during the run; owned by it. */
    const size_t *chosen_row; /* [n_chosen_row] refreshed rows, counted over the keys of all edges; see ba_choice */
    size_t n_chosen_row;
    const double *path_score; /* [n_path] */
    const uint8_t *path_kept; /* [n_path] */
    size_t n_path;
} ba_run_stats;

/* Loads the weights. Model, backend and store must outlive the engine. store NULL: no KV outlives its run. adapter:
 * name of the adapter that the model was merged with, part of the address of stored blocks; or NULL. 0, or -1 and err.
 */
int ba_engine_new(ba_model *model, ba_backend *be, ba_store *store, const char *adapter, ba_engine **out,
                  char err[BA_ERR_LEN]);
/* The same with a file of packed weights, which the weights come from, or are written to for the next start. packed:
 * opened for this backend and this model without adapter, must outlive the engine; or NULL. */
int ba_engine_new_packed(ba_model *model, ba_backend *be, ba_store *store, const char *adapter, ba_packed *packed,
                         ba_engine **out, char err[BA_ERR_LEN]);
void ba_engine_free(ba_engine *e);
const ba_shape *ba_engine_shape(const ba_engine *e);
ba_backend *ba_engine_backend(const ba_engine *e);
/* How err begins then. */
#define BA_DEVICE_FAILED "the device failed"
/* 0, or -1 and err if the backend's device has failed: then no result since is to be trusted. */
int ba_engine_check_device(const ba_engine *e, char err[BA_ERR_LEN]);
uint64_t ba_engine_weight_bytes(const ba_engine *e);

/* 0 if the executor can run the plan on this model: merged keys express no choice, no refreshed key and no window. Else
 * -1 and err. */
int ba_engine_can(const ba_engine *e, const ba_plan *plan, ba_executor executor, char err[BA_ERR_LEN]);

/* Prefill. The plan must outlive the run. room: tokens that may be appended. 0; -1 and err; BA_INTERRUPTED and err
 * (finished blocks stay in the store). */
int ba_engine_run(ba_engine *e, const ba_plan *plan, const ba_engine_options *opt, size_t room, ba_run **out,
                  char err[BA_ERR_LEN]);
void ba_run_free(ba_run *r);
const ba_run_stats *ba_run_get_stats(const ba_run *r);

/* Logits after the last token, [vocab], valid until the next call on the run. Computed at the first call after a
 * change. */
const double *ba_run_logits(ba_run *r);

/* 0, or -1 and err if one of these logits is NaN or infinite, or the device has failed: then they must not be used. */
int ba_run_check(ba_run *r, char err[BA_ERR_LEN]);

/* Appends n tokens to the last node; they see what it sees. logprob[i] = log P(ids[i] | all tokens before it), unless
 * it is NULL. 0; -1 and err (no room, no memory, a logprob that is not finite); BA_INTERRUPTED and err. */
int ba_run_extend(ba_run *r, const int32_t *ids, size_t n, double *logprob, char err[BA_ERR_LEN]);

/* Forgets what was appended: the run is again as after prefill. */
void ba_run_rewind(ba_run *r);

/* Next token from logits [n]: temperature 0: argmax, ties to the lower id; else sampled, which advances *rng
 * (random.h). */
int32_t ba_sample(const double *logits, size_t n, double temperature, uint64_t *rng);
/* log(sum exp x[i]). */
double ba_logsumexp(const double *x, size_t n);

#endif
