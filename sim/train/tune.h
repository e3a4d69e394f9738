/* Block fine-tuning (Ma et al., arXiv 2409.15355, section 2): steps of AdamW over samples that are each trained in
 * several modes. The loss is the mean over the response tokens of the step. All random choices follow from the options
 * and the number of the step, so a run resumed from a checkpoint ends in the same weights. */
#ifndef BA_TUNE_H
#define BA_TUNE_H

#include "sim/prompt/prompt.h"
#include "walk.h"

typedef struct ba_example {
    ba_prompt *prompt;
    int32_t *answer; /* [n] ends with the token that ends a generation */
    size_t n;
} ba_example;
void ba_example_free(ba_example *sample);

typedef struct ba_tune_options {
    const char *const *mode; /* [n_mode] spellings */
    size_t n_mode;
    bool alternate;   /* a sample is trained in one of the modes, in turn; else in all of them */
    double kl_weight; /* weight of KL(mode 0 || other mode) on the answer's tokens; 0 = none */
    int32_t *marker;  /* [n_marker] tokens put before the first segment in all modes except full; or NULL */
    size_t n_marker;
    size_t steps, batch; /* samples x modes of a step */
    size_t warmup;       /* steps in which the rate rises to lr; then it falls linearly, to 0 after the last step */
    double lr, clip;     /* clip: largest norm of the gradient of the mean loss; 0 = none */
    double beta1, beta2, eps, weight_decay;
    size_t rows;           /* tokens that go through the layers together; a longer sample goes alone */
    uint64_t seed, memory; /* memory: as in walk.h */
} ba_tune_options;

/* The record of a step. */
typedef struct ba_tune_row {
    uint64_t step;                  /* from 1 */
    double lr, loss, kl, grad_norm; /* loss and kl in nats per response token; norm before clipping */
    uint64_t tokens, answer_tokens;
} ba_tune_row;

typedef struct ba_tuner ba_tuner;

/* Borrows net, the arrays of the options, and the samples. 0, or -1 and err: options that contradict each other, or a
 * mode that cannot be trained (tried on the first sample). */
int ba_tuner_new(ba_train_net *net, const ba_tune_options *opt, const ba_example *sample, size_t n, ba_tuner **out,
                 char err[BA_ERR_LEN]);
void ba_tuner_free(ba_tuner *t);

/* Steps done so far. */
uint64_t ba_tuner_step_count(const ba_tuner *t);

enum { BA_TUNE_DIVERGED = -3 };

/* One step. stop: called between layers, may be NULL; non-zero ends the step with BA_INTERRUPTED. 0; -1 and err;
 * BA_TUNE_DIVERGED and err: loss or gradient is not a usable number; BA_WALK_NOT_FINITE and err: the untrained model's
 * logits are not finite. Weights change only if the result is 0. */
int ba_tuner_step(ba_tuner *t, int (*stop)(void *arg), void *arg, ba_tune_row *row, char err[BA_ERR_LEN]);

/* Mean NLL of the answers' tokens of samples in a mode, in nats. stop and result as in ba_tuner_step. */
int ba_tuner_validate(ba_tuner *t, const ba_example *sample, size_t n, const char *mode, int (*stop)(void *arg),
                      void *arg, double *nll, char err[BA_ERR_LEN]);

/* Weights, moments and the number of steps in FOLDER/checkpoint.safetensors. name: identifies model, data and options;
 * a checkpoint with another name is refused. Loading where there is no checkpoint returns 0 and changes nothing. */
int ba_tuner_save(const ba_tuner *t, const char *folder, const char *name, char err[BA_ERR_LEN]);
int ba_tuner_load(ba_tuner *t, const char *folder, const char *name, char err[BA_ERR_LEN]);

#endif
