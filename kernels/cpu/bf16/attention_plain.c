/* The bf16 tile code in plain C. The tests compare the fast kernels with it, and measure their error by its own. */
#include "bf16.h"

#include <math.h>

void ba_bf16_rotate(const float *x, size_t dim, const float *rot, float factor, float *out) {
    size_t half = dim / 2;
    const float *cosine = rot, *sine = rot + half;
    uint16_t *rounded = (uint16_t *)out;
    for (size_t i = 0; i < half; i++) {
        rounded[i] = ba_f32_to_bf16((x[i] * cosine[i] - x[i + half] * sine[i]) * factor);
        rounded[i + half] = ba_f32_to_bf16((x[i + half] * cosine[i] + x[i] * sine[i]) * factor);
    }
}

void ba_bf16_values(const void *v, size_t v_stride, float *out) {
    const uint16_t *from = v;
    for (size_t j = 0; j < BA_KEYS; j++) {
        for (size_t d = 0; d < v_stride; d++) {
            out[j * v_stride + d] = ba_bf16_to_f32(from[ba_bf16_value_at(v_stride, j, d)]);
        }
    }
}

static float score(const ba_tile *t, size_t row, size_t key) {
    const uint16_t *q = (const uint16_t *)(t->q + row * t->dim), *k = t->k;
    float sum = t->bias;
    for (size_t d = 0; d < t->dim; d++) {
        sum += ba_bf16_to_f32(q[d]) * ba_bf16_to_f32(k[ba_bf16_key_at(t->dim, key, d)]);
    }
    return sum;
}

static void scores(const ba_tile *t, size_t tile) {
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t j = 0; j < BA_KEYS; j++) {
            t->s[r * BA_KEYS + j] = score(t, r, tile * BA_KEYS + j);
        }
    }
}

/* Adds keys [lo, hi), of one tile, to a row. */
static void attend_row(ba_tile *t, size_t row, size_t lo, size_t hi) {
    const uint16_t *v = t->v;
    float *s = t->s + row * BA_KEYS, *o = t->o + row * t->v_stride, max = t->m[row];
    for (size_t j = lo; j < hi; j++) {
        s[j - lo] = score(t, row, j);
        max = s[j - lo] > max ? s[j - lo] : max;
    }
    float factor = exp2f(t->m[row] - max);
    t->m[row] = max;
    t->l[row] *= factor;
    for (size_t d = 0; d < t->v_stride; d++) {
        o[d] *= factor;
    }
    for (size_t j = lo; j < hi; j++) {
        float p = ba_bf16_to_f32(ba_f32_to_bf16(exp2f(s[j - lo] - max)));
        t->l[row] += p;
        for (size_t d = 0; d < t->v_stride; d++) {
            o[d] += p * ba_bf16_to_f32(v[ba_bf16_value_at(t->v_stride, j, d)]);
        }
    }
    t->pairs += hi - lo;
}

static void attend(ba_tile *t) {
    for (size_t key0 = t->key0 / BA_KEYS * BA_KEYS; key0 < t->key1; key0 += BA_KEYS) {
        for (size_t r = 0; r < t->rows; r++) {
            size_t first = (size_t)(t->lo[r] > 0 ? t->lo[r] : 0), last = (size_t)(t->hi[r] > 0 ? t->hi[r] : 0);
            size_t lo = first > key0 ? first : key0, hi = last < key0 + BA_KEYS ? last : key0 + BA_KEYS;
            if (lo < hi) {
                attend_row(t, r, lo, hi);
            }
        }
    }
}

static void round_all(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = ba_f32_to_bf16(x[i]);
    }
}

const ba_bf16_isa ba_bf16_isa_plain = {
    {.name = "bf16 plain", .attend = attend, .scores = scores, .rotate = ba_bf16_rotate, .values = ba_bf16_values},
    round_all,
    NULL,
    0};
