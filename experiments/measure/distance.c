#include "distance.h"

#include "kernels/base/compare.h"
#include "sim/engine/engine.h"

#include <math.h>

enum { TOP = 5 };

/* Indices of the five largest, highest first, ties to the lower index. */
static void largest(const double *x, size_t n, size_t top[TOP]) {
    size_t filled = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = filled < TOP ? filled++ : TOP;
        while (at > 0 && x[i] > x[top[at - 1]]) {
            if (at < TOP) {
                top[at] = top[at - 1];
            }
            at--;
        }
        if (at < TOP) {
            top[at] = i;
        }
    }
}

double ba_bf16_noise(size_t layers, const double *logits, size_t n) {
    double mean = 0, squares = 0, roundings = 8 * (double)layers;
    for (size_t i = 0; i < n; i++) {
        mean += logits[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        squares += (logits[i] - mean) * (logits[i] - mean);
    }
    return sqrt(squares / (double)n) * sqrt(roundings / 3) * 0x1p-9;
}

double ba_merge_limit(size_t size, size_t layers, const double *logits, size_t n) {
    return size > 2 ? BA_MERGE_LIMIT : 4 * ba_bf16_noise(layers, logits, n) * sqrt(2 * log((double)n));
}

ba_logit_distance ba_logit_compare(const double *a, const double *b, size_t n) {
    ba_distance d = ba_compare(a, b, n);
    ba_logit_distance out = {.finite = d.finite, .max_abs = d.max_abs, .kl = INFINITY};
    if (!d.finite) {
        return out;
    }
    double lse_a = ba_logsumexp(a, n), lse_b = ba_logsumexp(b, n), kl = 0;
    for (size_t i = 0; i < n; i++) {
        double log_p = a[i] - lse_a, log_q = b[i] - lse_b;
        kl += exp(log_p) * (log_p - log_q);
    }
    out.kl = kl > 0 ? kl : 0; /* rounding can make a KL of zero slightly negative */
    size_t top_a[TOP] = {0}, top_b[TOP] = {0}, shared = 0;
    largest(a, n, top_a);
    largest(b, n, top_b);
    for (size_t i = 0; i < TOP; i++) {
        for (size_t j = 0; j < TOP; j++) {
            shared += top_a[i] == top_b[j];
        }
    }
    out.top1 = top_a[0] == top_b[0];
    out.top5 = (double)shared / TOP;
    return out;
}
