/* Inside of a tuner, shared by tune.c and checkpoint.c. */
#ifndef BA_TUNE_INSIDE_H
#define BA_TUNE_INSIDE_H

#include "tune.h"

struct ba_tuner {
    ba_train_net *net;
    ba_tune_options opt;
    const ba_example *sample; /* [n] */
    size_t n;
    ba_train_walk *walk;
    uint64_t step;  /* steps done */
    size_t *order;  /* [n] of this epoch */
    uint64_t epoch; /* whose order that is; UINT64_MAX: none yet */
};

#endif
