/* Backend "native-bf16": bf16 by our own code for AMX, or for AVX-512 with bf16 dot products, with no library.
 *
 * Weights are packed once into panels of BA_KEYS columns, these into strips, pairs of depth side by side, as the
 * instructions take them. A product is cut into tiles of rows x one panel that stay in the second-level cache. */
#include "backends.h"
#include "bf16.h"
#include "count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TILE_BYTES = 320 << 10, /* of x in a tile: leaves room in the second-level cache for panels and results */
    ROUND_ROWS = 32,        /* tiles of several have a multiple of it, which fills matrix registers */
};

typedef struct native {
    ba_bf16 bf16;
    char describe[96];
} native;

typedef struct native_weight {
    ba_weight base;         /* sizes and bias */
    size_t depth;           /* in, rounded up to pairs */
    size_t strip;           /* columns that lie together; divides BA_KEYS */
    const uint16_t *packed; /* [panels, BA_KEYS / strip, depth / 2, strip, 2]; zero where there is no weight */
    uint16_t *own;          /* the same if it is ours, NULL if it is a file's */
} native_weight;

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- weights ---- */

static size_t depth_of(const ba_weight *w) {
    return (w->in + 1) / 2 * 2;
}

static size_t panels_of(const native_weight *w) {
    return (w->base.out + BA_KEYS - 1) / BA_KEYS;
}

/* Element (o, 0) of the weight; (o, i) lies pair_step(w, i) behind it. */
static size_t row_at(const native_weight *w, size_t o) {
    return o / w->strip * w->depth * w->strip + o % w->strip * 2;
}

static size_t pair_step(const native_weight *w, size_t i) {
    return i / 2 * 2 * w->strip + i % 2;
}

static void native_weight_free(ba_backend *be, ba_weight *weight) {
    if (weight) {
        free(((native_weight *)weight)->own);
        ba_cpu_weight_free(be, weight);
    }
}

static void pack_panels(const void *arg, size_t first, size_t last) {
    const native_weight *w = arg;
    for (size_t o = first * BA_KEYS; o < min_size(last * BA_KEYS, w->base.out); o++) {
        uint16_t *to = w->own + row_at(w, o);
        const float *from = w->base.at + o * w->base.in;
        for (size_t i = 0; i < w->base.in; i++) {
            to[pair_step(w, i)] = ba_bf16_round(from[i]);
        }
    }
}

static ba_weight *native_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
    ba_weight *wide = ba_cpu_weight_as((ba_cpu *)be, src, n_src, false, err);
    if (!wide) {
        return NULL;
    }
    native_weight *w = malloc(sizeof *w);
    if (w) {
        *w = (native_weight){.base = *wide, .depth = depth_of(wide), .strip = ((ba_bf16 *)be)->strip};
        w->packed = w->own = ba_cpu_alloc(panels_of(w), w->depth, BA_KEYS, sizeof *w->own);
    }
    if (!w || !w->own) {
        ba_fail(err, "weight of %zu x %zu: out of memory", wide->out, wide->in);
        ba_cpu_weight_free(be, wide);
        free(w);
        return NULL;
    }
    free(wide);
    ba_cpu_for((ba_cpu *)be, panels_of(w), w->depth * BA_KEYS, pack_panels, w);
    free(w->base.at);
    w->base.at = NULL;
    return &w->base;
}

static const char *native_packing(const ba_backend *be) {
    return ((const ba_bf16 *)be)->strip == BA_STRIP_AMX ? "panels of 2 x 32 columns, pairs of depth"
                                                        : "panels of 64 columns, pairs of depth";
}

static ba_packed_view native_weight_packed(const ba_weight *weight) {
    const native_weight *w = (const native_weight *)weight;
    return (ba_packed_view){w->packed, panels_of(w) * w->depth * BA_KEYS * sizeof *w->packed, w->strip};
}

static ba_weight *native_weight_mapped(ba_backend *be, const ba_weight_src *src, size_t n_src, ba_packed_view packed) {
    char unused[BA_ERR_LEN];
    native_weight *w = ba_cpu_alloc(1, 1, 1, sizeof *w);
    if (!w) {
        return NULL;
    }
    if (ba_weight_shape(src, n_src, &w->base.out, &w->base.in, unused) == 0 &&
        ba_cpu_weight_bias(&w->base, src, n_src) == 0) {
        w->depth = depth_of(&w->base);
        w->strip = ((ba_bf16 *)be)->strip;
        ba_packed_view expected = native_weight_packed(&w->base);
        if (expected.size == packed.size && expected.layout == packed.layout) {
            w->packed = packed.data;
            return &w->base;
        }
    }
    native_weight_free(be, &w->base);
    return NULL;
}

static size_t native_weight_bytes(const ba_weight *weight) {
    return native_weight_packed(weight).size + (weight->bias ? weight->out * sizeof(float) : 0);
}

typedef struct lookup {
    const native_weight *w;
    const int32_t *ids;
    float scale;
    ba_view out;
} lookup;

static void embed_rows(const void *arg, size_t first, size_t last) {
    const lookup *l = arg;
    for (size_t r = first; r < last; r++) {
        const uint16_t *from = l->w->packed + row_at(l->w, (size_t)l->ids[r]);
        float *out = ba_cpu_row(l->out, r);
        for (size_t i = 0; i < l->w->base.in; i++) {
            out[i] = ba_bf16_wide(from[pair_step(l->w, i)]) * l->scale;
        }
    }
}

