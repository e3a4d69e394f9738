/* Backend "bf16-plain": bf16 on any processor, written out. Slow; it says what bf16 costs in precision, so that a fast
 * bf16 backend can be held to a multiple of that. */
#include "bf16.h"
#include "kernels/backends.h"
#include "kernels/count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_COLS = 256 };

typedef struct plain {
    ba_bf16 bf16;
    char describe[64];
} plain;

typedef struct plain_weight {
    ba_weight base;       /* sizes and bias */
    uint16_t *transposed; /* [in, out] */
} plain_weight;

static void plain_weight_free(ba_backend *be, ba_weight *w) {
    if (w) {
        free(((plain_weight *)w)->transposed);
        ba_cpu_weight_free(be, w);
    }
}

static ba_weight *plain_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
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
            to[i * wide->out + o] = ba_bf16_round(wide->at[o * wide->in + i]);
        }
    }
    *w = (plain_weight){*wide, to};
    w->base.at = NULL;
    free(wide->at);
    free(wide);
    return &w->base;
}

static size_t plain_weight_bytes(const ba_weight *w) {
    return w->in * w->out * sizeof(uint16_t) + (w->bias ? w->out * sizeof *w->bias : 0);
}

static void embed_row(const ba_weight *w, size_t id, float scale, float *restrict out) {
    const uint16_t *from = ((const plain_weight *)w)->transposed + id;
    for (size_t i = 0; i < w->in; i++) {
        out[i] = ba_bf16_wide(from[i * w->out]) * scale;
    }
}

static void plain_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out) {
    ba_cpu_embed_by(be, w, ids, n, scale, out, embed_row);
}

typedef struct product {
    const plain_weight *w;
    const uint16_t *x;
    ba_view out;
    size_t col_tiles;
    bool add;
} product;

/* A row and TILE_COLS columns. */
static void product_task(void *arg, size_t index, size_t worker) {
    (void)worker;
    const product *p = arg;
    const ba_weight *w = &p->w->base;
    size_t row = index / p->col_tiles, col = index % p->col_tiles * TILE_COLS;
    size_t cols = w->out - col < TILE_COLS ? w->out - col : TILE_COLS;
    const uint16_t *x = p->x + row * w->in, *from = p->w->transposed + col;
    float sum[TILE_COLS] = {0};
    for (size_t i = 0; i < w->in; i++, from += w->out) {
        float factor = ba_bf16_wide(x[i]);
        for (size_t c = 0; c < cols; c++) {
            sum[c] += factor * ba_bf16_wide(from[c]);
        }
    }
    ba_bf16_store(sum, w->bias ? w->bias + col : NULL, cols, p->add, ba_cpu_row(p->out, row) + col);
}

static void plain_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add,
                         bool stable) {
    (void)stable; /* always is */
    ba_bf16 *bf16 = (ba_bf16 *)be;
    product p = {(const plain_weight *)w, ba_bf16_operand(bf16, x, rows, w->in, w->in), out,
                 (w->out + TILE_COLS - 1) / TILE_COLS, add};
    ba_pool_run(bf16->cpu.pool, rows * p.col_tiles, product_task, &p);
    ba_count_linear(be, rows, w->in, w->out, add);
}

static void plain_close(ba_backend *be) {
    ba_bf16_close((ba_bf16 *)be);
    free(be);
}

static int plain_open(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    plain *be = ba_cpu_alloc(1, 1, 1, sizeof *be);
    if (!be) {
        return ba_fail(err, "backend bf16-plain: out of memory");
    }
    be->bf16.cpu.base.ops = &ba_bf16_plain;
    if (ba_bf16_open(&be->bf16, cfg, &ba_bf16_isa_plain, err)) {
        plain_close(&be->bf16.cpu.base);
        return -1;
    }
    snprintf(be->describe, sizeof be->describe, "bf16 in plain C; %zu threads", cfg->threads);
    *out = &be->bf16.cpu.base;
    return 0;
}

static const char *plain_describe(const ba_backend *be) {
    return ((const plain *)be)->describe;
}

const ba_backend_ops ba_bf16_plain = {
    .name = "bf16-plain",
    .summary = "bf16 in plain C for any processor: slow, the measure of bf16's error",
    .dtype = "bf16",
    .open = plain_open,
    .close = plain_close,
    .describe = plain_describe,
    BA_BF16_ROWS,
    .weight_new = plain_weight_new,
    .weight_free = plain_weight_free,
    .weight_bytes = plain_weight_bytes,
    .embed = plain_embed,
    .linear = plain_linear,
};
