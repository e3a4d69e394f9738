/* Products and row operations of the oracle, written as the formula. */
#include "kernels/count.h"
#include "ref.h"

#include <math.h>
#include <string.h>

void ba_ref_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out) {
    for (size_t r = 0; r < n; r++) {
        double *to = ba_ref_row(out, r);
        for (size_t i = 0; i < w->in; i++) {
            to[i] = w->transposed[i * w->out + (size_t)ids[r]] * scale;
        }
    }
    ba_count_embed(be, n, w->in);
}

void ba_ref_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add, bool stable) {
    (void)stable; /* always is */
    for (size_t r = 0; r < rows; r++) {
        double *to = ba_ref_row(out, r);
        for (size_t o = 0; o < w->out; o++) {
            to[o] = (add ? to[o] : 0) + w->bias[o];
        }
    }
    for (size_t i = 0; i < w->in; i++) {
        const float *column = w->transposed + i * w->out;
        for (size_t r = 0; r < rows; r++) {
            double *restrict to = ba_ref_row(out, r);
            double factor = ba_ref_row(x, r)[i];
            for (size_t o = 0; o < w->out; o++) {
                to[o] += factor * column[o];
            }
        }
    }
    ba_count_linear(be, rows, w->in, w->out, add);
}

void ba_ref_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_buf *gain, double eps,
                    ba_view out) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        for (size_t g = 0; g < groups; g++) {
            const double *from = ba_ref_row(x, r) + g * cols;
            double *to = ba_ref_row(out, r) + g * cols;
            double sum = 0;
            for (size_t i = 0; i < cols; i++) {
                sum += from[i] * from[i];
            }
            double factor = 1 / sqrt(sum / (double)cols + eps);
            for (size_t i = 0; i < cols; i++) {
                to[i] = from[i] * factor * gain->at[i];
            }
        }
    }
}

void ba_ref_add(ba_backend *be, ba_view x, ba_view y, size_t rows, size_t cols) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        double *to = ba_ref_row(x, r);
        const double *from = ba_ref_row(y, r);
        for (size_t i = 0; i < cols; i++) {
            to[i] += from[i];
        }
    }
}

static double activate(ba_act act, double x) {
    if (act == BA_ACT_SILU) {
        return x / (1 + exp(-x));
    }
    double inner = 0.79788456080286535588 * (x + 0.044715 * x * x * x); /* sqrt(2 / pi) */
    return 0.5 * x * (1 + tanh(inner));
}

void ba_ref_glu(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        const double *gate = ba_ref_row(x, r), *up = gate + cols;
        double *to = ba_ref_row(out, r);
        for (size_t i = 0; i < cols; i++) {
            to[i] = activate(act, gate[i]) * up[i];
        }
    }
}

void ba_ref_gather(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst) {
    (void)be;
    for (size_t i = 0; i < n; i++) {
        memmove(ba_ref_row(dst, i), ba_ref_row(src, row[i]), cols * sizeof(double));
    }
}
