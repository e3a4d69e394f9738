/* Backend "onednn": bf16, matrix products by oneDNN, everything else by bf16.c, cpu*.c and attention*.c.
 *
 * Weights are cut into panels of columns, each packed once into the layout that oneDNN asks for. A product is cut into
 * tiles of rows x one panel; oneDNN computes a tile within one thread of ours, into a buffer that stays in the
 * second-level cache, from where bias and residual are added on the way out. Its own threads stay out of it. A
 * primitive is made for a number of rows, so rows are rounded up to a unit, and primitives are kept by shape. That the
 * result of a row is the same in all of them, at any place in them, is found out at open by comparing bits; where it is
 * not, every row is computed by itself. */
#include "backends.h"

#ifdef BA_HAVE_DNNL
#include "bf16.h"
#include "count.h"
#include "train_cpu.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the OpenMP runtime that oneDNN is linked to: how many threads a parallel region of the calling thread gets. */
void omp_set_num_threads(int n);

enum {
    UNIT_ROWS = 8,
    TILE_ROWS = 256,        /* the most */
    TILE_BYTES = 320 << 10, /* of x in a tile: leaves room in the second-level cache for a panel and the result */
    NARROW = 64,            /* columns of a panel */
    WIDE = 128,             /* where there are MANY */
    MANY = 2048,
    PRIMITIVES = TILE_ROWS / UNIT_ROWS + 1 /* for one row, then for each number of units */
};

/* Products of one depth and panel width. */
typedef struct shape {
    struct shape *next;
    size_t in, cols;
    dnnl_memory_desc_t panel;          /* in the layout that oneDNN chose */
    size_t panel_size;                 /* elements */
    dnnl_primitive_t made[PRIMITIVES]; /* NULL: not needed so far */
    dnnl_memory_desc_t scratch[PRIMITIVES];
} shape;

typedef struct onednn {
    ba_bf16 bf16;
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr; /* work space is ours */
    dnnl_stream_t *stream;      /* [threads] */
    char **scratch;             /* [threads]: what primitives work in, [scratch_size] bytes each */
    size_t scratch_size;
    size_t threads;
    shape *shapes; /* list; freed with the backend */
    float *sum;    /* [threads, TILE_ROWS, WIDE] */
    bool rows_apart;
    char describe[192], packing[64];
} onednn;

typedef struct onednn_weight {
    ba_weight base; /* sizes and bias */
    shape *shape;
    const uint16_t *packed; /* [panels, shape->panel_size] */
    uint16_t *own;          /* the same if it is ours, NULL if it is a file's */
    size_t *row, *col;      /* [in], [shape->cols]: element (i, o) of a panel lies at row[i] + col[o] */
} onednn_weight;

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- primitives ---- */

static dnnl_memory_desc_t matrix(size_t rows, size_t cols, dnnl_data_type_t type, dnnl_format_tag_t layout) {
    dnnl_memory_desc_t desc = {0};
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    if (dnnl_memory_desc_init_by_tag(&desc, 2, dims, type, layout) != dnnl_success) {
        desc.ndims = 0; /* which no primitive takes */
    }
    return desc;
}

static size_t primitive_rows(size_t index) {
    return index ? index * UNIT_ROWS : 1;
}

/* Work space of the caller's: the library's own would belong to the thread that made the primitive. 0, or -1. */
static int reserve_scratch(onednn *be, size_t size) {
    for (size_t i = 0; i < be->threads && size > be->scratch_size; i++) {
        free(be->scratch[i]);
        be->scratch[i] = ba_cpu_alloc(size, 1, 1, 1);
    }
    for (size_t i = 0; i < be->threads; i++) {
        if (!be->scratch[i]) {
            be->scratch_size = 0;
            return -1;
        }
    }
    be->scratch_size = size > be->scratch_size ? size : be->scratch_size;
    return 0;
}

