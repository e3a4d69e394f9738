/* Keys and values in bf16: in and out of the tiled layout of bf16.h. */
#include "bf16.h"
#include "kernels/count.h"

#include <string.h>

/* A write of rows or a copy of tokens. rot NULL: keys are not rotated. */
typedef struct transfer {
    const ba_cpu *cpu;
    const ba_kv *from; /* of a copy */
    size_t first;
    ba_view k, v; /* of a write */
    const int32_t *token;
    ba_kv *to;
    size_t at, layer;
    const ba_rot *rot;
    size_t rot_row;
} transfer;

static void rotate(const float *restrict x, size_t half, const float *restrict rot, float *restrict out) {
    for (size_t d = 0; d < half; d++) {
        out[d] = x[d] * rot[d] - x[d + half] * rot[half + d];
        out[d + half] = x[d + half] * rot[d] + x[d] * rot[half + d];
    }
}

/* Stores a key [dim], rotated by row i's angle in fp32. */
static void store_key(const transfer *t, size_t i, const float *k, uint16_t *keys, size_t token) {
    size_t dim = t->to->dim;
    uint16_t *to = keys + ba_bf16_key_at(dim, token, 0), rounded[BA_MOST_DIM];
    float rotated[BA_MOST_DIM];
    if (t->rot) {
        rotate(k, dim / 2, t->rot->at + (t->rot_row + i) * dim, rotated);
    }
    t->cpu->round(t->rot ? rotated : k, dim, rounded);
    for (size_t d = 0; d < dim; d += 2) {
        memcpy(to + d * BA_KEYS, rounded + d, 2 * sizeof *to);
    }
}

static void store_value(const transfer *t, const float *v, uint16_t *values, size_t token) {
    uint16_t *to = values + ba_bf16_value_at(t->to->v_stride, token, 0), rounded[BA_MOST_DIM];
    t->cpu->round(v, t->to->dim, rounded);
    for (size_t d = 0; d < t->to->dim; d++) {
        to[2 * d] = rounded[d];
    }
}

static void write_tokens(const void *arg, size_t first, size_t last) {
    const transfer *t = arg;
    size_t dim = t->to->dim;
    for (size_t h = 0; h < t->to->kv_heads; h++) {
        uint16_t *keys = ba_cpu_keys(t->to, t->layer, h), *values = ba_cpu_values(t->to, t->layer, h);
        for (size_t i = first; i < last; i++) {
            size_t token = t->token ? (size_t)t->token[i] : t->at + i;
            store_key(t, i, ba_cpu_row(t->k, i) + h * dim, keys, token);
            store_value(t, ba_cpu_row(t->v, i) + h * dim, values, token);
        }
    }
}

void ba_bf16_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                      ba_view v, const ba_rot *rot, size_t rot_row) {
    transfer t = {.cpu = (ba_cpu *)be,
                  .k = k,
                  .v = v,
                  .token = token,
                  .to = kv,
                  .at = at,
                  .layer = layer,
                  .rot = rot,
                  .rot_row = rot_row};
    size_t width = kv->kv_heads * kv->dim;
    ba_cpu_for((ba_cpu *)be, n, 4 * width, write_tokens, &t);
    ba_count_kv_write(be, 2 * n * width);
}

static void copy_tokens(const void *arg, size_t first, size_t last) {
    const transfer *t = arg;
    size_t dim = t->to->dim, stride = t->to->v_stride, half = dim / 2;
    for (size_t h = 0; h < t->to->kv_heads; h++) {
        const uint16_t *from_k = ba_cpu_keys(t->from, t->layer, h), *from_v = ba_cpu_values(t->from, t->layer, h);
        uint16_t *to_k = ba_cpu_keys(t->to, t->layer, h), *to_v = ba_cpu_values(t->to, t->layer, h);
        for (size_t i = first; i < last; i++) {
            const float *rot = t->rot ? t->rot->at + (t->rot_row + i) * dim : NULL;
            size_t from = t->first + i, to = t->at + i;
            for (size_t d = 0; d < half; d++) {
                uint16_t x = from_k[ba_bf16_key_at(dim, from, d)], y = from_k[ba_bf16_key_at(dim, from, d + half)];
                if (rot) {
                    float a = ba_bf16_to_f32(x), b = ba_bf16_to_f32(y);
                    x = ba_f32_to_bf16(a * rot[d] - b * rot[half + d]);
                    y = ba_f32_to_bf16(b * rot[d] + a * rot[half + d]);
                }
                to_k[ba_bf16_key_at(dim, to, d)] = x;
                to_k[ba_bf16_key_at(dim, to, d + half)] = y;
            }
            for (size_t d = 0; d < dim; d++) {
                to_v[ba_bf16_value_at(stride, to, d)] = from_v[ba_bf16_value_at(stride, from, d)];
            }
        }
    }
}

