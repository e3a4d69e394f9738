/* The oracle of training: every operation of train.h in double, written as the formula. Attention has a file of its
 * own, train_attention.c. */
#include "train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- parameters ---- */

static double **part_of(ba_param *p, ba_param_part part) {
    double **parts[] = {&p->value, &p->grad, &p->mean, &p->variance};
    return parts[part];
}

static void param_free(ba_backend *be, ba_param *p) {
    (void)be;
    for (int part = BA_PARAM_VALUE; p && part <= BA_PARAM_VARIANCE; part++) {
        free(*part_of(p, (ba_param_part)part));
    }
    free(p);
}

static int allocate(ba_param *p, bool trained) {
    for (int part = BA_PARAM_VALUE; part <= (trained ? BA_PARAM_VARIANCE : BA_PARAM_VALUE); part++) {
        double **at = part_of(p, (ba_param_part)part);
        *at = ba_ref_alloc(0, p->rows, p->cols, 1, sizeof **at);
        if (!*at) {
            return -1;
        }
    }
    return 0;
}

static int decode(ba_param *p, const ba_weight_src *src) {
    const ba_dtype_info *type = ba_dtype_get(src->type);
    size_t row_bytes = src->cols / type->block * type->bytes;
    float *row = malloc(src->cols * sizeof *row);
    for (size_t r = 0; row && r < src->rows; r++) {
        size_t from = src->row_order ? src->row_order[r] : r;
        type->decode((const uint8_t *)src->data + from * row_bytes, row, src->cols);
        for (size_t i = 0; i < src->cols; i++) {
            p->value[r * p->cols + i] = row[i];
        }
    }
    free(row);
    return row ? 0 : -1;
}

static ba_param *param_new(ba_backend *be, const ba_weight_src *src, bool trained, char err[BA_ERR_LEN]) {
    size_t rows, cols;
    if (ba_weight_shape(src, 1, &rows, &cols, err)) {
        return NULL;
    }
    ba_param *p = calloc(1, sizeof *p);
    if (p) {
        p->rows = rows;
        p->cols = cols;
    }
    if (!p || allocate(p, trained) || decode(p, src)) {
        param_free(be, p);
        ba_fail(err, "parameter of %zu x %zu: out of memory", rows, cols);
        return NULL;
    }
    return p;
}

static void param_read(ba_backend *be, const ba_param *p, ba_param_part part, double *dst) {
    (void)be;
    const double *parts[] = {p->value, p->grad, p->mean, p->variance};
    memcpy(dst, parts[part], p->rows * p->cols * sizeof *dst);
}

static void param_write(ba_backend *be, ba_param *p, ba_param_part part, const double *src) {
    (void)be;
    memcpy(*part_of(p, part), src, p->rows * p->cols * sizeof *src);
}

/* ---- rows ---- */

static void copy(ba_backend *be, ba_view src, size_t rows, size_t cols, ba_view dst) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        memmove(ba_ref_row(dst, r), ba_ref_row(src, r), cols * sizeof(double));
    }
}

static void zero(ba_backend *be, ba_view x, size_t rows, size_t cols) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        memset(ba_ref_row(x, r), 0, cols * sizeof(double));
    }
}

/* y += scale x */
static void axpy(double *y, double scale, const double *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        y[i] += scale * x[i];
    }
}

static void scatter(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst) {
    (void)be;
    for (size_t i = 0; i < n; i++) {
        axpy(ba_ref_row(dst, row[i]), 1, ba_ref_row(src, i), cols);
    }
}

static void embed(ba_backend *be, const ba_param *p, const int32_t *ids, size_t n, double scale, ba_view out) {
    zero(be, out, n, p->cols);
    for (size_t r = 0; r < n; r++) {
        axpy(ba_ref_row(out, r), scale, p->value + (size_t)ids[r] * p->cols, p->cols);
    }
}

static void embed_back(ba_backend *be, ba_param *p, const int32_t *ids, size_t n, double scale, ba_view dout) {
    (void)be;
    for (size_t r = 0; p->grad && r < n; r++) {
        axpy(p->grad + (size_t)ids[r] * p->cols, scale, ba_ref_row(dout, r), p->cols);
    }
}

