/* Keys and values of the oracle: [layers, kv_heads, capacity, dim], nothing packed. */
#include "kernels/base/sizes.h"
#include "kernels/count.h"
#include "ref.h"

#include <stdlib.h>
#include <string.h>

void ba_ref_kv_free(ba_backend *be, ba_kv *kv) {
    (void)be;
    if (kv && !kv->borrowed) {
        free(kv->k);
        free(kv->v);
    }
    free(kv);
}

ba_kv *ba_ref_kv_new(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity) {
    ba_kv *kv = ba_ref_alloc(0, 1, 1, 1, sizeof *kv);
    size_t tokens;
    if (!kv || !ba_multiply_sizes(layers, kv_heads, &tokens)) {
        free(kv);
        return NULL;
    }
    *kv = (ba_kv){layers, kv_heads, head_dim, capacity, NULL, NULL, false};
    kv->k = ba_ref_alloc(0, tokens, capacity, head_dim, sizeof *kv->k);
    kv->v = ba_ref_alloc(0, tokens, capacity, head_dim, sizeof *kv->v);
    if (!kv->k || !kv->v) {
        ba_ref_kv_free(be, kv);
        return NULL;
    }
    return kv;
}

size_t ba_ref_kv_bytes(const ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity) {
    return 2 * layers * kv_heads * head_dim * capacity * be->kv_size;
}

void ba_ref_kv_parts(ba_backend *be, ba_kv *kv, void *part[2], size_t bytes[2]) {
    part[0] = kv->k;
    part[1] = kv->v;
    bytes[0] = bytes[1] = kv->layers * kv->kv_heads * kv->dim * kv->capacity * be->kv_size;
}

ba_kv *ba_ref_kv_view(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity,
                      const void *bytes) {
    ba_kv *kv = ba_ref_alloc(0, 1, 1, 1, sizeof *kv);
    (void)be;
    if (kv) {
        double *k = (void *)bytes; /* never written: the engine writes to KV that it made */
        *kv = (ba_kv){layers, kv_heads, head_dim, capacity, k, k + layers * kv_heads * head_dim * capacity, true};
    }
    return kv;
}

void ba_ref_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                     ba_view v, const ba_rot *rot, size_t rot_row) {
    for (size_t i = 0; i < n; i++) {
        for (size_t h = 0; h < kv->kv_heads; h++) {
            size_t to = ba_ref_token(kv, layer, h, token ? (size_t)token[i] : at + i);
            ba_ref_rotate(ba_ref_row(k, i) + h * kv->dim, kv->dim, rot, rot_row + i, kv->k + to);
            memcpy(kv->v + to, ba_ref_row(v, i) + h * kv->dim, kv->dim * sizeof *kv->v);
        }
    }
    ba_count_kv_write(be, 2 * n * kv->kv_heads * kv->dim);
}

void ba_ref_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                    const ba_rot *rot, size_t rot_row) {
    for (size_t h = 0; h < src->kv_heads; h++) {
        for (size_t i = 0; i < n; i++) {
            size_t from = ba_ref_token(src, layer, h, first + i), to = ba_ref_token(dst, layer, h, at + i);
            ba_ref_rotate(src->k + from, src->dim, rot, rot_row + i, dst->k + to);
            memcpy(dst->v + to, src->v + from, src->dim * sizeof *src->v);
        }
    }
    ba_count_kv_copy(be, 2 * n * src->kv_heads * src->dim);
}

void ba_ref_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v) {
    (void)be;
    for (size_t i = 0; i < n; i++) {
        for (size_t h = 0; h < kv->kv_heads; h++) {
            size_t from = ba_ref_token(kv, layer, h, first + i), to = (i * kv->kv_heads + h) * kv->dim;
            if (k) {
                memcpy(k + to, kv->k + from, kv->dim * sizeof *k);
            }
            if (v) {
                memcpy(v + to, kv->v + from, kv->dim * sizeof *v);
            }
        }
    }
}

void ba_ref_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                        size_t first_b, size_t n, double *out) {
    (void)be;
    const double *from_a = part == BA_KV_K ? a->k : a->v, *from_b = part == BA_KV_K ? b->k : b->v;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t h = 0; h < a->kv_heads; h++) {
            const double *x = from_a + ba_ref_token(a, layer, h, first_a + i);
            const double *y = from_b + ba_ref_token(b, layer, h, first_b + i);
            for (size_t d = 0; d < a->dim; d++) {
                sum += (x[d] - y[d]) * (x[d] - y[d]);
            }
        }
        out[i] = sum;
    }
}

void ba_ref_kv_shift(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                     const double *from, const double *to) {
    (void)be;
    for (const ba_kv_span *s = span; s < span + n_span; s++) {
        double *now = part == BA_KV_K ? s->kv->k : s->kv->v;
        const double *before = part == BA_KV_K ? s->old->k : s->old->v;
        for (size_t c = 0; c < s->kv->kv_heads * s->kv->dim; c++) {
            size_t h = c / s->kv->dim, d = c % s->kv->dim;
            double mean = 0;
            for (size_t i = 0; i < s->n; i++) {
                mean += from[s->at + i] * (now[ba_ref_token(s->kv, layer, h, s->first + i) + d] -
                                           before[ba_ref_token(s->old, layer, h, s->first + i) + d]);
            }
            for (size_t i = 0; i < s->n; i++) {
                now[ba_ref_token(s->kv, layer, h, s->first + i) + d] += to[s->at + i] * mean;
            }
        }
    }
}
