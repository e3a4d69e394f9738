/* Weights and products of the bf16 backend on AVX-512 and AMX.
 *
 * Weights are packed once into panels of BA_KEYS columns, these into strips, pairs of depth side by side, as the
 * instructions take them. A product is cut into tiles of rows x one panel that stay in the second-level cache. */
#include "bf16.h"
#include "kernels/backends.h"
#include "kernels/base/sizes.h"
#include "kernels/count.h"

#include <stdlib.h>

enum {
    TILE_BYTES = 320 << 10, /* of x in a tile: leaves room in the second-level cache for panels and results */
};

typedef struct panel_weight {
    ba_weight base;         /* sizes and bias */
    size_t depth;           /* in, rounded up to pairs */
    size_t strip;           /* neighbouring columns that are stored together; divides BA_KEYS */
    const uint16_t *packed; /* [panels, BA_KEYS / strip, depth / 2, strip, 2]; zero where the weight ends */
    uint16_t *own;          /* the same array if it is to be freed, NULL if it belongs to a mapped file */
} panel_weight;

/* ---- weights ---- */

static size_t depth_of(const ba_weight *w) {
    return (w->in + 1) / 2 * 2;
}

static size_t panels_of(const panel_weight *w) {
    return (w->base.out + BA_KEYS - 1) / BA_KEYS;
}

/* Index of element (o, 0) of the weight; (o, i) is pair_step(w, i) elements later. */
static size_t row_at(const panel_weight *w, size_t o) {
    return o / w->strip * w->depth * w->strip + o % w->strip * 2;
}

static size_t pair_step(const panel_weight *w, size_t i) {
    return i / 2 * 2 * w->strip + i % 2;
}

void ba_bf16_weight_free(ba_backend *be, ba_weight *weight) {
    if (weight) {
        free(((panel_weight *)weight)->own);
        ba_cpu_weight_free(be, weight);
    }
}

static void pack_panels(const void *arg, size_t first, size_t last) {
    const panel_weight *w = arg;
    for (size_t o = first * BA_KEYS; o < ba_min_size(last * BA_KEYS, w->base.out); o++) {
        uint16_t *to = w->own + row_at(w, o);
        const float *from = w->base.at + o * w->base.in;
        for (size_t i = 0; i < w->base.in; i++) {
            to[pair_step(w, i)] = ba_f32_to_bf16(from[i]);
        }
    }
}

ba_weight *ba_bf16_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
    ba_weight *wide = ba_cpu_weight_as((ba_cpu *)be, src, n_src, false, err);
    if (!wide) {
        return NULL;
    }
    panel_weight *w = malloc(sizeof *w);
    if (w) {
        *w = (panel_weight){.base = *wide, .depth = depth_of(wide), .strip = ((ba_bf16 *)be)->strip};
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

const char *ba_bf16_packing(const ba_backend *be) {
    return ((const ba_bf16 *)be)->strip == BA_STRIP_AMX ? "panels of 2 x 32 columns, pairs of depth"
                                                        : "panels of 64 columns, pairs of depth";
}

ba_packed_view ba_bf16_weight_packed(const ba_weight *weight) {
    const panel_weight *w = (const panel_weight *)weight;
    return (ba_packed_view){w->packed, panels_of(w) * w->depth * BA_KEYS * sizeof *w->packed, w->strip};
}

ba_weight *ba_bf16_weight_mapped(ba_backend *be, const ba_weight_src *src, size_t n_src, ba_packed_view packed) {
    char unused[BA_ERR_LEN];
    panel_weight *w = ba_cpu_alloc(1, 1, 1, sizeof *w);
    if (!w) {
        return NULL;
    }
    if (ba_weight_shape(src, n_src, &w->base.out, &w->base.in, unused) == 0 &&
        ba_cpu_weight_bias(&w->base, src, n_src) == 0) {
        w->depth = depth_of(&w->base);
        w->strip = ((ba_bf16 *)be)->strip;
        ba_packed_view expected = ba_bf16_weight_packed(&w->base);
        if (expected.size == packed.size && expected.layout == packed.layout) {
            w->packed = packed.data;
            return &w->base;
        }
    }
    ba_bf16_weight_free(be, &w->base);
    return NULL;
}

size_t ba_bf16_weight_bytes(const ba_weight *weight) {
    return ba_bf16_weight_packed(weight).size + (weight->bias ? weight->out * sizeof(float) : 0);
}

static void embed_row(const ba_weight *weight, size_t id, float scale, float *restrict out) {
    const panel_weight *w = (const panel_weight *)weight;
    const uint16_t *from = w->packed + row_at(w, id);
    for (size_t i = 0; i < weight->in; i++) {
        out[i] = ba_bf16_to_f32(from[pair_step(w, i)]) * scale;
    }
}

void ba_bf16_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out) {
    ba_cpu_embed_by(be, w, ids, n, scale, out, embed_row);
}

