/* Time to first token over lengths, passages and modes: the records of the command `ttft`, how a sample is taken, and how
 * results follow from samples. Column tables give names, types and units; traces, CSV and JSON are written from them. */
#ifndef BA_TTFT_H
#define BA_TTFT_H

#include "experiments/cli/cli.h"
#include "experiments/cli/rows.h"
#include "experiments/measure/peak.h"
#include "experiments/measure/workload.h"

#include "sim/plan/cost.h"

/* What is timed: one row of the table `cases`.
 *
 * cold: nothing of the prompt is in the store (it is emptied before each sample). warm: every block that the store
 * keeps is there. A mode none of whose nodes are stored (full) is cold only, and has no keys to merge. */
typedef struct ba_ttft_case {
    uint64_t item; /* index of the case */
    char mode[64], executor[8];
    uint64_t length, question, block_tokens; /* tokens */
    uint64_t passages;                       /* number of passages; the last may be shorter */
    uint64_t cold, timing_only;              /* 0 or 1; timing_only: longer than the context the model was trained on */
    size_t unit;                             /* index of the (mode, prompt) pair; not recorded */
    ba_executor how;                         /* not recorded */
} ba_ttft_case;

/* One first token: one row of the table `samples`. ttft_s is the wall time from text to token id; other_s is the part that
 * no stage covers, so that the stages and other_s add up to it. */
typedef struct ba_ttft_sample {
    char mode[64], executor[8]; /* of the case, so that samples stand for themselves */
    uint64_t length, block_tokens, cold;
    uint64_t item, visit, round, order, warmup; /* order: of taking; warmup: not counted */
    double start_s;                             /* since the session began */
    double ttft_s, stage[BA_STAGE_COUNT], other_s;
    uint64_t flops_exact, flops_dense, bytes_read, bytes_written;
    uint64_t n_computed, n_reused, kv_bytes, work_bytes;
    uint64_t logits_hash; /* XXH3 of all logits after the prompt */
    double max_dlogit;    /* against the first executor's; NaN: logits are not finite */
    double dlogit_limit;  /* largest max_dlogit that rounding explains */
    double charged;       /* ba_cost.charged */
    uint64_t counted;     /* 1: FLOPs and tokens equal the closed form of the plan */
} ba_ttft_sample;

/* How far a mode is from full attention on one prompt: one row of the table `distances`. Not timed. */
typedef struct ba_ttft_distance {
    char mode[64];
    uint64_t length, block_tokens, passages, prompt; /* prompt: number of the prompt of this size, 0 is the timed one */
    double kl, noise_kl; /* next token: KL(full || mode); of full in this precision from full in fp32; nats */
    double max_abs, top5;
    uint64_t top1;
    size_t unit; /* not recorded */
} ba_ttft_distance;

/* Result of a case over its samples: one row of the table `results`. Figures are NaN (blank) unless the check passed.
 * Counts are doubles, which are exact below 2^53. */
typedef struct ba_ttft_result {
    char mode[64];
    uint64_t length, question, block_tokens, cold;
    double ttft_s_median, ttft_s_min, ttft_s_mad;
    uint64_t n;
    double flops_exact, flops_dense, flops_paper, bytes_read, kv_bytes, n_computed, n_reused;
    char check[8]; /* "pass", "fail", "" (no sample yet) */
    char check_note[96];
    char executor[8];
    uint64_t timing_only, n_outliers;
    double stage[BA_STAGE_COUNT], other_s; /* median of each stage */
    double bytes_written, work_bytes, flops_attention;
    double speedup;                                           /* full / this */
    double reduction_exact, reduction_dense, reduction_paper; /* 1 - FLOPs / FLOPs of full */
    /* Number of reuses after which a cold start has paid off: the smallest r >= 0 with cold + r warm <= (1 + r) full, median
     * times. NaN where cold or warm cannot be told from full (ba_told_apart). */
    double breakeven;
    double floor_s;    /* if FLOPs and bytes ran at the measured peaks; NaN in all cases if one was faster */
    double max_dlogit; /* between executors */
    double paper_ttft_s, paper_flops; /* figures of the paper for its 8B model, where it has this length */
    uint64_t passages;
    /* Next token, over n_prompts prompts of this size: mean KL(full || this) in nats with its interval of 95 % (one prompt
     * has none), its noise floor, share of equal tokens, largest |dlogit|. NaN without --distance. */
    uint64_t n_prompts;
    double kl, kl_low, kl_high, noise_kl, top1, top1_low, top1_high, max_abs;
    char reuse[16];  /* what a later prompt must share to find its KV stored: ba_reuse_of */
    char budget[24]; /* nominal, as the mode is spelled; "": it has none */
    double charged;  /* ba_cost.charged: share of the reusable tokens that is computed again, probes paid in full */
    char plan_hash[33], model_hash[33], schema[24], commit[64];
    const char *model, *backend, *libraries, *cpu, *command; /* borrowed */
    uint64_t threads, seed;
} ba_ttft_result;

