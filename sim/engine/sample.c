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

/* In lanes, because a vocabulary has 100,000 tokens and more, and each comparison would wait for the one before it. */
static double largest(const double *x, size_t n) {
    enum { LANES = 8 };
    double most[LANES];
    for (size_t lane = 0; lane < LANES; lane++) {
        most[lane] = -INFINITY;
    }
    for (size_t i = 0; i + LANES <= n; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            most[lane] = x[i + lane] > most[lane] ? x[i + lane] : most[lane];
        }
    }
    for (size_t i = n / LANES * LANES; i < n; i++) {
        most[0] = x[i] > most[0] ? x[i] : most[0];
    }
    for (size_t lane = 1; lane < LANES; lane++) {
        most[0] = most[lane] > most[0] ? most[lane] : most[0];
    }
    return most[0];
}

static int32_t argmax(const double *x, size_t n) {
    double most = largest(x, n);
    for (size_t i = 0; i < n; i++) {
        if (x[i] == most) {
            return (int32_t)i;
        }
    }
    return 0;
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