void ba_bf16_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                     const ba_rot *rot, size_t rot_row) {
    transfer t = {.from = src, .first = first, .to = dst, .at = at, .layer = layer, .rot = rot, .rot_row = rot_row};
    size_t width = src->kv_heads * src->dim;
    ba_cpu_for((ba_cpu *)be, n, 4 * width, copy_tokens, &t);
    ba_count_kv_copy(be, 2 * n * width);
}

static double key_of(const ba_kv *kv, size_t layer, size_t head, size_t token, size_t d) {
    const uint16_t *keys = ba_cpu_keys(kv, layer, head);
    return (double)ba_bf16_to_f32(keys[ba_bf16_key_at(kv->dim, token, d)]);
}

static double value_of(const ba_kv *kv, size_t layer, size_t head, size_t token, size_t d) {
    const uint16_t *values = ba_cpu_values(kv, layer, head);
    return (double)ba_bf16_to_f32(values[ba_bf16_value_at(kv->v_stride, token, d)]);
}

void ba_bf16_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v) {
    (void)be;
    for (size_t i = 0; i < n; i++) {
        for (size_t h = 0; h < kv->kv_heads; h++) {
            size_t to = (i * kv->kv_heads + h) * kv->dim;
            for (size_t d = 0; k && d < kv->dim; d++) {
                k[to + d] = key_of(kv, layer, h, first + i, d);
            }
            for (size_t d = 0; v && d < kv->dim; d++) {
                v[to + d] = value_of(kv, layer, h, first + i, d);
            }
        }
    }
}

void ba_bf16_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                         size_t first_b, size_t n, double *out) {
    (void)be;
    double (*of)(const ba_kv *, size_t, size_t, size_t, size_t) = part == BA_KV_K ? key_of : value_of;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t h = 0; h < a->kv_heads; h++) {
            for (size_t d = 0; d < a->dim; d++) {
                double e = of(a, layer, h, first_a + i, d) - of(b, layer, h, first_b + i, d);
                sum += e * e;
            }
        }
        out[i] = sum;
    }
}

/* One span of one KV head. */
static void shift_task(void *arg, size_t index, size_t worker) {
    const ba_cpu_shift *c = arg;
    const ba_kv_span *s = &c->span[index / c->kv_heads];
    const double *from = c->from + s->at, *to = c->to + s->at;
    size_t h = index % c->kv_heads;
    bool keys = c->part == BA_KV_K;
    double (*of)(const ba_kv *, size_t, size_t, size_t, size_t) = keys ? key_of : value_of;
    double mean[BA_MOST_DIM] = {0};
    uint16_t *at = keys ? ba_cpu_keys(s->kv, c->layer, h) : ba_cpu_values(s->kv, c->layer, h);
    (void)worker;
    for (size_t i = 0; i < s->n; i++) {
        for (size_t d = 0; from[i] != 0 && d < s->kv->dim; d++) {
            mean[d] += from[i] * (of(s->kv, c->layer, h, s->first + i, d) - of(s->old, c->layer, h, s->first + i, d));
        }
    }
    for (size_t i = 0; i < s->n; i++) {
        for (size_t d = 0; to[i] != 0 && d < s->kv->dim; d++) {
            size_t e =
                keys ? ba_bf16_key_at(s->kv->dim, s->first + i, d) : ba_bf16_value_at(s->kv->v_stride, s->first + i, d);
            at[e] = ba_f32_to_bf16((float)(ba_bf16_to_f32(at[e]) + to[i] * mean[d]));
        }
    }
}

void ba_bf16_kv_shift(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                      const double *from, const double *to) {
    ba_cpu_shift_run(be, part, layer, span, n_span, from, to, shift_task);
}
