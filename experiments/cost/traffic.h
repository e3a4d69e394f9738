/* A stream of requests: each needs some passages of a corpus at some time. Generated from a seed (popularity of passages
 * by Zipf's law, arrivals as a Poisson process), or read from a file. */
#ifndef BA_TRAFFIC_H
#define BA_TRAFFIC_H

#include "experiments/data/lines.h"
#include "kernels/base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { BA_MAX_PASSAGES = 256 };

typedef struct ba_traffic {
    size_t corpus;   /* passages in the corpus */
    size_t passages; /* of a request; at most BA_MAX_PASSAGES and the corpus */
    double zipf;     /* exponent: passage k is requested k^-zipf times as often as the first */
    double rate;     /* requests per second */
    uint64_t rng;
    double now;
    double a, b;     /* the sampler's: integrals at the ends */
    ba_lines *lines; /* requests are read from a file, or NULL */
} ba_traffic;

typedef struct ba_arrival {
    double time; /* seconds */
    uint32_t passage[BA_MAX_PASSAGES];
    size_t n;
} ba_arrival;

void ba_traffic_begin(ba_traffic *t, size_t corpus, size_t passages, double zipf, double rate, uint64_t seed);
/* Lines {"time": seconds, "passages": [numbers below the corpus, each once]}, times in order. 0, or -1 and err. */
int ba_traffic_open(ba_traffic *t, const char *path, size_t corpus, char err[BA_ERR_LEN]);
void ba_traffic_end(ba_traffic *t);

/* 1: the next request; 0: the file has no more; -1 and err. */
int ba_traffic_next(ba_traffic *t, ba_arrival *out, char err[BA_ERR_LEN]);

#endif
