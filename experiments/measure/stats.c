#include "stats.h"

#include "sim/base/random.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double middle(const double *sorted, size_t n) {
    return n % 2 ? sorted[n / 2] : 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]);
}

/* Median of |x - m| of sorted x. Distances grow on both sides of m, so merging the two sides finds the half nearest to m
 * without a second array. */
static double middle_distance(const double *x, size_t n, double m) {
    size_t right = 0;
    while (right < n && x[right] < m) {
        right++;
    }
    size_t left = right; /* samples below m that are not merged yet */
    double last = 0, before = 0;
    for (size_t taken = 0; taken <= n / 2; taken++) {
        before = last;
        if (right == n || (left > 0 && m - x[left - 1] < x[right] - m)) {
            last = m - x[--left];
        } else {
            last = x[right++] - m;
        }
    }
    return n % 2 ? last : 0.5 * (before + last);
}

bool ba_is_outlier(const ba_stats *s, double x) {
    return s->n >= 5 && fabs(x - s->median) > 3 * 1.4826 * s->mad;
}

ba_stats ba_stats_of(double *x, size_t n) {
    if (n == 0) {
        return (ba_stats){.median = NAN, .min = NAN, .mad = NAN};
    }
    qsort(x, n, sizeof *x, by_value);
    ba_stats s = {.n = n, .median = middle(x, n), .min = x[0]};
    s.mad = middle_distance(x, n, s.median);
    for (size_t i = 0; i < n; i++) {
        s.n_outliers += ba_is_outlier(&s, x[i]);
    }
    return s;
}

double ba_quantile(double *x, size_t n, double q) {
    if (n == 0 || (q > 0.5 && q < 1 && (double)n * (1 - q) < 1 - 1e-9)) {
        return NAN;
    }
    qsort(x, n, sizeof *x, by_value);
    double rank = ceil(q * (double)n);
    return x[rank < 1 ? 0 : rank > (double)n ? n - 1 : (size_t)rank - 1];
}

ba_ratio ba_ratio_of(const double *a, const double *b, size_t n, uint64_t seed) {
    enum { MOST = 1024, DRAWS = 2000, TAIL = DRAWS / 40, ENOUGH = 6 }; /* 2 / 2^6 is below 5 % */
    double ratio[MOST], drawn[MOST], median[DRAWS];
    ba_ratio out = {.median = NAN, .lo = NAN, .hi = NAN};
    for (size_t i = 0; i < n && out.n < MOST; i++) {
        if (isfinite(a[i]) && isfinite(b[i]) && b[i] > 0) {
            ratio[out.n++] = a[i] / b[i];
        }
    }
    if (out.n == 0) {
        return out;
    }
    for (size_t d = 0; d < DRAWS; d++) {
        for (size_t i = 0; i < out.n; i++) {
            drawn[i] = ratio[ba_random_below(&seed, out.n)];
        }
        qsort(drawn, out.n, sizeof *drawn, by_value);
        median[d] = middle(drawn, out.n);
    }
    qsort(median, DRAWS, sizeof *median, by_value);
    qsort(ratio, out.n, sizeof *ratio, by_value);
    out.median = middle(ratio, out.n);
    out.sure = out.n >= ENOUGH;
    out.lo = median[TAIL - 1];
    out.hi = median[DRAWS - TAIL];
    return out;
}
