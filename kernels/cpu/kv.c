/* Keys and values in fp32: in and out of the tiled layout of cpu.h. */
#include "cpu.h"

#include "kernels/base/sizes.h"
#include "kernels/count.h"

#include <stdlib.h>
#include <string.h>

static size_t tiles_of(size_t capacity) {
    return capacity / BA_KEYS + (capacity % BA_KEYS != 0);
}

/* A handle without keys and values. *tokens: tiles in all layers and heads. */
static ba_kv *kv_empty(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity,
                       size_t *tokens) {
    ba_cpu *cpu = (ba_cpu *)be;
    size_t tiles = tiles_of(capacity), slices;
    /* Key indices are 32 bits wide in the kernels. */
    if (capacity > INT32_MAX / 2 || !ba_multiply_sizes(layers, kv_heads, &slices) ||
        !ba_multiply_sizes(slices, tiles, tokens) || ba_attn_space_reserve(cpu->space, head_dim)) {
        return NULL;
    }
    ba_kv *kv = malloc(sizeof *kv);
    if (kv) {
        *kv = (ba_kv){slices, kv_heads, head_dim, tiles, ba_cpu_v_stride(head_dim), be->kv_size, NULL, NULL, false};
    }
    return kv;
}

ba_kv *ba_cpu_kv_new(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity) {
    size_t tokens;
    ba_kv *kv = kv_empty(be, layers, kv_heads, head_dim, capacity, &tokens);
    if (!kv) {
        return NULL;
    }
    kv->k = ba_cpu_alloc(tokens, head_dim, BA_KEYS, kv->size);
    kv->v = ba_cpu_alloc(tokens, kv->v_stride, BA_KEYS, kv->size);
    if (!kv->k || !kv->v) {
        ba_cpu_kv_free(be, kv);
        return NULL;
    }
    return kv;
}

ba_kv *ba_cpu_kv_view(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity,
                      const void *bytes) {
    size_t tokens;
    ba_kv *kv = kv_empty(be, layers, kv_heads, head_dim, capacity, &tokens);
    if (kv) {
        kv->k = (void *)bytes; /* never written: the engine writes only to KV of kv_new */
        kv->v = (char *)kv->k + tokens * head_dim * BA_KEYS * kv->size;
        kv->borrowed = true;
    }
    return kv;
}

void ba_cpu_kv_free(ba_backend *be, ba_kv *kv) {
    (void)be;
    if (kv && !kv->borrowed) {
        free(kv->k);
        free(kv->v);
    }
    free(kv);
}

void ba_cpu_kv_parts(ba_backend *be, ba_kv *kv, void *part[2], size_t bytes[2]) {
    size_t tokens = kv->slices * kv->tiles * BA_KEYS;
    (void)be;
    part[0] = kv->k;
    part[1] = kv->v;
    bytes[0] = tokens * kv->dim * kv->size;
    bytes[1] = tokens * kv->v_stride * kv->size;
}

size_t ba_cpu_kv_bytes(const ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity) {
    return layers * kv_heads * tiles_of(capacity) * BA_KEYS * (head_dim + ba_cpu_v_stride(head_dim)) * be->kv_size;
}

/* Dimension 0 of a token's key; dimension d is d * BA_KEYS elements later. */
static float *key_at(const ba_kv *kv, size_t layer, size_t head, size_t token) {
    float *keys = ba_cpu_keys(kv, layer, head);
    return keys + token / BA_KEYS * kv->dim * BA_KEYS + token % BA_KEYS;
}

static float *value_at(const ba_kv *kv, size_t layer, size_t head, size_t token) {
    float *values = ba_cpu_values(kv, layer, head);
    return values + token * kv->v_stride;
}

/* A write of rows or a copy of tokens. rot NULL: keys are not rotated. */
typedef struct transfer {
    const ba_kv *from; /* of a copy */
    size_t first;
    ba_view k, v; /* of a write */
    const int32_t *token;
    ba_kv *to;
    size_t at, layer;
    const ba_rot *rot;
    size_t rot_row;
} transfer;

/* Stores the pair (a, b) of dimensions d and d + half, rotated by row i's angle. */
static inline void store_pair(const transfer *t, size_t i, size_t d, float a, float b, float *key) {
    size_t half = t->to->dim / 2;
    if (t->rot) {
        const float *rot = t->rot->at + (t->rot_row + i) * 2 * half;
        float cosine = rot[d], sine = rot[half + d], x = a * cosine - b * sine, y = b * cosine + a * sine;
        a = x;
        b = y;
    }
    key[d * BA_KEYS] = a;
    key[(d + half) * BA_KEYS] = b;
}

static void write_tokens(const void *arg, size_t first, size_t last) {
    const transfer *t = arg;
    size_t dim = t->to->dim, half = dim / 2;
    for (size_t h = 0; h < t->to->kv_heads; h++) {
        for (size_t i = first; i < last; i++) {
            size_t token = t->token ? (size_t)t->token[i] : t->at + i;
            const float *k = ba_cpu_row(t->k, i) + h * dim;
            float *key = key_at(t->to, t->layer, h, token);
            for (size_t d = 0; d < half; d++) {
                store_pair(t, i, d, k[d], k[d + half], key);
            }
            memcpy(value_at(t->to, t->layer, h, token), ba_cpu_row(t->v, i) + h * dim, dim * sizeof(float));
        }
    }
}