static void native_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out) {
    lookup l = {(const native_weight *)w, ids, (float)scale, out};
    ba_cpu_for((ba_cpu *)be, n, w->in, embed_rows, &l);
    ba_count_embed(be, n, w->in);
}

/* ---- products ---- */

typedef struct product {
    const ba_bf16 *be;
    const native_weight *w;
    ba_view out;
    size_t rows, tile_rows, panels, threads;
    bool add;
} product;

static void product_tile(void *arg, size_t index, size_t worker) {
    (void)worker;
    const product *p = arg;
    size_t depth = p->w->depth, panel = index % p->panels, col = panel * BA_KEYS, next = panel + p->threads;
    size_t row = index / p->panels * p->tile_rows;
    const ba_bf16_product part = {.rows = min_size(p->tile_rows, p->rows - row),
                                  .depth = depth,
                                  .cols = min_size(BA_KEYS, p->w->base.out - col),
                                  .x = p->be->x + row * depth,
                                  .w = p->w->packed + panel * depth * BA_KEYS,
                                  .ahead = next < p->panels ? p->w->packed + next * depth * BA_KEYS : NULL,
                                  .bias = p->w->base.bias ? p->w->base.bias + col : NULL,
                                  .add = p->add,
                                  .out = ba_cpu_row(p->out, row) + col,
                                  .stride = p->out.buf->cols};
    p->be->product(&part);
}

/* The cut into tiles may follow the number of threads: a row's sums do not depend on it. */
static void native_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add,
                          bool stable) {
    (void)stable; /* always is */
    ba_bf16 *bf16 = (ba_bf16 *)be;
    const native_weight *weight = (const native_weight *)w;
    product p = {.be = bf16,
                 .w = weight,
                 .out = out,
                 .rows = rows,
                 .panels = panels_of(weight),
                 .threads = ba_pool_threads(bf16->cpu.pool),
                 .add = add};
    size_t most = TILE_BYTES / (weight->depth * sizeof(uint16_t)), tiles = (rows + most) / (most + 1);
    p.tile_rows = tiles ? ((rows + tiles - 1) / tiles + ROUND_ROWS - 1) / ROUND_ROWS * ROUND_ROWS : 1;
    ba_bf16_round_rows(bf16, x, rows, w->in, weight->depth);
    ba_pool_run(bf16->cpu.pool, (rows + p.tile_rows - 1) / p.tile_rows * p.panels, product_tile, &p);
    ba_count_linear(be, rows, w->in, w->out, add);
}

/* ---- the backend ---- */

static void native_close(ba_backend *be) {
    ba_bf16_close((ba_bf16 *)be);
    free(be);
}

static int native_open(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    if (!ba_bf16_has_avx512()) {
        return ba_fail(err, "backend native-bf16: this processor has no AVX-512 bf16 dot products; use --dtype f32, or "
                            "--backend bf16-plain, which is slow");
    }
    native *be = ba_cpu_alloc(1, 1, 1, sizeof *be);
    if (!be) {
        return ba_fail(err, "backend native-bf16: out of memory");
    }
    be->bf16.cpu.base.ops = &ba_native_bf16;
    if (ba_bf16_open(&be->bf16, cfg, NULL, err)) {
        native_close(&be->bf16.cpu.base);
        return -1;
    }
    if (!be->bf16.product) {
        be->bf16.product = ba_bf16_product_avx512;
        be->bf16.strip = BA_STRIP_AVX512;
    }
    snprintf(be->describe, sizeof be->describe, "own code: products %s, attention %s; %zu threads",
             be->bf16.product == ba_bf16_product_amx ? ba_bf16_isa_amx.tile.name : ba_bf16_isa_avx512.tile.name,
             be->bf16.isa.name, cfg->threads);
    *out = &be->bf16.cpu.base;
    return 0;
}

static const char *native_describe(const ba_backend *be) {
    return ((const native *)be)->describe;
}

const ba_backend_ops ba_native_bf16 = {
    .name = "native-bf16",
    .summary = "bf16: own code for AMX, or AVX-512 with bf16 dot products",
    .dtype = "bf16",
    .open = native_open,
    .close = native_close,
    .describe = native_describe,
    .buf_new = ba_bf16_buf_new,
    .buf_free = ba_cpu_buf_free,
    .upload = ba_cpu_upload,
    .download = ba_cpu_download,
    .weight_new = native_weight_new,
    .weight_free = native_weight_free,
    .weight_bytes = native_weight_bytes,
    .packing = native_packing,
    .weight_packed = native_weight_packed,
    .weight_mapped = native_weight_mapped,
    .freqs_new = ba_cpu_freqs_new,
    .freqs_free = ba_cpu_freqs_free,
    .rot_new = ba_cpu_rot_new,
    .rot_free = ba_cpu_rot_free,
    .rot_fill = ba_cpu_rot_fill,
    .kv_new = ba_cpu_kv_new,
    .kv_free = ba_cpu_kv_free,
    .kv_bytes = ba_cpu_kv_bytes,
    .kv_parts = ba_cpu_kv_parts,
    .kv_view = ba_cpu_kv_view,
    .kv_write = ba_bf16_kv_write,
    .kv_copy = ba_bf16_kv_copy,
    .kv_read = ba_bf16_kv_read,
    .kv_distance = ba_bf16_kv_distance,
    .embed = native_embed,
    .linear = native_linear,
    .rmsnorm = ba_cpu_rmsnorm,
    .add = ba_cpu_add,
    .glu = ba_cpu_glu,
    .gather = ba_cpu_gather,
    .attention = ba_cpu_attention,
};
