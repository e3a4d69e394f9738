/* How sure a figure is: intervals of 95 %, and tests of a difference. Pure functions. */
#ifndef BA_INTERVALS_H
#define BA_INTERVALS_H

#include <stddef.h>
#include <stdint.h>

typedef struct ba_interval {
    double low, high; /* NaN: there is nothing to say */
} ba_interval;

/* Of a share of hits among n (Wilson's score interval, 1927; no continuity correction). */
ba_interval ba_wilson(size_t hits, size_t n);

/* Of sum(top) / sum(bottom) over n items: percentiles of `BA_RESAMPLES` draws of n items with replacement, which the
 * seed decides. A paired difference: top[i] = a[i] - b[i]. A mean: bottom NULL. NaN also if memory ran out. */
enum { BA_RESAMPLES = 4000, BA_INTERVAL_SEED = 20250424 }; /* every interval from the same draws */
ba_interval ba_bootstrap(const double *top, const double *bottom, size_t n, uint64_t seed);

/* Exact two-sided p of McNemar's test: `only_a` items that a alone gets right, `only_b` that b alone does. */
double ba_mcnemar(size_t only_a, size_t only_b);

#endif
