/* The peak rates of what computes, measured in the same run as everything else. They give the least time of any work. */
#ifndef BA_PEAK_H
#define BA_PEAK_H

#include "kernels/backend.h"

#include <stddef.h>

typedef struct ba_peak {
    double flops; /* FLOP/s, a multiply-add counts as two: in fp32 without memory access, all threads together; or of
                         the device, products of bf16 */
    double bytes; /* B/s: reading memory much larger than the caches, all threads together; or of the device */
    const char *what; /* the first of the two in words: "fp32", "bf16 products" */
} ba_peak;

/* The peaks of the processors. Takes about half a second. 0, or -1: no memory or no threads. */
int ba_peak_measure(size_t threads, ba_peak *out);
/* Those of the backend's device if it has one, else of the processors. */
int ba_peak_of(ba_backend *be, size_t threads, ba_peak *out);

/* Seconds that the work takes if everything overlaps and nothing waits. */
double ba_peak_floor(const ba_peak *peak, double flops, double bytes);

#endif
