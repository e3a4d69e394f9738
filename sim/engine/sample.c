/* Choosing the next token from logits. */
#include "engine.h"

#include "sim/base/random.h"

#include <math.h>

double ba_logsumexp(const double *x, size_t n) {
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        max = x[i] > max ? x[i] : max;
    }
    if (isinf(max)) {
        return max;
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp(x[i] - max);
    }
    return max + log(sum);
}

static int32_t argmax(const double *x, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = x[i] > x[best] ? i : best;
    }
    return (int32_t)best;
}

int32_t ba_sample(const double *logits, size_t n, double temperature, uint64_t *rng) {
    if (temperature <= 0) {
        return argmax(logits, n);
    }
    double max = logits[argmax(logits, n)], sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += exp((logits[i] - max) / temperature);
    }
    double left = ba_random_real(rng) * sum;
    for (size_t i = 0; i < n; i++) {
        left -= exp((logits[i] - max) / temperature);
        if (left < 0) {
            return (int32_t)i;
        }
    }
    return argmax(logits, n); /* rounding left nothing of the sum */
}
