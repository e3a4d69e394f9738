/* Included by each simd_ISA.c, which defines `vec` (VEC_LANES floats) and its vec_ functions, VEC_COLS, the vectors of
 * a register block, and ISA_NAME. The result of a row does not depend on the rows that share a block with it, because
 * masked keys add exact zeros and every sum runs in the order of the keys. */
#include "attention.h"
#include "exp2.h"

#include <math.h>
#include <string.h>

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#define INLINE static inline __attribute__((always_inline))

enum { BLOCK_ROWS = 6 }; /* 6 x VEC_COLS accumulators, VEC_COLS operands and a factor fit the registers */

/* 2^x for x <= 127; exactly 1 at 0, exactly 0 below -150 at the latest, NaN for NaN. Largest relative error found
 * against double on 43 million floats in [-126, 127]: 7.9e-8 (1.3 units of 2^-24) with fused multiply-add, 1.01e-7 (1.7
 * units) without. */
INLINE vec vec_exp2(vec x) {
    x = vec_max(vec_set(-200.0f), vec_min(vec_set(127.0f), x)); /* in this order NaN stays NaN */
    vec n = vec_round(x), f = vec_sub(x, n);
    return vec_scale2(BA_EXP2_POLYNOMIAL(f, vec_set, vec_fma), n);
}

/* c[R, C vectors] = c * rescale + a[R, depth] b[depth, C vectors]; without `rescale` c starts from `start`. */
INLINE void block_product(size_t R, size_t C, size_t depth, const float *a, size_t a_stride, const float *b,
                          size_t b_stride, float *c, size_t c_stride, const float *rescale, float start) {
    vec sum[BLOCK_ROWS][VEC_COLS];
    UNROLL for (size_t i = 0; i < R; i++) {
        UNROLL for (size_t j = 0; j < C; j++) {
            sum[i][j] =
                rescale ? vec_mul(vec_load(c + i * c_stride + j * VEC_LANES), vec_set(rescale[i])) : vec_set(start);
        }
    }
    for (size_t d = 0; d < depth; d++) {
        vec row[VEC_COLS];
        UNROLL for (size_t j = 0; j < C; j++) {
            row[j] = vec_load(b + d * b_stride + j * VEC_LANES);
        }
        UNROLL for (size_t i = 0; i < R; i++) {
            vec factor = vec_set(a[i * a_stride + d]);
            UNROLL for (size_t j = 0; j < C; j++) {
                sum[i][j] = vec_fma(factor, row[j], sum[i][j]);
            }
        }
    }
    UNROLL for (size_t i = 0; i < R; i++) {
        UNROLL for (size_t j = 0; j < C; j++) {
            vec_store(c + i * c_stride + j * VEC_LANES, sum[i][j]);
        }
    }
}

/* The same for `cols` vectors, cut into register blocks. */
INLINE void row_product(size_t R, size_t cols, size_t depth, const float *a, size_t a_stride, const float *b,
                        size_t b_stride, float *c, size_t c_stride, const float *rescale, float start) {
    size_t j = 0;
    for (; j + VEC_COLS <= cols; j += VEC_COLS) {
        block_product(R, VEC_COLS, depth, a, a_stride, b + j * VEC_LANES, b_stride, c + j * VEC_LANES, c_stride,
                      rescale, start);
    }
    for (; j < cols; j++) {
        block_product(R, 1, depth, a, a_stride, b + j * VEC_LANES, b_stride, c + j * VEC_LANES, c_stride, rescale,
                      start);
    }
}

static void product(size_t rows, size_t cols, size_t depth, const float *a, size_t a_stride, const float *b,
                    size_t b_stride, float *c, size_t c_stride, const float *rescale, float start) {
    if (rows == BLOCK_ROWS) {
        row_product(BLOCK_ROWS, cols, depth, a, a_stride, b, b_stride, c, c_stride, rescale, start);
        return;
    }
    for (size_t i = 0; i < rows;) {
        size_t take = rows - i >= 3 ? 3 : 1;
        const float *from = rescale ? rescale + i : NULL;
        if (take == 3) {
            row_product(3, cols, depth, a + i * a_stride, a_stride, b, b_stride, c + i * c_stride, c_stride, from,
                        start);
        } else {
            row_product(1, cols, depth, a + i * a_stride, a_stride, b, b_stride, c + i * c_stride, c_stride, from,
                        start);
        }
        i += take;
    }
}