extern const ba_column ba_ttft_case_columns[], ba_ttft_sample_columns[], ba_ttft_result_columns[],
    ba_ttft_distance_columns[];

/* One prompt; every mode is measured on it. */
typedef struct ba_ttft_prompt {
    size_t length, block; /* tokens */
    ba_workload text;
    ba_workload *more; /* [n_more] other prompts of this size, for distances only */
    size_t n_more;
} ba_ttft_prompt;

void ba_ttft_prompt_free(ba_ttft_prompt *p);

/* One mode on one prompt, and what its plan costs. */
typedef struct ba_ttft_unit {
    const char *mode;             /* borrowed */
    const ba_ttft_prompt *prompt; /* borrowed */
    bool stores;                  /* some node can be stored */
    bool can[2];                  /* by ba_executor: whether it can run the plan */
    const char *reuse;            /* ba_reuse_of */
    ba_cost cold, warm;           /* closed form */
    ba_key hash;                  /* of the plan */
    double *reference;            /* [vocab] logits of the first executor, once there are any */
} ba_ttft_unit;

/* Fills everything but mode and prompt, which the caller has set. 0, or -1 and err. */
int ba_ttft_unit_plan(const ba_session *b, ba_ttft_unit *u, char err[BA_ERR_LEN]);
void ba_ttft_unit_free(ba_ttft_unit *u);

/* Runs one prompt and fills stages, counts and comparisons of the sample; the first run sets the unit's reference. 0; -1
 * and err; BA_INTERRUPTED. */
int ba_ttft_take(const ba_session *b, ba_ttft_unit *u, const ba_ttft_case *c, const ba_engine_options *opt,
                 ba_ttft_sample *out, char err[BA_ERR_LEN]);

/* Everything that was measured, borrowed. */
typedef struct ba_ttft_measured {
    const ba_ttft_case *cases; /* [n_case] */
    size_t n_case;
    const ba_ttft_unit *units;
    const ba_ttft_sample *sample; /* [n_sample] */
    size_t n_sample;
    const ba_ttft_distance *distance; /* [n_distance] */
    size_t n_distance;
    const ba_peak *peak;
} ba_ttft_measured;

/* Results of all cases into out [n_case], in the order of the cases. The caller fills the text fields. 0, or -1: out of
 * memory. */
int ba_ttft_results(const ba_ttft_measured *m, ba_ttft_result *out);

/* Operations of all samples of a case in this call added up, warm-ups included. */
typedef struct ba_ttft_account {
    ba_profile profile;
    uint64_t n;     /* samples */
    double seconds; /* their times to first token, added up */
} ba_ttft_account;

/* One operation of one case: a row of the table `operations`, means of a sample. */
typedef struct ba_ttft_operation {
    uint64_t item; /* of the case */
    char operation[16];
    uint64_t n;
    double seconds, share, flops, bytes; /* share: of the time to first token */
} ba_ttft_operation;

extern const ba_column ba_ttft_operation_columns[];

ba_ttft_operation ba_ttft_operation_of(const ba_ttft_account *a, uint64_t item, ba_op op);
/* For people; results and accounts [n], by case. */
void ba_ttft_print_profile(const ba_ttft_result *r, const ba_ttft_account *a, size_t n);

/* For people: TTFT, work, and stages (profile: of every case, as shares; else of the longest length), 120 columns. */
void ba_ttft_print(const ba_ttft_result *r, size_t n, const ba_peak *peak, bool profile);

#endif