/* ---- products ---- */

typedef struct product {
    ba_bf16 *be;
    const panel_weight *w;
    const uint16_t *x; /* [rows, depth] */
    ba_view out;
    size_t rows, tile_rows, panels, threads;
    bool add;
    ba_act act; /* of a gated product */
} product;

static product product_of(ba_backend *be, const ba_weight *weight, ba_view x, size_t rows, ba_view out) {
    ba_bf16 *bf16 = (ba_bf16 *)be;
    const panel_weight *w = (const panel_weight *)weight;
    return (product){.be = bf16,
                     .w = w,
                     .x = ba_bf16_operand(bf16, x, rows, w->base.in, w->depth),
                     .out = out,
                     .rows = rows,
                     .tile_rows = ba_bf16_tile_rows(rows, w->depth, TILE_BYTES),
                     .panels = panels_of(w),
                     .threads = ba_pool_threads(bf16->cpu.pool)};
}

static void run_product(product *p, size_t panels, void (*tile)(void *, size_t, size_t)) {
    p->panels = panels;
    ba_pool_run(p->be->cpu.pool, (p->rows + p->tile_rows - 1) / p->tile_rows * panels, tile, p);
}

static const uint16_t *panel_at(const panel_weight *w, size_t panel) {
    return panel < panels_of(w) ? w->packed + panel * w->depth * BA_KEYS : NULL;
}

/* Rows [row, row + rows) times a panel; the caller sets out and stride. */
static ba_bf16_product part_of(const product *p, size_t row, size_t rows, size_t panel) {
    const panel_weight *w = p->w;
    return (ba_bf16_product){.rows = rows,
                             .depth = w->depth,
                             .cols = ba_min_size(BA_KEYS, w->base.out - panel * BA_KEYS),
                             .x = p->x + row * w->depth,
                             .w = panel_at(w, panel),
                             .bias = w->base.bias ? w->base.bias + panel * BA_KEYS : NULL};
}

static void product_tile(void *arg, size_t index, size_t worker) {
    (void)worker;
    const product *p = arg;
    size_t panel = index % p->panels, row = index / p->panels * p->tile_rows;
    ba_bf16_product part = part_of(p, row, ba_min_size(p->tile_rows, p->rows - row), panel);
    part.ahead = panel_at(p->w, panel + p->threads);
    part.add = p->add;
    part.out = ba_cpu_row(p->out, row) + panel * BA_KEYS;
    part.stride = p->out.buf->cols;
    p->be->product(&part);
}

void ba_bf16_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add, bool stable) {
    (void)stable; /* always stable */
    product p = product_of(be, w, x, rows, out);
    p.add = add;
    run_product(&p, p.panels, product_tile);
    ba_count_linear(be, rows, w->in, w->out, add);
}

/* Rows of a panel of gates and of the values that they gate, side by side in the second-level cache until they are
 * multiplied. The columns of these values may begin inside a panel and end in the next one. */
static void gated_tile(void *arg, size_t index, size_t worker) {
    const product *p = arg;
    const ba_cpu *cpu = &p->be->cpu;
    size_t panel = index % p->panels, first = index / p->panels * p->tile_rows;
    size_t half = p->w->base.out / 2, col = panel * BA_KEYS, cols = ba_min_size(BA_KEYS, half - col);
    size_t up = (half + col) / BA_KEYS, shift = (half + col) % BA_KEYS, end = (half + col + cols - 1) / BA_KEYS + 1;
    float *sum = p->be->gated + worker * BA_GATED_ROWS * BA_GATED_COLS, part[BA_KEYS];
    for (size_t row = first, n; row < ba_min_size(first + p->tile_rows, p->rows); row += n) {
        n = ba_min_size(BA_GATED_ROWS, ba_min_size(first + p->tile_rows, p->rows) - row);
        for (size_t i = 0; i <= end - up; i++) {
            ba_bf16_product x = part_of(p, row, n, i ? up + i - 1 : panel);
            x.ahead = panel_at(p->w, i < end - up ? up + i : panel + p->threads);
            x.out = sum + i * BA_KEYS;
            x.stride = BA_GATED_COLS;
            p->be->product(&x);
        }
        for (size_t r = 0; r < n; r++) {
            const float *gate = sum + r * BA_GATED_COLS;
            float *to = ba_cpu_room(p->out, row + r, col, part);
            cpu->isa->glu(p->act, gate, gate + BA_KEYS + shift, cols, to);
            ba_cpu_put(cpu, p->out, row + r, col, cols, to);
        }
    }
}

void ba_bf16_gated(ba_backend *be, ba_act act, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool stable) {
    (void)stable; /* always stable */
    product p = product_of(be, w, x, rows, out);
    p.act = act;
    run_product(&p, (w->out / 2 + BA_KEYS - 1) / BA_KEYS, gated_tile);
    ba_count_linear(be, rows, w->in, w->out, false);
}