/* Makes the primitive of a shape; at its first, oneDNN chooses the layout of the panels. 0, or -1. */
static int make_primitive(onednn *be, shape *s, size_t index) {
    size_t rows = primitive_rows(index);
    bool first = s->panel.ndims == 0;
    dnnl_memory_desc_t x = matrix(rows, s->in, dnnl_bf16, dnnl_ab), out = matrix(rows, s->cols, dnnl_f32, dnnl_ab);
    dnnl_memory_desc_t w = first ? matrix(s->in, s->cols, dnnl_bf16, dnnl_format_tag_any) : s->panel;
    dnnl_matmul_desc_t product;
    dnnl_primitive_desc_t desc = NULL;
    omp_set_num_threads(1);
    if (dnnl_matmul_desc_init(&product, &x, &w, NULL, &out) != dnnl_success ||
        dnnl_primitive_desc_create(&desc, &product, be->attr, be->engine, NULL) != dnnl_success) {
        return -1;
    }
    if (first) {
        s->panel = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
        s->panel_size = dnnl_memory_desc_get_size(&s->panel) / sizeof(uint16_t);
    }
    s->scratch[index] = *dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    bool known = s->panel.format_kind == dnnl_blocked && s->panel.extra.flags == 0 && s->panel.offset0 == 0;
    int status = known ? reserve_scratch(be, dnnl_memory_desc_get_size(&s->scratch[index])) : -1;
    if (status == 0) {
        status = dnnl_primitive_create(&s->made[index], desc) == dnnl_success ? 0 : -1;
    }
    dnnl_primitive_desc_destroy(desc);
    return status;
}

static void free_shape(shape *s) {
    for (size_t i = 0; i < PRIMITIVES; i++) {
        if (s->made[i]) {
            dnnl_primitive_destroy(s->made[i]);
        }
    }
    free(s);
}

/* The shape of that depth and width, made if need be; NULL: oneDNN cannot. */
static shape *find_shape(onednn *be, size_t in, size_t cols) {
    for (shape *s = be->shapes; s; s = s->next) {
        if (s->in == in && s->cols == cols) {
            return s;
        }
    }
    shape *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->in = in;
    s->cols = cols;
    if (make_primitive(be, s, PRIMITIVES - 1)) {
        free_shape(s);
        return NULL;
    }
    s->next = be->shapes;
    be->shapes = s;
    return s;
}

/* out [rows of the primitive, s->cols] = x panel, within the calling thread. 0, or -1. */
static int run_primitive(const onednn *be, const shape *s, size_t index, size_t worker, const uint16_t *x,
                         const uint16_t *panel, float *out) {
    enum { ARGS = 4 };
    size_t rows = primitive_rows(index);
    dnnl_memory_desc_t desc[ARGS] = {matrix(rows, s->in, dnnl_bf16, dnnl_ab), s->panel,
                                     matrix(rows, s->cols, dnnl_f32, dnnl_ab), s->scratch[index]};
    union {
        const void *from;
        void *to;
    } const at[ARGS] = {{.from = x},
                        {.from = panel},
                        {.to = out},
                        {.to = be->scratch[worker]}}; /* the library takes what it reads without const */
    dnnl_exec_arg_t arg[ARGS] = {
        {DNNL_ARG_SRC, NULL}, {DNNL_ARG_WEIGHTS, NULL}, {DNNL_ARG_DST, NULL}, {DNNL_ARG_SCRATCHPAD, NULL}};
    int status = s->made[index] ? 0 : -1;
    for (size_t i = 0; i < ARGS && status == 0; i++) {
        status = dnnl_memory_create(&arg[i].memory, &desc[i], be->engine, at[i].to) == dnnl_success ? 0 : -1;
    }
    if (status == 0) {
        omp_set_num_threads(1);
        bool ran = dnnl_primitive_execute(s->made[index], be->stream[worker], ARGS, arg) == dnnl_success;
        status = ran && dnnl_stream_wait(be->stream[worker]) == dnnl_success ? 0 : -1;
    }
    for (size_t i = 0; i < ARGS; i++) {
        if (arg[i].memory) {
            dnnl_memory_destroy(arg[i].memory);
        }
    }
    return status;
}

/* ---- weights ---- */

/* Where index x of dimension dim lies: offsets of both dimensions add up. Blocks are listed from outer to inner. */
static size_t offset_of(const dnnl_memory_desc_t *desc, int dim, size_t x) {
    const dnnl_blocking_desc_t *b = &desc->format_desc.blocking;
    size_t offset = 0, step = 1;
    for (int i = b->inner_nblks; i-- > 0;) {
        size_t block = (size_t)b->inner_blks[i];
        if (b->inner_idxs[i] == dim) {
            offset += x % block * step;
            x /= block;
        }
        step *= block;
    }
    return offset + x * (size_t)b->strides[dim];
}