/* Turns a row of scores into probabilities relative to the new maximum, in place. Lanes [lo, hi) are visible. */
INLINE void soften(float *s, size_t cols, int32_t lo, int32_t hi, float *m, float *l, float *rescale) {
    vec max = vec_set(BA_NO_SCORE);
    bool partial = lo > 0 || (size_t)hi < cols * VEC_LANES;
    for (size_t j = 0; j < cols; j++) {
        vec x = vec_load(s + j * VEC_LANES);
        if (partial) {
            x = vec_mask(x, lo - (int32_t)(j * VEC_LANES), hi - (int32_t)(j * VEC_LANES));
            vec_store(s + j * VEC_LANES, x);
        }
        max = vec_max(max, x);
    }
    float top = vec_max_across(max), old = *m;
    top = top > old ? top : old;
    vec sum = vec_set(0), from = vec_set(top);
    for (size_t j = 0; j < cols; j++) {
        vec p = vec_exp2(vec_sub(vec_load(s + j * VEC_LANES), from));
        vec_store(s + j * VEC_LANES, p);
        sum = vec_add(sum, p);
    }
    *m = top;
    *rescale = 1.0f;
    if (top != old) {
        float out[VEC_LANES];
        vec_store_any(out, vec_exp2(vec_set(old - top)));
        *rescale = out[0];
    }
    *l = *l * *rescale + vec_sum_across(sum);
}

static int32_t max_i(int32_t a, int32_t b) {
    return a > b ? a : b;
}

