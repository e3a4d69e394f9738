#include "intervals.h"

#include "sim/base/random.h"

#include <math.h>
#include <stdlib.h>

#define Z95 1.959963984540054 /* 97.5 % quantile of the normal distribution */

ba_interval ba_wilson(size_t hits, size_t n) {
    if (n == 0) {
        return (ba_interval){NAN, NAN};
    }
    double p = (double)hits / (double)n, zz = Z95 * Z95 / (double)n;
    double middle = (p + zz / 2) / (1 + zz);
    double half = Z95 / (1 + zz) * sqrt(p * (1 - p) / (double)n + zz / (4 * (double)n));
    return (ba_interval){fmax(0, middle - half), fmin(1, middle + half)};
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two nearest of the sorted x[n]. */
static double quantile(const double *x, size_t n, double q) {
    double at = q * (double)(n - 1);
    size_t below = (size_t)at;
    return below + 1 < n ? x[below] + (at - (double)below) * (x[below + 1] - x[below]) : x[below];
}

ba_interval ba_bootstrap(const double *top, const double *bottom, size_t n, uint64_t seed) {
    double *ratio = n ? malloc(BA_RESAMPLES * sizeof *ratio) : NULL;
    if (!ratio) {
        return (ba_interval){NAN, NAN};
    }
    for (size_t r = 0; r < BA_RESAMPLES; r++) {
        double a = 0, b = 0;
        for (size_t i = 0; i < n; i++) {
            size_t k = ba_random_below(&seed, n);
            a += top[k];
            b += bottom ? bottom[k] : 1;
        }
        ratio[r] = a / b;
    }
    qsort(ratio, BA_RESAMPLES, sizeof *ratio, by_value);
    ba_interval out = {quantile(ratio, BA_RESAMPLES, 0.025), quantile(ratio, BA_RESAMPLES, 0.975)};
    free(ratio);
    return out;
}

double ba_mcnemar(size_t only_a, size_t only_b) {
    size_t n = only_a + only_b, less = only_a < only_b ? only_a : only_b;
    double p = 0;
    for (size_t k = 0; k <= less; k++) {
        /* log of C(n, k) / 2^n: exact enough, and never out of range */
        p += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) - (double)n * log(2));
    }
    return fmin(1, 2 * p);
}
