/* The loops of lanes.h; included by each lanes_ISA.c, which defines ISA_NAME and ISA_TABLE_NAME. */
#include "lanes.h"

#include "kernels/cpu/exp2.h"

#include <string.h>

enum { LANES = 16 };

static float across(const float lane[LANES]) {
    float sum = 0;
    for (size_t j = 0; j < LANES; j++) {
        sum += lane[j];
    }
    return sum;
}

/* e^x for x <= 87; 2^-126 far below 0. */
static inline float exponential(float x) {
    float y = x * 1.44269504f;
    return ba_exp2(y > 126.0f ? 126.0f : y);
}

static float dot(const float *x, const float *y, size_t n) {
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            lane[j] += x[i + j] * y[i + j];
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        lane[j] += x[i] * y[i];
    }
    return across(lane);
}

static float dot3(const float *x, const float *dout, const float *gain, size_t n) {
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            lane[j] += x[i + j] * dout[i + j] * gain[i + j];
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        lane[j] += x[i] * dout[i] * gain[i];
    }
    return across(lane);
}

static double square_sum(const float *x, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            lane[j] += (double)x[i + j] * (double)x[i + j];
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        lane[j] += (double)x[i] * (double)x[i];
    }
    for (size_t j = 0; j < LANES; j++) {
        sum += lane[j];
    }
    return sum;
}

static void axpy(float *restrict y, float scale, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        y[i] += scale * x[i];
    }
}

static void scaled(float *restrict y, float scale, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        y[i] = scale * x[i];
    }
}

static void multiply(float *x, float scale, size_t n) {
    for (size_t i = 0; i < n; i++) {
        x[i] *= scale;
    }
}

static void weighted(float *restrict grad, float factor, const float *restrict x, const float *restrict dout,
                     size_t n) {
    for (size_t i = 0; i < n; i++) {
        grad[i] += factor * x[i] * dout[i];
    }
}

static void norm_back(const float *x, const float *dout, const float *gain, float f, float c, size_t n, bool add,
                      float *dx) {
    if (add) {
        for (size_t i = 0; i < n; i++) {
            dx[i] += f * dout[i] * gain[i] - x[i] * c;
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            dx[i] = f * dout[i] * gain[i] - x[i] * c;
        }
    }
}

static void rotate(const float *x, size_t dim, const float *rot, bool back, float factor, float *out) {
    size_t half = dim / 2;
    const float *cosine = rot, *sine = rot + half;
    float turn = back ? -factor : factor;
    for (size_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half];
        out[i] = a * cosine[i] * factor - b * sine[i] * turn;
        out[i + half] = b * cosine[i] * factor + a * sine[i] * turn;
    }
}

/* Both activations are x s with s = 1 / (1 + e^-u): SiLU with u = x, and GELU in its tanh form (simd.h). The
 * slope is s + x s (1 - s) u'. */
static void glu_back(ba_act act, const float *gate, const float *up, const float *dout, size_t n, float *dgate,
                     float *dup) {
    if (act == BA_ACT_SILU) {
        for (size_t i = 0; i < n; i++) {
            float g = gate[i], u = up[i], d = dout[i], s = 1 / (1 + exponential(-g));
            dgate[i] = d * u * s * (1 + g * (1 - s));
            dup[i] = d * g * s;
        }
        return;
    }
    const float root = 1.59576912f, cubic = 0.044715f; /* 2 sqrt(2 / pi) */
    for (size_t i = 0; i < n; i++) {
        float g = gate[i], u = up[i], d = dout[i], s = 1 / (1 + exponential(-root * (g + cubic * g * g * g)));
        dgate[i] = d * u * (s + g * s * (1 - s) * root * (1 + 3 * cubic * g * g));
        dup[i] = d * g * s;
    }
}

static float max(const float *x, size_t n) {
    float lane[LANES], top = -INFINITY;
    size_t i = 0;
    for (size_t j = 0; j < LANES; j++) {
        lane[j] = -INFINITY;
    }
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        lane[j] = x[i] > lane[j] ? x[i] : lane[j];
    }
    for (size_t j = 0; j < LANES; j++) {
        top = lane[j] > top ? lane[j] : top;
    }
    return top;
}

static float exp_sum(const float *x, float from, size_t n, float *out) {
    float lane[LANES] = {0}, rest[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            float e = exponential(x[i + j] - from);
            out[i + j] = e;
            lane[j] += e;
        }
    }
    memcpy(rest, x + i, (n - i) * sizeof *x);
    for (size_t j = 0; j < LANES; j++) { /* all lanes at once, because many rows are short */
        rest[j] = exponential(rest[j] - from);
    }
    memcpy(out + i, rest, (n - i) * sizeof *x);
    for (size_t j = 0; j < n - i; j++) {
        lane[j] += rest[j];
    }
    return across(lane);
}

static void score_back(const float *p, const float *dp, float mean, size_t n, float *ds) {
    for (size_t i = 0; i < n; i++) {
        ds[i] = p[i] * (dp[i] - mean);
    }
}

static void adamw(const ba_adamw *cfg, double bias1, double bias2, size_t n, const float *restrict grad,
                  float *restrict mean, float *restrict variance, float *restrict value) {
    const float b1 = (float)cfg->beta1, b2 = (float)cfg->beta2, scale = (float)cfg->grad_scale, eps = (float)cfg->eps;
    const float rest1 = (float)(1 - cfg->beta1), rest2 = (float)(1 - cfg->beta2);
    const float keep = (float)(1 - cfg->lr * cfg->weight_decay), rate = (float)(cfg->lr / bias1);
    const float root = (float)(1 / sqrt(bias2));
    for (size_t i = 0; i < n; i++) {
        float g = grad[i] * scale, m = b1 * mean[i] + rest1 * g, v = b2 * variance[i] + rest2 * g * g;
        mean[i] = m;
        variance[i] = v;
        value[i] = value[i] * keep - rate * m / (sqrtf(v) * root + eps);
    }
}

const ba_train_lanes ISA_TABLE_NAME = {ISA_NAME, dot,    square_sum, axpy, scaled,  multiply,   weighted, norm_back,
                                       dot3,     rotate, glu_back,   max,  exp_sum, score_back, adamw};
