#include "finite.h"

#include <math.h>

int ba_logit_refuse(size_t i, char err[BA_ERR_LEN]) {
    return ba_fail(err, "logit %zu is not finite: the model file holds NaN or Inf", i);
}

int ba_logits_check(const double *logits, size_t n, char err[BA_ERR_LEN]) {
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        bad += !isfinite(logits[i]);
    }
    for (size_t i = 0; bad && i < n; i++) {
        if (!isfinite(logits[i])) {
            return ba_logit_refuse(i, err);
        }
    }
    return 0;
}
