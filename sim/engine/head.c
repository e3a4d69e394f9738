/* Log-probabilities of tokens from hidden rows. */
#include "run.h"

#include "kernels/base/sizes.h"

#include <stdlib.h>

int ba_run_logprob(ba_run *r, ba_view from, size_t row0, size_t n, const int32_t *ids, double *out) {
    size_t vocab = r->e->net.shape->vocab, row[BA_SCORE_ROWS];
    if (!r->rows && !(r->rows = malloc(BA_SCORE_ROWS * vocab * sizeof *r->rows))) {
        return -1;
    }
    for (size_t i = 0, m; i < n; i += m) {
        m = ba_min_size(n - i, BA_SCORE_ROWS);
        for (size_t j = 0; j < m; j++) {
            row[j] = row0 + i + j;
        }
        ba_network_head(&r->e->net, from, row, m, true, r->rows);
        for (size_t j = 0; j < m; j++) {
            const double *logits = r->rows + j * vocab;
            out[i + j] = logits[ids[i + j]] - ba_logsumexp(logits, vocab);
        }
    }
    return 0;
}