static void linear(ba_backend *be, const ba_param *p, ba_view x, size_t rows, double scale, bool add, ba_view out) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        const double *from = ba_ref_row(x, r);
        double *to = ba_ref_row(out, r);
        for (size_t o = 0; o < p->rows; o++) {
            double sum = 0;
            for (size_t i = 0; i < p->cols; i++) {
                sum += from[i] * p->value[o * p->cols + i];
            }
            to[o] = (add ? to[o] : 0) + scale * sum;
        }
    }
}

static void linear_back(ba_backend *be, const ba_param *p, ba_view dout, size_t rows, double scale, bool add,
                        ba_view dx) {
    if (!add) {
        zero(be, dx, rows, p->cols);
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t o = 0; o < p->rows; o++) {
            axpy(ba_ref_row(dx, r), scale * ba_ref_row(dout, r)[o], p->value + o * p->cols, p->cols);
        }
    }
}

static void linear_grad(ba_backend *be, ba_param *p, ba_view dout, ba_view x, size_t rows, double scale) {
    (void)be;
    for (size_t r = 0; p->grad && r < rows; r++) {
        for (size_t o = 0; o < p->rows; o++) {
            axpy(p->grad + o * p->cols, scale * ba_ref_row(dout, r)[o], ba_ref_row(x, r), p->cols);
        }
    }
}

static void bias(ba_backend *be, const ba_param *p, size_t rows, ba_view out) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        axpy(ba_ref_row(out, r), 1, p->value, p->cols);
    }
}

static void bias_grad(ba_backend *be, ba_param *p, ba_view dout, size_t rows) {
    (void)be;
    for (size_t r = 0; p->grad && r < rows; r++) {
        axpy(p->grad, 1, ba_ref_row(dout, r), p->cols);
    }
}

static double inverse_rms(const double *x, size_t n, double eps) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return 1 / sqrt(sum / (double)n + eps);
}

static void rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_param *gain,
                    double eps, ba_view out) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        for (size_t g = 0; g < groups; g++) {
            const double *from = ba_ref_row(x, r) + g * cols;
            double *to = ba_ref_row(out, r) + g * cols, factor = inverse_rms(from, cols, eps);
            for (size_t i = 0; i < cols; i++) {
                to[i] = from[i] * factor * gain->value[i];
            }
        }
    }
}

/* With f = 1 / rms(x) and y = dout gain:  dx = f y - x f^3 mean(x y),  dgain = f x dout. */
static void rmsnorm_back(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, ba_param *gain, double eps,
                         ba_view dout, bool add, ba_view dx) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        for (size_t g = 0; g < groups; g++) {
            const double *from = ba_ref_row(x, r) + g * cols, *d = ba_ref_row(dout, r) + g * cols;
            double *to = ba_ref_row(dx, r) + g * cols, f = inverse_rms(from, cols, eps), mean = 0;
            for (size_t i = 0; i < cols; i++) {
                mean += from[i] * d[i] * gain->value[i] / (double)cols;
            }
            for (size_t i = 0; i < cols; i++) {
                double upstream = d[i]; /* to may be d */
                to[i] = (add ? to[i] : 0) + f * upstream * gain->value[i] - from[i] * f * f * f * mean;
                if (gain->grad) {
                    gain->grad[i] += f * from[i] * upstream;
                }
            }
        }
    }
}

static void rotate(ba_backend *be, ba_view x, size_t rows, size_t heads, size_t head_dim, const ba_rot *rot,
                   size_t rot_row, bool back, ba_view out) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        for (size_t h = 0; h < heads; h++) {
            const double *from = ba_ref_row(x, r) + h * head_dim;
            double *to = ba_ref_row(out, r) + h * head_dim;
            if (back) {
                ba_ref_rotate_back(from, rot, rot_row + r, to);
            } else {
                ba_ref_rotate(from, head_dim, rot, rot_row + r, to);
            }
        }
    }
}

/* ---- activation and loss ---- */

static double act(ba_act which, double x, double *slope) {
    if (which == BA_ACT_SILU) {
        double s = 1 / (1 + exp(-x));
        *slope = s * (1 + x * (1 - s));
        return x * s;
    }
    const double root = 0.79788456080286535588; /* sqrt(2 / pi) */
    double t = tanh(root * (x + 0.044715 * x * x * x));
    *slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x);
    return 0.5 * x * (1 + t);
}

