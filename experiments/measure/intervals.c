#include "intervals.h"

#include "sim/base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define Z95 1.959963984540054 /* 97.5 % quantile of the normal distribution */

double ba_student(double df) {
    static const double small[] = {12.706205, 4.302653, 3.182446, 2.776445, 2.570582,
                                   2.446912,  2.364624, 2.306004, 2.262157, 2.228139};
    enum { TABLED = sizeof small / sizeof *small };
    if (!(df >= 1)) {
        return NAN;
    }
    if (df < TABLED) { /* between whole numbers (Welch and Satterthwaite) along 1 / df */
        size_t below = (size_t)df;
        double part = (1 / (double)below - 1 / df) / (1 / (double)below - 1 / (double)(below + 1));
        return small[below - 1] + part * (small[below] - small[below - 1]);
    }
    double z = Z95, z2 = z * z, z3 = z2 * z, z5 = z3 * z2, z7 = z5 * z2;
    return z + (z3 + z) / (4 * df) + (5 * z5 + 16 * z3 + 3 * z) / (96 * df * df) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * df * df * df);
}

/* Fills low and high. */
static ba_mean with_interval(ba_mean m) {
    double half = m.variance > 0 ? ba_student(m.df) * sqrt(m.variance) : m.variance;
    m.low = m.centre - half;
    m.high = m.centre + half;
    return m;
}

static ba_mean no_mean(void) {
    return (ba_mean){.mean = NAN, .low = NAN, .high = NAN, .centre = NAN, .variance = NAN, .df = NAN};
}

ba_mean ba_mean_of(const double *x, const double *weight, size_t n) {
    ba_mean m = no_mean();
    double top = 0, bottom = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        top += x[i];
        bottom += weight ? weight[i] : 1;
    }
    if (n == 0) {
        return m;
    }
    m.n = n;
    m.mean = m.centre = top / bottom;
    for (size_t i = 0; i < n; i++) {
        double rest = x[i] - m.mean * (weight ? weight[i] : 1);
        square += rest * rest;
    }
    m.df = (double)n - 1;
    m.variance = n > 1 ? square * (double)n / m.df / (bottom * bottom) : NAN;
    return with_interval(m);
}

ba_mean ba_mean_score(const double *x, size_t n) {
    ba_mean m = ba_mean_of(x, NULL, n);
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != 0 && x[i] != 1) {
            return ba_mean_within(m, 0, 1);
        }
        hits += x[i] == 1;
    }
    ba_interval w = ba_wilson(hits, n);
    m.low = w.low;
    m.high = w.high;
    return m;
}

ba_mean ba_mean_change(const double *d, size_t n) {
    ba_mean m = no_mean();
    double sum = 0, squares = 2; /* of the two items that are added */
    for (size_t i = 0; i < n; i++) {
        sum += d[i];
        squares += d[i] * d[i];
    }
    if (n == 0) {
        return m;
    }
    m.n = n;
    m.mean = sum / (double)n;
    m.centre = sum / (double)(n + 2);
    m.variance = (squares / (double)(n + 2) - m.centre * m.centre) / (double)(n + 2);
    m.df = INFINITY;
    return ba_mean_within(with_interval(m), -1, 1);
}

ba_mean ba_mean_over(const ba_mean *m, size_t n) {
    ba_mean out = no_mean();
    double mean = 0, centre = 0, variance = 0, spread = 0, k = 0;
    for (size_t i = 0; i < n; i++) {
        if (m[i].n) {
            mean += m[i].mean;
            centre += m[i].centre;
            variance += m[i].variance;
            spread += m[i].variance * m[i].variance / m[i].df;
            out.n += m[i].n;
            k++;
        }
    }
    if (k == 0) {
        return out;
    }
    out.mean = mean / k;
    out.centre = centre / k;
    out.variance = variance / (k * k);
    out.df = spread > 0 ? variance * variance / spread : INFINITY;
    return with_interval(out);
}

ba_mean ba_mean_within(ba_mean m, double least, double most) {
    m.low = m.low < least ? least : m.low;
    m.high = m.high > most ? most : m.high;
    return m;
}

/* Mean and variance of the mean of log x. */
static ba_mean mean_of_logs(const double *x, size_t n) {
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        mean += log(x[i]) / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        square += (log(x[i]) - mean) * (log(x[i]) - mean);
    }
    const double df = (double)n - 1;
    return (ba_mean){.mean = mean, .centre = mean, .variance = square / df / (double)n, .df = df, .n = n};
}

void ba_interval_text(char *out, size_t size, const char *format, double scale, double x, double low, double high) {
    char part[3][24];
    snprintf(part[0], sizeof part[0], format, scale * x);
    snprintf(part[1], sizeof part[1], format, scale * low);
    snprintf(part[2], sizeof part[2], format, scale * high);
    if (isnan(x)) {
        snprintf(out, size, "-");
    } else if (isnan(low)) {
        snprintf(out, size, "%s", part[0]);
    } else {
        snprintf(out, size, "%s [%s, %s]", part[0], part[1], part[2]);
    }
}

bool ba_told_apart(const double *a, size_t n_a, const double *b, size_t n_b) {
    if (n_a < 2 || n_b < 2) {
        return false;
    }
    ba_mean x = mean_of_logs(a, n_a), y = mean_of_logs(b, n_b);
    x.mean = -x.mean;
    x.centre = -x.centre;
    const ba_mean both[] = {x, y};
    ba_mean half = ba_mean_over(both, 2); /* half of the difference, with half of its error */
    return half.low > 0 || half.high < 0;
}

ba_equivalence ba_equivalence_of(double low, double high, double margin, bool more_is_better) {
    if (isnan(low) || isnan(high)) {
        return BA_UNDECIDED;
    }
    if (low > -margin && high < margin) {
        return BA_EQUAL;
    }
    return low > 0    ? more_is_better ? BA_BETTER : BA_WORSE
           : high < 0 ? more_is_better ? BA_WORSE : BA_BETTER
                      : BA_UNDECIDED;
}

const char *ba_equivalence_name(ba_equivalence e) {
    static const char *const name[] = {"undecided", "equal", "worse", "better"};
    return (unsigned)e < sizeof name / sizeof *name ? name[e] : "?";
}

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
