/* The timing protocol, for any list of cases.
 *
 * Every case is visited `repeat` times. Visits come round by round; in a round groups of cases are visited in a random
 * order that the seed decides, so that slow drift of the machine (heat, neighbours) affects all cases alike; within a
 * group the order is the caller's (a cold case prepares the warm case that follows it). A visit takes samples until it has
 * measured for min_time / repeat seconds, at least one sample. If its first sample was shorter than that, it is a warm-up:
 * kept, marked and not counted. A case that takes longer needs no warm-up. */
#ifndef BA_MEASURE_H
#define BA_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Processor time of all threads of the program, seconds. Other programs on a busy machine change it little. */
double ba_cpu_clock(void);

typedef struct ba_timing {
    size_t item, round, visit; /* visit: index in the order, from 0 */
    bool warmup;
    double seconds;
} ba_timing;

typedef struct ba_measure {
    size_t repeat;   /* >= 1 */
    double min_time; /* seconds measured per case */
    uint64_t seed;
    const size_t *group; /* [n] group of each case; cases of one group are adjacent */
    size_t n;            /* cases */
    /* Callbacks return 0 to go on; any other value ends the measurement and is returned. */
    int (*prepare)(void *arg, size_t item);                 /* not timed, before a visit */
    int (*take)(void *arg, size_t item, double *seconds);   /* one sample */
    int (*keep)(void *arg, const ba_timing *sample);        /* its record */
    void (*visited)(void *arg, size_t visit, size_t total); /* for progress */
    void *arg;
} ba_measure;

/* Fills order[repeat * n] with the case of each visit. 0, or -1: out of memory. */
int ba_measure_order(const ba_measure *m, size_t *order);

/* measured: [repeat * n] seconds that each visit has measured already (a resumed trace; warm-ups not counted), or
 * NULL. Visits with enough measured seconds are skipped. 0, -1: out of memory, or the value of a callback. */
int ba_measure_run(const ba_measure *m, const double *measured);

#endif
