/* The noise floor of a distance: how far full attention in the precision at hand is from full attention in fp32, on the same
 * prompt. A KL below it says nothing about a mode. */
#ifndef BA_NOISE_H
#define BA_NOISE_H

#include "sim/engine/engine.h"
#include "sim/model/model.h"
#include "sim/prompt/prompt.h"

/* The model once more in fp32. */
typedef struct ba_noise {
    ba_backend *be;
    ba_engine *engine; /* NULL: there is nothing to compare, every floor is `constant` */
    double constant;   /* 0: the precision at hand is fp32; NaN: not measured */
} ba_noise;

/* Opens the backend of `engine` (or, if that has no fp32, `cpu`) with the weights of `model` in fp32. memory: bytes that they
 * may take. 0, or -1 and err, with every floor NaN: they need more, or the backend cannot be opened. Close in either case. */
int ba_noise_open(ba_model *model, const ba_engine *engine, size_t threads, uint64_t memory, ba_noise *out,
                  char err[BA_ERR_LEN]);
void ba_noise_close(ba_noise *n);

/* KL(full in fp32 || full) of the next token after the prompt, nats, into *kl; logits [vocab]: those of full at hand. 0, -1
 * and err, or BA_INTERRUPTED. */
int ba_noise_of(const ba_noise *n, const ba_prompt *prompt, const ba_engine_options *opt, const double *logits,
                double *kl, char err[BA_ERR_LEN]);

#endif
