/* How far the next-token distribution of one run is from that of another. */
#ifndef BA_DISTANCE_H
#define BA_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ba_logit_distance {
    bool finite;    /* false: NaN or Inf in either run; the other fields then mean nothing */
    double max_abs; /* max |dlogit| */
    double kl;      /* KL(reference || other), nats */
    bool top1;      /* same argmax */
    double top5;    /* share of the reference's five most likely tokens among the other's five */
} ba_logit_distance;

/* a is the reference; n logits each, n >= 5. */
ba_logit_distance ba_logit_compare(const double *a, const double *b, size_t n);

/* Root mean square error of n logits computed in plain bf16 with fp32 sums, from the number of roundings: eight a
 * layer (the operands of its four products, Q, K, V, probabilities), each uniform with a relative error of at most
 * 2^-9, independent of each other, and none larger than the residual stream they are added to. Relative to the standard
 * deviation of the logits: the part that all logits share is one direction of the stream and tells nothing of its size.
 * Measured on the default model, prompts of 50 to 8K tokens, all modes and bf16 backends: 0.3 to 3.4 times it. */
double ba_bf16_noise(size_t layers, const double *logits, size_t n);

/* Largest difference allowed between logits of two executors of one plan that compute in elements of `size` bytes: in
 * bf16 four times its noise, times the expected largest of n normal numbers; else BA_MERGE_LIMIT. */
double ba_merge_limit(size_t size, size_t layers, const double *logits, size_t n);

#define BA_MERGE_LIMIT 1e-3

#endif