static void onednn_weight_free(ba_backend *be, ba_weight *weight) {
    if (weight) {
        onednn_weight *w = (onednn_weight *)weight;
        free(w->own);
        free(w->row);
        free(w->col);
        ba_cpu_weight_free(be, weight);
    }
}

static size_t panels_of(const onednn_weight *w) {
    return (w->base.out + w->shape->cols - 1) / w->shape->cols;
}

static void pack_panels(const void *arg, size_t first, size_t last) {
    const onednn_weight *w = arg;
    for (size_t o = first * w->shape->cols; o < min_size(last * w->shape->cols, w->base.out); o++) {
        uint16_t *to = w->own + o / w->shape->cols * w->shape->panel_size + w->col[o % w->shape->cols];
        const float *from = w->base.at + o * w->base.in;
        for (size_t i = 0; i < w->base.in; i++) {
            to[w->row[i]] = ba_bf16_round(from[i]);
        }
    }
}

/* Shape of the panels, and where in them an element lies, of a weight whose sizes are set. */
static int lay_out(onednn *be, onednn_weight *w, char err[BA_ERR_LEN]) {
    size_t in = w->base.in, out = w->base.out;
    w->shape = find_shape(be, in, out < MANY ? NARROW : WIDE);
    if (!w->shape) {
        return ba_fail(err, "weight of %zu x %zu: oneDNN has no bf16 product for it, or memory is out", out, in);
    }
    w->row = ba_cpu_alloc(in, 1, 1, sizeof *w->row);
    w->col = ba_cpu_alloc(w->shape->cols, 1, 1, sizeof *w->col);
    if (!w->row || !w->col) {
        return ba_fail(err, "weight of %zu x %zu: out of memory", out, in);
    }
    for (size_t i = 0; i < in; i++) {
        w->row[i] = offset_of(&w->shape->panel, 0, i);
    }
    for (size_t o = 0; o < w->shape->cols; o++) {
        w->col[o] = offset_of(&w->shape->panel, 1, o);
    }
    return 0;
}

static int pack(onednn *be, onednn_weight *w, char err[BA_ERR_LEN]) {
    if (lay_out(be, w, err)) {
        return -1;
    }
    w->packed = w->own = ba_cpu_alloc(panels_of(w), w->shape->panel_size, 1, sizeof *w->own);
    if (!w->own) {
        return ba_fail(err, "weight of %zu x %zu: out of memory", w->base.out, w->base.in);
    }
    ba_cpu_for(&be->bf16.cpu, panels_of(w), w->base.in * w->shape->cols, pack_panels, w);
    return 0;
}

static ba_weight *onednn_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
    onednn_weight *w = ba_cpu_alloc(1, 1, 1, sizeof *w);
    ba_weight *wide = w ? ba_cpu_weight_as((ba_cpu *)be, src, n_src, false, err) : NULL;
    if (!w) {
        ba_fail(err, "weight: out of memory");
    }
    if (!wide) {
        free(w);
        return NULL;
    }
    w->base = *wide;
    free(wide);
    if (pack((onednn *)be, w, err)) {
        onednn_weight_free(be, &w->base);
        return NULL;
    }
    free(w->base.at);
    w->base.at = NULL;
    return &w->base;
}

static const char *onednn_packing(const ba_backend *be) {
    return ((const onednn *)be)->packing;
}

/* FNV-1a over the places of all elements: oneDNN may choose other ones on another processor. */
static uint64_t layout_of(const onednn_weight *w) {
    const struct {
        const size_t *at;
        size_t n;
    } part[] = {{w->row, w->base.in}, {w->col, w->shape->cols}, {&w->shape->panel_size, 1}};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t p = 0; p < sizeof part / sizeof *part; p++) {
        for (size_t i = 0; i < part[p].n; i++) {
            hash = (hash ^ part[p].at[i]) * UINT64_C(0x100000001b3);
        }
    }
    return hash;
}

static ba_packed_view onednn_weight_packed(const ba_weight *weight) {
    const onednn_weight *w = (const onednn_weight *)weight;
    return (ba_packed_view){w->packed, panels_of(w) * w->shape->panel_size * sizeof *w->packed, layout_of(w)};
}

