#include "protocol.h"

#include "sim/base/random.h"

#include <stdlib.h>
#include <time.h>

double ba_cpu_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int ba_measure_order(const ba_measure *m, size_t *order) {
    size_t *first = malloc((m->n + 1) * sizeof *first), n_group = 0;
    if (!first) {
        return -1;
    }
    for (size_t i = 0; i < m->n; i++) {
        if (i == 0 || m->group[i] != m->group[i - 1]) {
            first[n_group++] = i;
        }
    }
    uint64_t rng = m->seed;
    for (size_t round = 0; round < m->repeat; round++) {
        ba_random_shuffle(&rng, first, n_group);
        for (size_t g = 0; g < n_group; g++) {
            for (size_t i = first[g]; i < m->n && m->group[i] == m->group[first[g]]; i++) {
                *order++ = i;
            }
        }
    }
    free(first);
    return 0;
}

/* share: seconds to measure in one visit. */
static int visit(const ba_measure *m, ba_timing s, double share, double measured) {
    int status = m->prepare(m->arg, s.item);
    bool first = true, enough = false;
    while (!status && !enough) {
        status = m->take(m->arg, s.item, &s.seconds);
        if (!status) {
            s.warmup = first && s.seconds < share;
            measured += s.warmup ? 0 : s.seconds;
            enough = !s.warmup && measured >= share;
            first = false;
            status = m->keep(m->arg, &s);
        }
    }
    return status;
}

int ba_measure_run(const ba_measure *m, const double *measured) {
    size_t total = m->repeat * m->n;
    size_t *order = malloc((total + 1) * sizeof *order);
    double share = m->min_time / (double)m->repeat;
    int status = order ? ba_measure_order(m, order) : -1;
    for (size_t v = 0; v < total && !status; v++) {
        double before = measured ? measured[v] : 0;
        if (before == 0 || before < share) {
            ba_timing s = {.item = order[v], .round = v / m->n, .visit = v};
            status = visit(m, s, share, before);
        }
        if (!status) {
            m->visited(m->arg, v, total);
        }
    }
    free(order);
    return status;
}
