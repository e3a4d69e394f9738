/* How certain a figure is: intervals of 95 %, and tests of a difference. Pure functions. */
#ifndef BA_INTERVALS_H
#define BA_INTERVALS_H

#include <stddef.h>
#include <stdint.h>

typedef struct ba_interval {
    double low, high; /* NaN: not enough data */
} ba_interval;

/* Of a share of hits among n (Wilson's score interval, 1927; no continuity correction). */
ba_interval ba_wilson(size_t hits, size_t n);

/* Of sum(top) / sum(bottom) over n items: percentiles of `BA_RESAMPLES` draws of n items with replacement, which the
 * seed decides. For a paired difference top[i] = a[i] - b[i]; for a mean bottom is NULL. NaN also if memory ran out. */
enum { BA_RESAMPLES = 4000, BA_INTERVAL_SEED = 20250424 }; /* every interval from the same draws */
ba_interval ba_bootstrap(const double *top, const double *bottom, size_t n, uint64_t seed);

/* Exact two-sided p of McNemar's test: a alone is right on `only_a` items, b alone on `only_b`. */
double ba_mcnemar(size_t only_a, size_t only_b);

#endif