static ba_weight *onednn_weight_mapped(ba_backend *be, const ba_weight_src *src, size_t n_src, ba_packed_view packed) {
    char unused[BA_ERR_LEN];
    onednn_weight *w = ba_cpu_alloc(1, 1, 1, sizeof *w);
    if (!w) {
        return NULL;
    }
    if (ba_weight_shape(src, n_src, &w->base.out, &w->base.in, unused) == 0 &&
        ba_cpu_weight_bias(&w->base, src, n_src) == 0 && lay_out((onednn *)be, w, unused) == 0) {
        ba_packed_view expected = onednn_weight_packed(&w->base);
        if (expected.size == packed.size && expected.layout == packed.layout) {
            w->packed = packed.data;
            return &w->base;
        }
    }
    onednn_weight_free(be, &w->base);
    return NULL;
}

static size_t onednn_weight_bytes(const ba_weight *weight) {
    const onednn_weight *w = (const onednn_weight *)weight;
    return panels_of(w) * w->shape->panel_size * sizeof *w->packed + (weight->bias ? weight->out * sizeof(float) : 0);
}

static void embed_row(const ba_weight *weight, size_t id, float scale, float *restrict out) {
    const onednn_weight *w = (const onednn_weight *)weight;
    const uint16_t *from = w->packed + id / w->shape->cols * w->shape->panel_size + w->col[id % w->shape->cols];
    for (size_t i = 0; i < weight->in; i++) {
        out[i] = ba_bf16_wide(from[w->row[i]]) * scale;
    }
}

static void onednn_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out) {
    ba_cpu_embed_by(be, w, ids, n, scale, out, embed_row);
}

/* ---- products ---- */

typedef struct product {
    onednn *be;
    const onednn_weight *w;
    const uint16_t *x;
    ba_view out;
    size_t rows, tile_rows, panels;
    bool add;
} product;

static size_t primitive_of(size_t rows) {
    return rows == 1 ? 0 : (rows + UNIT_ROWS - 1) / UNIT_ROWS;
}

/* Rows behind the last one are computed too, from what lies there, and ignored. */
static void product_tile(void *arg, size_t index, size_t worker) {
    const product *p = arg;
    const shape *s = p->w->shape;
    const ba_weight *w = &p->w->base;
    size_t panel = index % p->panels, col = panel * s->cols, cols = min_size(s->cols, w->out - col);
    size_t row = index / p->panels * p->tile_rows, rows = min_size(p->tile_rows, p->rows - row);
    float *sum = p->be->sum + worker * TILE_ROWS * WIDE;
    int status = run_primitive(p->be, s, primitive_of(rows), worker, p->x + row * w->in,
                               p->w->packed + panel * s->panel_size, sum);
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
    (void)stable; /* always is */
    onednn *dnn = (onednn *)be;
    const onednn_weight *weight = (const onednn_weight *)w;
    shape *s = weight->shape;
    product p = {.be = dnn, .w = weight, .out = out, .rows = rows, .panels = panels_of(weight), .add = add};
    size_t most = TILE_BYTES / (w->in * sizeof(uint16_t)) / UNIT_ROWS * UNIT_ROWS;
    most = most < 4 * UNIT_ROWS ? 4 * UNIT_ROWS : min_size(most, TILE_ROWS);
    size_t tiles = rows ? (rows + most - 1) / most : 1;
    p.tile_rows = dnn->rows_apart ? ((rows + tiles - 1) / tiles + UNIT_ROWS - 1) / UNIT_ROWS * UNIT_ROWS : 1;
    tiles = p.tile_rows ? (rows + p.tile_rows - 1) / p.tile_rows : 0;
    for (size_t t = 0; t<tiles; t += tiles> 1 ? tiles - 1 : 1) { /* the last tile may be smaller */
        size_t index = primitive_of(min_size(p.tile_rows, rows - t * p.tile_rows));
        if (!s->made[index]) {
            make_primitive(dnn, s, index); /* if it cannot, run_primitive says so */
        }
    }
    p.x = ba_bf16_operand(&dnn->bf16, x, rows, w->in, w->in);
    ba_pool_run(dnn->bf16.cpu.pool, tiles * p.panels, product_tile, &p);
    ba_count_linear(be, rows, w->in, w->out, add);
}

/* ---- does oneDNN compute rows independently of each other? ---- */

enum { PROBE_ROWS = TILE_ROWS, PROBE_DEPTH = 400 };

typedef struct probe {
    uint16_t *x, *panel; /* [PROBE_ROWS, PROBE_DEPTH], one panel */
    float *whole, *out;  /* [PROBE_ROWS, NARROW] of one call, of several */
} probe;

