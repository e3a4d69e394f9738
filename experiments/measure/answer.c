#include "answer.h"

#include <math.h>
#include <stdlib.h>

int ba_answer_nll(ba_run *run, const int32_t *answer, size_t n, double *nll, char err[BA_ERR_LEN]) {
    *nll = (double)NAN;
    if (!n) {
        return 0;
    }
    double *logprob = malloc(n * sizeof *logprob);
    int rc = logprob ? ba_run_extend(run, answer, n, logprob, err) : ba_fail(err, "out of memory");
    if (!rc) {
        *nll = 0;
        for (size_t i = 0; i < n; i++) {
            *nll -= logprob[i];
        }
        ba_run_rewind(run);
    }
    free(logprob);
    return rc;
}
