/* The peak rates of this machine, measured in the same run as everything else. They give the least time of any work. */
#ifndef BA_PEAK_H
#define BA_PEAK_H

#include <stddef.h>

typedef struct ba_peak {
    double
        flops; /* fp32 multiply-adds without memory access, FLOP/s (one multiply-add counts as two), all threads together */
    double bytes; /* reading memory much larger than the caches, B/s, all threads together */
} ba_peak;

/* Takes about half a second. 0, or -1: no memory or no threads. */
int ba_peak_measure(size_t threads, ba_peak *out);

/* Seconds that the work takes if everything overlaps and nothing waits. */
double ba_peak_floor(const ba_peak *peak, double flops, double bytes);

#endif
