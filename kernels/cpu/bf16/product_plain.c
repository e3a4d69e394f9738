/* Weights and products of the bf16 backend in plain C, for any processor. Slow: they show what bf16 costs in precision,
 * so that the tests can hold the fast kernels to a multiple of that error. */
#include "bf16.h"
#include "kernels/backends.h"
#include "kernels/count.h"

#include <stdlib.h>

enum { TILE_COLS = 256 };

typedef struct plain_weight {
    ba_weight base;       /* sizes and bias */
    uint16_t *transposed; /* [in, out] */
} plain_weight;

void ba_bf16_plain_weight_free(ba_backend *be, ba_weight *w) {
    if (w) {
        free(((plain_weight *)w)->transposed);
        ba_cpu_weight_free(be, w);
    }
}

ba_weight *ba_bf16_plain_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
    ba_weight *wide = ba_cpu_weight_as((ba_cpu *)be, src, n_src, false, err);
    plain_weight *w = wide ? malloc(sizeof *w) : NULL;
    uint16_t *to = w ? ba_cpu_alloc(wide->in, wide->out, 1, sizeof *to) : NULL;
    if (!to) {
        if (wide) {
            ba_fail(err, "weight of %zu x %zu: out of memory", wide->out, wide->in);
        }
        ba_cpu_weight_free(be, wide);
        free(w);
        return NULL;
    }
    for (size_t o = 0; o < wide->out; o++) {
        for (size_t i = 0; i < wide->in; i++) {
            to[i * wide->out + o] = ba_f32_to_bf16(wide->at[o * wide->in + i]);
        }
    }
    *w = (plain_weight){*wide, to};
    w->base.at = NULL;
    free(wide->at);
    free(wide);
    return &w->base;
}

size_t ba_bf16_plain_weight_bytes(const ba_weight *w) {
    return w->in * w->out * sizeof(uint16_t) + (w->bias ? w->out * sizeof *w->bias : 0);
}

static void embed_row(const ba_weight *w, size_t id, float scale, float *restrict out) {
    const uint16_t *from = ((const plain_weight *)w)->transposed + id;
    for (size_t i = 0; i < w->in; i++) {
        out[i] = ba_bf16_to_f32(from[i * w->out]) * scale;
    }
}

void ba_bf16_plain_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out) {
    ba_cpu_embed_by(be, w, ids, n, scale, out, embed_row);
}

typedef struct product {
    const plain_weight *w;
    const uint16_t *x;
    ba_view out;
    size_t col_tiles;
    bool add;
} product;

/* out[0..n) = sum + bias, or += that. */
static void store(const float *restrict sum, const float *restrict bias, size_t n, bool add, float *restrict out) {
    for (size_t i = 0; i < n; i++) {
        float x = bias ? sum[i] + bias[i] : sum[i];
        out[i] = add ? out[i] + x : x;
    }
}

/* One row and TILE_COLS columns. */
static void product_task(void *arg, size_t index, size_t worker) {
    (void)worker;
    const product *p = arg;
    const ba_weight *w = &p->w->base;
    size_t row = index / p->col_tiles, col = index % p->col_tiles * TILE_COLS;
    size_t cols = w->out - col < TILE_COLS ? w->out - col : TILE_COLS;
    const uint16_t *x = p->x + row * w->in, *from = p->w->transposed + col;
    float sum[TILE_COLS] = {0};
    for (size_t i = 0; i < w->in; i++, from += w->out) {
        float factor = ba_bf16_to_f32(x[i]);
        for (size_t c = 0; c < cols; c++) {
            sum[c] += factor * ba_bf16_to_f32(from[c]);
        }
    }
    store(sum, w->bias ? w->bias + col : NULL, cols, p->add, ba_cpu_row(p->out, row) + col);
}

void ba_bf16_plain_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add,
                          bool stable) {
    (void)stable; /* always stable */
    ba_bf16 *bf16 = (ba_bf16 *)be;
    product p = {(const plain_weight *)w, ba_bf16_operand(bf16, x, rows, w->in, w->in), out,
                 (w->out + TILE_COLS - 1) / TILE_COLS, add};
    ba_pool_run(bf16->cpu.pool, rows * p.col_tiles, product_task, &p);
    ba_count_linear(be, rows, w->in, w->out, add);
}