/* Numbers in (-1, 1) that make every rounding count. */
static void probe_fill(uint16_t *x, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = ba_bf16_round((float)(int32_t)seed * 0x1p-31f);
    }
}

/* Rows in calls of several sizes, from several places, against one call for all. 0, or -1: it cannot be done. */
static int compare_calls(onednn *be, shape *s, const probe *p) {
    static const size_t counts[] = {1, 8, 24, 56, 128, 200};
    be->rows_apart = true;
    int status = run_primitive(be, s, PRIMITIVES - 1, 0, p->x, p->panel, p->whole);
    for (size_t i = 0; i < sizeof counts / sizeof *counts && status == 0; i++) {
        size_t rows = counts[i], first = (i * 7 + 1) % (PROBE_ROWS - rows + 1), index = primitive_of(rows);
        if (make_primitive(be, s, index) ||
            run_primitive(be, s, index, 0, p->x + first * PROBE_DEPTH, p->panel, p->out)) {
            return -1;
        }
        be->rows_apart = be->rows_apart && !memcmp(p->whole + first * NARROW, p->out, rows * NARROW * sizeof *p->out);
    }
    return status;
}

static int probe_rows(onednn *be) {
    shape *s = find_shape(be, PROBE_DEPTH, NARROW);
    if (!s) {
        return -1;
    }
    probe p = {ba_cpu_alloc(PROBE_ROWS, PROBE_DEPTH, 1, sizeof *p.x), ba_cpu_alloc(s->panel_size, 1, 1, sizeof *p.x),
               ba_cpu_alloc(PROBE_ROWS, NARROW, 1, sizeof(float)), ba_cpu_alloc(PROBE_ROWS, NARROW, 1, sizeof(float))};
    int status = -1;
    if (p.x && p.panel && p.whole && p.out) {
        probe_fill(p.x, (size_t)PROBE_ROWS * PROBE_DEPTH, 1);
        probe_fill(p.panel, s->panel_size, 2);
        status = compare_calls(be, s, &p);
    }
    free(p.x);
    free(p.panel);
    free(p.whole);
    free(p.out);
    return status;
}

/* ---- the backend ---- */

static void onednn_close(ba_backend *base) {
    onednn *be = (onednn *)base;
    while (be->shapes) {
        shape *next = be->shapes->next;
        free_shape(be->shapes);
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
static int start(onednn *be, const ba_backend_config *cfg, char err[BA_ERR_LEN]) {
    if (ba_bf16_open(&be->bf16, cfg, NULL, err)) {
        return -1;
    }
    be->threads = cfg->threads;
    be->sum = ba_cpu_alloc(cfg->threads, TILE_ROWS, WIDE, sizeof *be->sum);
    be->stream = ba_cpu_alloc(cfg->threads, 1, 1, sizeof(dnnl_stream_t));
    be->scratch = ba_cpu_alloc(cfg->threads, 1, 1, sizeof(char *));
    bool ready = be->sum && be->stream && be->scratch && dnnl_primitive_attr_create(&be->attr) == dnnl_success &&
                 dnnl_primitive_attr_set_scratchpad_mode(be->attr, dnnl_scratchpad_mode_user) == dnnl_success &&
                 dnnl_engine_create(&be->engine, dnnl_cpu, 0) == dnnl_success;
    for (size_t i = 0; ready && i < cfg->threads; i++) {
        ready = dnnl_stream_create(&be->stream[i], be->engine, dnnl_stream_default_flags) == dnnl_success;
    }
    if (!ready || probe_rows(be)) {
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
    onednn *be = ba_cpu_alloc(1, 1, 1, sizeof *be);
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
    return ((const onednn *)be)->describe;
}

const ba_backend_ops ba_onednn = {
    .name = "onednn",
    .summary = "bf16: matrix products by oneDNN, own attention code",
    .dtype = "bf16",
    .open = onednn_open,
    .close = onednn_close,
    .describe = onednn_describe,
    BA_BF16_ROWS,
    .weight_new = onednn_weight_new,
    .weight_free = onednn_weight_free,
    .weight_bytes = onednn_weight_bytes,
    .packing = onednn_packing,
    .weight_packed = onednn_weight_packed,
    .weight_mapped = onednn_weight_mapped,
    .embed = onednn_embed,
    .linear = onednn_linear,
    .train = &ba_train_cpu_ops,
};
#endif