static void glu_back(ba_backend *be, ba_act which, ba_view x, ba_view dout, size_t rows, size_t cols, ba_view dgate,
                     ba_view dup) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        const double *gate = ba_ref_row(x, r), *up = gate + cols, *d = ba_ref_row(dout, r);
        double *to_gate = ba_ref_row(dgate, r), *to_up = ba_ref_row(dup, r);
        for (size_t i = 0; i < cols; i++) {
            double slope, value = act(which, gate[i], &slope), of_gate = d[i] * up[i] * slope;
            to_up[i] = d[i] * value;
            to_gate[i] = of_gate;
        }
    }
}

static double log_sum_exp(const double *x, size_t n) {
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        max = x[i] > max ? x[i] : max;
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp(x[i] - max);
    }
    return max + log(sum);
}

/* d(-log p[target]) = p - onehot;  d KL(t || p) = p - t. */
static void cross_entropy(ba_backend *be, ba_view logits, size_t n, size_t vocab, const int32_t *target, double weight,
                          ba_view teacher, double kl_weight, double sum[2]) {
    (void)be;
    for (size_t r = 0; r < n; r++) {
        double *x = ba_ref_row(logits, r), lse = log_sum_exp(x, vocab);
        const double *t = teacher.buf ? ba_ref_row(teacher, r) : NULL;
        double t_lse = t ? log_sum_exp(t, vocab) : 0;
        sum[0] += lse - x[target[r]];
        for (size_t i = 0; i < vocab; i++) {
            double log_p = x[i] - lse, p = exp(log_p), log_t = t ? t[i] - t_lse : 0, q = t ? exp(log_t) : 0;
            sum[1] += q > 0 ? q * (log_t - log_p) : 0;
            x[i] = weight * (p - (i == (size_t)target[r])) + (t ? kl_weight * (p - q) : 0);
        }
    }
}

/* ---- optimiser ---- */

static double grad_norm(ba_backend *be, ba_param *const *p, size_t n) {
    (void)be;
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < p[k]->rows * p[k]->cols; i++) {
            sum += p[k]->grad[i] * p[k]->grad[i];
        }
    }
    return sqrt(sum);
}

static void grad_zero(ba_backend *be, ba_param *const *p, size_t n) {
    (void)be;
    for (size_t k = 0; k < n; k++) {
        memset(p[k]->grad, 0, p[k]->rows * p[k]->cols * sizeof *p[k]->grad);
    }
}

static void adamw(ba_backend *be, ba_param *const *p, size_t n, const ba_adamw *c) {
    (void)be;
    double bias1 = 1 - pow(c->beta1, (double)c->step), bias2 = 1 - pow(c->beta2, (double)c->step);
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < p[k]->rows * p[k]->cols; i++) {
            double g = p[k]->grad[i] * c->grad_scale, *m = &p[k]->mean[i], *v = &p[k]->variance[i];
            *m = c->beta1 * *m + (1 - c->beta1) * g;
            *v = c->beta2 * *v + (1 - c->beta2) * g * g;
            p[k]->value[i] *= 1 - c->lr * c->weight_decay;
            p[k]->value[i] -= c->lr * (*m / bias1) / (sqrt(*v / bias2) + c->eps);
        }
    }
}

const ba_train_ops ba_train_ref = {
    .param_new = param_new,
    .param_free = param_free,
    .param_read = param_read,
    .param_write = param_write,
    .mask_new = ba_train_mask_new,
    .mask_free = ba_train_mask_free,
    .copy = copy,
    .zero = zero,
    .scatter = scatter,
    .embed = embed,
    .embed_back = embed_back,
    .linear = linear,
    .linear_back = linear_back,
    .linear_grad = linear_grad,
    .bias = bias,
    .bias_grad = bias_grad,
    .rmsnorm = rmsnorm,
    .rmsnorm_back = rmsnorm_back,
    .rotate = rotate,
    .attention = ba_train_ref_attention,
    .attention_back = ba_train_ref_attention_back,
    .glu_back = glu_back,
    .cross_entropy = cross_entropy,
    .grad_norm = grad_norm,
    .grad_zero = grad_zero,
    .adamw = adamw,
};
