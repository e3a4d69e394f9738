/* The distance of two arrays. A NaN or Inf in either makes them infinitely far apart, so it never passes as close. */
#ifndef BA_COMPARE_H
#define BA_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ba_distance {
    bool finite; /* false: a NaN or an Inf in either array; then every other figure is meaningless (set to INFINITY) */
    double max_abs; /* max |a - b| */
    double nmse;    /* sum (a - b)^2 / sum a^2; 0 if both are 0 */
    size_t worst;   /* index of max_abs, or of the first non-finite value */
} ba_distance;

/* a is the reference. n >= 1. */
ba_distance ba_compare(const double *a, const double *b, size_t n);

/* true if finite and max_abs <= limit. */
bool ba_close(const double *a, const double *b, size_t n, double limit);

#endif
