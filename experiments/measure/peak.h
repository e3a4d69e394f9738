/* What this machine can do at best, measured in the same run as everything else: the floor under every figure. */
#ifndef BA_PEAK_H
#define BA_PEAK_H

#include <stddef.h>

typedef struct ba_peak {
    double flops; /* fp32 multiply-adds that touch no memory, FLOP/s (a multiply-add is two), all threads together */
    double bytes; /* reading memory far larger than the caches, B/s, all threads together */
} ba_peak;

/* Takes about half a second. 0, or -1: no memory or no threads. */
int ba_peak_measure(size_t threads, ba_peak *out);

/* Seconds that the work takes if everything overlaps and nothing waits. */
double ba_peak_floor(const ba_peak *peak, double flops, double bytes);

#endif
