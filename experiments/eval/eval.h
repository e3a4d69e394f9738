/* One item of a task in one mode: how likely the gold answer is, what the model answers, and what that is worth. */
#ifndef BA_EVAL_H
#define BA_EVAL_H

#include "experiments/cli/cli.h"
#include "experiments/tasks/tasks.h"
#include "sim/engine/engine.h"
#include "sim/trace/trace.h"

/* A row of the trace, and of what is printed. NaN: blank. */
typedef struct ba_eval_row {
    char label[64]; /* of the model: which adapter it carries */
    char task[64], mode[64];
    uint64_t index, hash; /* of the item in its task; of what it says */
    const char *id;       /* owned */
    const char *state;    /* "done"; "too long": does not fit into the context, not run, never cut; "no answer" */
    double nll;           /* of the first gold answer, summed, nats */
    uint64_t n_answer_tokens;
    const char *text; /* what was generated, owned; NULL: nothing was */
    const char *stop; /* "eos", "length", "string"; NULL */
    double score, em, f1;
    uint64_t n_prompt, n_computed, n_reused, n_generated;
    double ttft_s, ttft_cold_s; /* with all that can be stored there; as it was found */
    double flops;               /* of that warm first token */
    double charged;             /* ba_cost.charged; NaN in traces of earlier versions */
} ba_eval_row;

extern const ba_column ba_eval_columns[];

typedef struct ba_eval_options {
    bool generate; /* else NLL only */
    const ba_engine_options *engine;
} ba_eval_options;

/* Fills everything but label, task and index. 0, -1 and err, or BA_INTERRUPTED. */
int ba_eval_item(const ba_session *b, const ba_task *task, const ba_task_item *item, const char *mode,
                 const ba_eval_options *opt, ba_eval_row *out, char err[BA_ERR_LEN]);
void ba_eval_row_free(ba_eval_row *row);

/* The mode of a prompt: full if nothing in it can be reused (the paper's general tasks fall back to it). */
const char *ba_eval_mode(const ba_prompt *prompt, const char *mode);

#endif
