/* Backend "onednn": bf16, matrix products by oneDNN, everything else by bf16.c, cpu*.c and attention*.c.
 *
 * Weights are cut into panels of columns, each packed once into the layout that oneDNN asks for. A product is cut into
 * tiles of rows x one panel; oneDNN computes a tile within one thread of ours, into a buffer that stays in the
 * second-level cache, from where bias and residual are added on the way out. Its own threads stay out of it. A
 * primitive is made for a number of rows, so rows are rounded up to a unit, and primitives are kept by shape. That the
 * result of a row is the same in all of them, at any place in them, is found out at open by comparing bits; where it is
 * not, every row is computed by itself (onednn_probe.c). */
#include "kernels/backends.h"

#ifdef BA_HAVE_DNNL
#include "kernels/count.h"
#include "kernels/cpu/train/train.h"
#include "onednn_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_BYTES = 320 << 10 }; /* of x in a tile: leaves room in the second-level cache for a panel and the result */

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- products ---- */

typedef struct product {
    ba_dnn *be;
    const ba_dnn_weight *w;
    const uint16_t *x;
    ba_view out;
    size_t rows, tile_rows, panels;
    bool add;
} product;

/* Rows behind the last one are computed too, from what lies there, and ignored. */
static void product_tile(void *arg, size_t index, size_t worker) {
    const product *p = arg;
    const ba_dnn_shape *s = p->w->shape;
    const ba_weight *w = &p->w->base;
    size_t panel = index % p->panels, col = panel * s->cols, cols = min_size(s->cols, w->out - col);
    size_t row = index / p->panels * p->tile_rows, rows = min_size(p->tile_rows, p->rows - row);
    float *sum = p->be->sum + worker * BA_DNN_TILE_ROWS * BA_DNN_WIDE;
    int status =
        ba_dnn_run(p->be, s, ba_dnn_index(rows), worker, p->x + row * w->in, p->w->packed + panel * s->panel_size, sum);
    if (status) {
        p->be->bf16.cpu.base.no_memory = true;
        memset(sum, 0xff, rows * s->cols * sizeof *sum); /* NaN: no check lets it pass */
    }
    for (size_t r = 0; r < rows; r++) {
        ba_bf16_store(sum + r * s->cols, w->bias ? w->bias + col : NULL, cols, p->add,
                      ba_cpu_row(p->out, row + r) + col);
    }
}

static void onednn_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add,
                          bool stable) {
    enum { UNIT = BA_DNN_UNIT_ROWS };
    (void)stable; /* always is */
    ba_dnn *dnn = (ba_dnn *)be;
    const ba_dnn_weight *weight = (const ba_dnn_weight *)w;
    ba_dnn_shape *s = weight->shape;
    product p = {.be = dnn, .w = weight, .out = out, .rows = rows, .panels = ba_dnn_panels(weight), .add = add};
    size_t most = TILE_BYTES / (w->in * sizeof(uint16_t)) / UNIT * UNIT;
    most = most < 4 * UNIT ? 4 * UNIT : min_size(most, BA_DNN_TILE_ROWS);
    size_t tiles = rows ? (rows + most - 1) / most : 1;
    p.tile_rows = dnn->rows_apart ? ((rows + tiles - 1) / tiles + UNIT - 1) / UNIT * UNIT : 1;
    tiles = p.tile_rows ? (rows + p.tile_rows - 1) / p.tile_rows : 0;
    for (size_t t = 0; t<tiles; t += tiles> 1 ? tiles - 1 : 1) { /* the last tile may be smaller */
        size_t index = ba_dnn_index(min_size(p.tile_rows, rows - t * p.tile_rows));
        if (!s->made[index]) {
            ba_dnn_make(dnn, s, index); /* if it cannot, ba_dnn_run says so */
        }
    }
    p.x = ba_bf16_operand(&dnn->bf16, x, rows, w->in, w->in);
    ba_pool_run(dnn->bf16.cpu.pool, tiles * p.panels, product_tile, &p);
    ba_count_linear(be, rows, w->in, w->out, add);
}

/* ---- the backend ---- */

