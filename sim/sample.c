#include "engine.h"

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

static double next_uniform(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
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
    double left = next_uniform(rng) * sum;
    for (size_t i = 0; i < n; i++) {
        left -= exp((logits[i] - max) / temperature);
        if (left < 0) {
            return (int32_t)i;
        }
    }
    return argmax(logits, n); /* rounding used up the last of the sum */
}
