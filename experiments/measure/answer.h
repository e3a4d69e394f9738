/* How likely a given answer is after a prompt. */
#ifndef BA_ANSWER_H
#define BA_ANSWER_H

#include "sim/engine/engine.h"

/* NLL of an answer of n tokens after the run's prompt (teacher-forced), summed, nats; the run is rewound. *nll is NaN for
 * n = 0 and on failure. The run has room for n tokens. 0; -1 and err; BA_INTERRUPTED. */
int ba_answer_nll(ba_run *run, const int32_t *answer, size_t n, double *nll, char err[BA_ERR_LEN]);

#endif