static void onednn_close(ba_backend *base) {
    ba_dnn *be = (ba_dnn *)base;
    while (be->shapes) {
        ba_dnn_shape *next = be->shapes->next;
        ba_dnn_shape_free(be->shapes);
        be->shapes = next;
    }
    for (size_t i = 0; be->stream && i < be->threads; i++) {
        if (be->stream[i]) {
            dnnl_stream_destroy(be->stream[i]);
        }
    }
    for (size_t i = 0; be->scratch && i < be->threads; i++) {
        free(be->scratch[i]);
    }
    if (be->attr) {
        dnnl_primitive_attr_destroy(be->attr);
    }
    if (be->engine) {
        dnnl_engine_destroy(be->engine);
    }
    free(be->stream);
    free(be->scratch);
    free(be->sum);
    ba_bf16_close(&be->bf16);
    free(be);
}

/* 0, or -1 and err. */
static int start(ba_dnn *be, const ba_backend_config *cfg, char err[BA_ERR_LEN]) {
    if (ba_bf16_open(&be->bf16, cfg, NULL, err)) {
        return -1;
    }
    be->threads = cfg->threads;
    be->sum = ba_cpu_alloc(cfg->threads, BA_DNN_TILE_ROWS, BA_DNN_WIDE, sizeof *be->sum);
    be->stream = ba_cpu_alloc(cfg->threads, 1, 1, sizeof(dnnl_stream_t));
    be->scratch = ba_cpu_alloc(cfg->threads, 1, 1, sizeof(char *));
    bool ready = be->sum && be->stream && be->scratch && dnnl_primitive_attr_create(&be->attr) == dnnl_success &&
                 dnnl_primitive_attr_set_scratchpad_mode(be->attr, dnnl_scratchpad_mode_user) == dnnl_success &&
                 dnnl_engine_create(&be->engine, dnnl_cpu, 0) == dnnl_success;
    for (size_t i = 0; ready && i < cfg->threads; i++) {
        ready = dnnl_stream_create(&be->stream[i], be->engine, dnnl_stream_default_flags) == dnnl_success;
    }
    if (!ready || ba_dnn_probe_rows(be)) {
        return ba_fail(err, "backend onednn: oneDNN cannot be started, or memory is out");
    }
    const dnnl_version_t *v = dnnl_version();
    snprintf(be->packing, sizeof be->packing, "panels 1; oneDNN %d.%d.%d; isa %x", v->major, v->minor, v->patch,
             (unsigned)dnnl_get_effective_cpu_isa());
    snprintf(be->describe, sizeof be->describe, "oneDNN %d.%d.%d%s; attention %s; %zu threads", v->major, v->minor,
             v->patch, be->rows_apart ? "" : " (row by row)", be->bf16.isa.name, cfg->threads);
    return 0;
}

static int onednn_open(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa(), needed = dnnl_cpu_isa_avx512_core_bf16;
    if ((isa & needed) != needed) {
        return ba_fail(err, "backend onednn: this processor has no bf16 instructions (AVX-512 BF16 or AMX); use "
                            "--dtype f32, or --backend bf16-plain, which is slow");
    }
    ba_dnn *be = ba_cpu_alloc(1, 1, 1, sizeof *be);
    if (!be) {
        return ba_fail(err, "backend onednn: out of memory");
    }
    be->bf16.cpu.base.ops = &ba_onednn;
    be->bf16.cpu.train_product = &ba_train_product_onednn;
    if (start(be, cfg, err)) {
        onednn_close(&be->bf16.cpu.base);
        return -1;
    }
    *out = &be->bf16.cpu.base;
    return 0;
}

static const char *onednn_describe(const ba_backend *be) {
    return ((const ba_dnn *)be)->describe;
}

const ba_backend_ops ba_onednn = {
    .name = "onednn",
    .summary = "bf16: matrix products by oneDNN, own attention code",
    .dtype = "bf16",
    .open = onednn_open,
    .close = onednn_close,
    .describe = onednn_describe,
    BA_BF16_ROWS,
    .weight_new = ba_dnn_weight_new,
    .weight_free = ba_dnn_weight_free,
    .weight_bytes = ba_dnn_weight_bytes,
    .packing = ba_dnn_packing,
    .weight_packed = ba_dnn_weight_packed,
    .weight_mapped = ba_dnn_weight_mapped,
    .embed = ba_dnn_embed,
    .linear = onednn_linear,
    .train = &ba_train_cpu_ops,
};
#endif
