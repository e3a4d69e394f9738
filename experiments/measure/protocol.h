/* The timing protocol, for any list of cases.
 *
 * Every case is visited `repeat` times. Visits come round by round; in a round groups of cases are visited in a random
 * order that the seed decides, so that slow drift of the machine (heat, neighbours) falls on all alike; within a group
 * the order is the caller's (a cold case prepares the warm one behind it). A visit takes samples until it has measured
 * for min_time / repeat seconds, at least one. Its first sample is a warm-up if it was shorter than that: kept, marked
 * and not counted; a case that takes longer warms itself up. */
#ifndef BA_MEASURE_H
#define BA_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Processor time of all threads of the program, seconds: what neighbours on a busy machine add little to. */
double ba_cpu_clock(void);

typedef struct ba_timing {
    size_t item, round, visit; /* visit: place in the order, from 0 */
    bool warmup;
    double seconds;
} ba_timing;

typedef struct ba_measure {
    size_t repeat;   /* >= 1 */
    double min_time; /* seconds measured per case */
    uint64_t seed;
    const size_t *group; /* [n] cases of one group stand side by side and have one number */
    size_t n;            /* cases */
    /* All return 0 to go on; anything else ends the measurement and is returned. */
    int (*prepare)(void *arg, size_t item);                 /* not timed, before a visit */
    int (*take)(void *arg, size_t item, double *seconds);   /* one sample */
    int (*keep)(void *arg, const ba_timing *sample);        /* its record */
    void (*visited)(void *arg, size_t visit, size_t total); /* for progress */
    void *arg;
} ba_measure;

/* Fills order[repeat * n] with the case of each visit. 0, or -1: out of memory. */
int ba_measure_order(const ba_measure *m, size_t *order);

/* measured: [repeat * n] seconds that each visit has measured already (a resumed trace; warm-ups not counted), or
 * NULL. Visits that have enough are left out. 0, -1: out of memory, or what a callback returned. */
int ba_measure_run(const ba_measure *m, const double *measured);

#endif
