/* Order statistics of samples, and shuffles that can be repeated. Pure functions. */
#ifndef BA_STATS_H
#define BA_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_stats {
    size_t n;
    double median; /* the mean of the two middle samples if n is even */
    double min;
    double mad;        /* median of |x - median|, not scaled to a standard deviation */
    size_t n_outliers; /* reported, never dropped */
} ba_stats;

/* Of x[n], which is sorted on return. n = 0: everything NaN. */
ba_stats ba_stats_of(double *x, size_t n);

/* The q-quantile (0..1) of x[n], which is sorted on return: the smallest sample that at least a share q does not exceed
 * (nearest rank). NaN: too few samples to have one beyond it, as of the 0.99-quantile below 100 (of medians: none). */
double ba_quantile(double *x, size_t n, double q);

/* How much longer a takes than b, from pairs that were measured in the same round. */
typedef struct ba_ratio {
    size_t n;      /* pairs in which both are numbers */
    double median; /* of a / b; NaN without a pair */
    double lo, hi; /* 95 % interval of the median (bootstrap over pairs, percentiles) */
    bool
        sure; /* at least 6 pairs, which an interval of 95 % needs; with fewer it is about the smallest and largest ratio */
} ba_ratio;

/* a, b [n]; NaN: missing. At most the first 1024 pairs are used. */
ba_ratio ba_ratio_of(const double *a, const double *b, size_t n, uint64_t seed);

/* Farther from the median than 3 standard deviations as the MAD estimates them (3 x 1.4826 MAD). With fewer than five
 * samples nothing is an outlier. */
bool ba_is_outlier(const ba_stats *s, double x);

#endif