static int32_t min_i(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* Lanes [lo, hi) of the key tile starting at key0 that the row sees; [64, 0) if it sees none. */
INLINE void visible(const ba_tile *t, size_t row, int32_t key0, int32_t *lo, int32_t *hi) {
    *lo = max_i(t->lo[row] - key0, 0);
    *hi = min_i(t->hi[row] - key0, BA_KEYS);
    if (*lo >= *hi) {
        *lo = BA_KEYS;
        *hi = 0;
    }
}

/* Lanes that at least one of the rows sees. */
INLINE void visible_any(const ba_tile *t, size_t row0, size_t rows, int32_t key0, int32_t *lo, int32_t *hi) {
    *lo = BA_KEYS;
    *hi = 0;
    for (size_t i = 0; i < rows; i++) {
        int32_t first, last;
        visible(t, row0 + i, key0, &first, &last);
        *lo = min_i(*lo, first);
        *hi = max_i(*hi, last);
    }
}

static size_t block_at(const ba_tile *t, size_t row) {
    return t->rows - row < BLOCK_ROWS ? t->rows - row : BLOCK_ROWS;
}

/* First all scores of a key tile, then all its values: each of the two parts fits the first-level cache. */
static void attend(ba_tile *t) {
    const float *keys = t->k, *values = t->v;
    for (size_t tile = t->key0 / BA_KEYS; tile * BA_KEYS < t->key1; tile++) {
        int32_t key0 = (int32_t)(tile * BA_KEYS), lo, hi;
        const float *k = keys + tile * t->dim * BA_KEYS, *v = values + tile * BA_KEYS * t->v_stride;
        for (size_t r = 0; r < t->rows; r += BLOCK_ROWS) {
            size_t rows = block_at(t, r);
            visible_any(t, r, rows, key0, &lo, &hi);
            if (lo >= hi) {
                continue;
            }
            size_t cols = ((size_t)hi + VEC_LANES - 1) / VEC_LANES;
            product(rows, cols, t->dim, t->q + r * t->dim, t->dim, k, BA_KEYS, t->s + r * BA_KEYS, BA_KEYS, NULL,
                    t->bias);
            for (size_t i = r; i < r + rows; i++) {
                int32_t first, last;
                visible(t, i, key0, &first, &last);
                soften(t->s + i * BA_KEYS, cols, first, last, &t->m[i], &t->l[i], &t->rescale[i]);
                t->pairs += last > first ? (uint64_t)(last - first) : 0;
            }
        }
        for (size_t r = 0; r < t->rows; r += BLOCK_ROWS) {
            size_t rows = block_at(t, r);
            visible_any(t, r, rows, key0, &lo, &hi);
            if (lo < hi) {
                product(rows, t->v_stride / VEC_LANES, (size_t)(hi - lo), t->s + r * BA_KEYS + lo, BA_KEYS,
                        v + (size_t)lo * t->v_stride, t->v_stride, t->o + r * t->v_stride, t->v_stride, t->rescale + r,
                        0);
            }
        }
    }
}

static void scores(const ba_tile *t, size_t tile) {
    const float *keys = t->k;
    for (size_t r = 0; r < t->rows; r += BLOCK_ROWS) {
        product(block_at(t, r), BA_KEYS / VEC_LANES, t->dim, t->q + r * t->dim, t->dim, keys + tile * t->dim * BA_KEYS,
                BA_KEYS, t->s + r * BA_KEYS, BA_KEYS, NULL, t->bias);
    }
}

static void matrix_product(size_t rows, size_t depth, const float *x, size_t x_stride, const float *w, float *c,
                           bool more) {
    static const float keep[BLOCK_ROWS] = {1, 1, 1, 1, 1, 1};
    for (size_t r = 0; r < rows; r += BLOCK_ROWS) {
        size_t n = rows - r < BLOCK_ROWS ? rows - r : BLOCK_ROWS;
        product(n, BA_KEYS / VEC_LANES, depth, x + r * x_stride, x_stride, w, BA_KEYS, c + r * BA_KEYS, BA_KEYS,
                more ? keep : NULL, 0);
    }
}

static void rotate(const float *restrict x, size_t dim, const float *restrict rot, float factor, float *restrict out) {
    size_t half = dim / 2;
    const float *restrict cosine = rot, *restrict sine = rot + half;
    for (size_t i = 0; i < half; i++) {
        out[i] = (x[i] * cosine[i] - x[i + half] * sine[i]) * factor;
    }
    for (size_t i = 0; i < half; i++) {
        out[i + half] = (x[i + half] * cosine[i] + x[i] * sine[i]) * factor;
    }
}

/* Both activations are x / (1 + e^-u): SiLU with u = x, and GELU in its tanh form since (1 + tanh y) / 2 is the
 * logistic function of 2 y. */
INLINE vec activate(ba_act act, vec x) {
    const float log2e = 1.44269504f, root = 1.59576912f; /* 2 sqrt(2 / pi) */
    vec u = x;
    if (act == BA_ACT_GELU_TANH) {
        vec cubic = vec_fma(vec_mul(vec_mul(x, x), vec_set(0.044715f)), x, x);
        u = vec_mul(cubic, vec_set(root));
    }
    return vec_div(x, vec_add(vec_set(1), vec_exp2(vec_mul(u, vec_set(-log2e)))));
}

INLINE void glu_row(ba_act act, const float *gate, const float *up, size_t n, float *out) {
    size_t i = 0;
    for (; i + VEC_LANES <= n; i += VEC_LANES) {
        vec_store_any(out + i, vec_mul(activate(act, vec_load_any(gate + i)), vec_load_any(up + i)));
    }
    if (i < n) {
        float x[VEC_LANES] = {0}, y[VEC_LANES] = {0};
        memcpy(x, gate + i, (n - i) * sizeof *x);
        memcpy(y, up + i, (n - i) * sizeof *y);
        vec_store_any(y, vec_mul(activate(act, vec_load_any(x)), vec_load_any(y)));
        memcpy(out + i, y, (n - i) * sizeof *y);
    }
}

static void glu(ba_act act, const float *gate, const float *up, size_t n, float *out) {
    if (act == BA_ACT_SILU) {
        glu_row(BA_ACT_SILU, gate, up, n, out);
    } else {
        glu_row(BA_ACT_GELU_TANH, gate, up, n, out);
    }
}

static float rms_factor(const float *x, size_t cols, float eps) {
    float part[16] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 16 <= cols; i += 16) {
        for (size_t j = 0; j < 16; j++) {
            part[j] += x[i + j] * x[i + j];
        }
    }
    for (; i < cols; i++) {
        part[i % 16] += x[i] * x[i];
    }
    for (size_t j = 0; j < 16; j++) {
        sum += part[j];
    }
    return 1.0f / sqrtf(sum / (float)cols + eps);
}

static void scale(const float *x, size_t n, float factor, const float *gain, float *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = x[i] * factor * gain[i];
    }
}

#define ISA_TABLE                                                                                                      \
    { ISA_NAME, attend, scores, matrix_product, rotate, glu, rms_factor, scale, NULL }
