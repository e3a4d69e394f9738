/* The monotonic clock: the one that every measured time of the program comes from. It never jumps when the date is set.
 * Only differences of two readings mean something. */
#ifndef BA_CLOCK_H
#define BA_CLOCK_H

#include <time.h>

/* Seconds since an arbitrary moment. */
static inline double ba_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