void ba_cpu_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                     ba_view v, const ba_rot *rot, size_t rot_row) {
    transfer t = {.k = k, .v = v, .token = token, .to = kv, .at = at, .layer = layer, .rot = rot, .rot_row = rot_row};
    size_t width = kv->kv_heads * kv->dim;
    ba_cpu_for((ba_cpu *)be, n, 4 * width, write_tokens, &t);
    ba_count_kv_write(be, 2 * n * width);
}

static void copy_tokens(const void *arg, size_t first, size_t last) {
    const transfer *t = arg;
    size_t dim = t->to->dim, half = dim / 2;
    for (size_t h = 0; h < t->to->kv_heads; h++) {
        for (size_t i = first; i < last; i++) {
            const float *k = key_at(t->from, t->layer, h, t->first + i);
            float *key = key_at(t->to, t->layer, h, t->at + i);
            for (size_t d = 0; d < half; d++) {
                store_pair(t, i, d, k[d * BA_KEYS], k[(d + half) * BA_KEYS], key);
            }
            memcpy(value_at(t->to, t->layer, h, t->at + i), value_at(t->from, t->layer, h, t->first + i),
                   dim * sizeof(float));
        }
    }
}

void ba_cpu_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                    const ba_rot *rot, size_t rot_row) {
    transfer t = {.from = src, .first = first, .to = dst, .at = at, .layer = layer, .rot = rot, .rot_row = rot_row};
    size_t width = src->kv_heads * src->dim;
    ba_cpu_for((ba_cpu *)be, n, 4 * width, copy_tokens, &t);
    ba_count_kv_copy(be, 2 * n * width);
}

void ba_cpu_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v) {
    (void)be;
    for (size_t i = 0; i < n; i++) {
        for (size_t h = 0; h < kv->kv_heads; h++) {
            const float *key = key_at(kv, layer, h, first + i), *value = value_at(kv, layer, h, first + i);
            size_t to = (i * kv->kv_heads + h) * kv->dim;
            for (size_t d = 0; k && d < kv->dim; d++) {
                k[to + d] = key[d * BA_KEYS];
            }
            for (size_t d = 0; v && d < kv->dim; d++) {
                v[to + d] = value[d];
            }
        }
    }
}

void ba_cpu_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                        size_t first_b, size_t n, double *out) {
    (void)be;
    size_t step = part == BA_KV_K ? BA_KEYS : 1;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t h = 0; h < a->kv_heads; h++) {
            const float *x = part == BA_KV_K ? key_at(a, layer, h, first_a + i) : value_at(a, layer, h, first_a + i);
            const float *y = part == BA_KV_K ? key_at(b, layer, h, first_b + i) : value_at(b, layer, h, first_b + i);
            for (size_t d = 0; d < a->dim; d++) {
                double e = (double)x[d * step] - y[d * step];
                sum += e * e;
            }
        }
        out[i] = sum;
    }
}

void ba_cpu_shift_run(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                      const double *from, const double *to, void (*task)(void *arg, size_t index, size_t worker)) {
    ba_cpu_shift c = {part, layer, n_span ? span->kv->kv_heads : 1, span, from, to};
    ba_pool_run(((ba_cpu *)be)->pool, n_span * c.kv_heads, task, &c);
}

/* One span of one KV head. */
static void shift_task(void *arg, size_t index, size_t worker) {
    const ba_cpu_shift *c = arg;
    const ba_kv_span *s = &c->span[index / c->kv_heads];
    const double *from = c->from + s->at, *to = c->to + s->at;
    size_t h = index % c->kv_heads, step = c->part == BA_KV_K ? BA_KEYS : 1;
    float *(*at)(const ba_kv *, size_t, size_t, size_t) = c->part == BA_KV_K ? key_at : value_at;
    double mean[BA_MOST_DIM] = {0};
    (void)worker;
    for (size_t i = 0; i < s->n; i++) {
        const float *x = at(s->kv, c->layer, h, s->first + i), *y = at(s->old, c->layer, h, s->first + i);
        for (size_t d = 0; from[i] != 0 && d < s->kv->dim; d++) {
            mean[d] += from[i] * ((double)x[d * step] - y[d * step]);
        }
    }
    for (size_t i = 0; i < s->n; i++) {
        float *x = at(s->kv, c->layer, h, s->first + i);
        for (size_t d = 0; to[i] != 0 && d < s->kv->dim; d++) {
            x[d * step] = (float)(x[d * step] + to[i] * mean[d]);
        }
    }
}

void ba_cpu_kv_shift(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                     const double *from, const double *to) {
    ba_cpu_shift_run(be, part, layer, span, n_span, from, to, shift_task);
}
