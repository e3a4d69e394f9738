/* Backend "openblas": fp32, matrix products by OpenBLAS, everything else by cpu*.c and attention*.c.
 *
 * OpenBLAS is kept to one thread; we call it from our own over tiles of rows and columns, so that the work of a row is
 * the same whatever the thread count. It must also be the same whatever the other rows are, and that is up to the
 * kernel that OpenBLAS chose for the processor: it may treat the last few rows of a call differently, and switches to
 * other code when a product is small. Which shapes are safe is found out at open by comparing bits (find_rule). */
#include "backends.h"
#include "count.h"
#include "cpu.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TILE_ROWS = 480, /* a multiple of every register block in use (48); X of a tile stays in the second-level cache */
    NARROW = 96,     /* columns of a tile when there are few rows: enough tiles for all threads */
    WIDE = 288,      /* when there are many: fewer times to pack X */
    SMALL = 1250000, /* rows x cols x depth up to which OpenBLAS may take its code for small matrices, 25 % added */
};

/* How rows must be called for to be independent of each other. */
typedef enum row_rule {
    ROWS_ANY,   /* in any number */
    ROWS_BY_48, /* in multiples of 48, zero rows added */
    ROWS_TILE,  /* in products of exactly 48 rows */
} row_rule;

typedef struct openblas {
    ba_cpu cpu;
    row_rule rule;
    float *tail; /* [threads, TILE_ROWS, WIDE] results of tiles with rows added */
    char describe[256];
} openblas;

/* One product, cut into tiles. */
typedef struct product {
    const openblas *be;
    const ba_weight *w;
    ba_view x, out;
    size_t rows, tile_rows, tile_cols, col_tiles;
    size_t min_rows, unit; /* a tile's rows are added to until they are at least min_rows and a multiple of unit */
    bool add;
} product;

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* out = what the product is added to: nothing, bias, what was there. True if it is to be added. */
static bool prepare_out(const product *p, float *out, size_t out_cols, const float *old, size_t old_cols, size_t rows,
                        size_t col, size_t cols) {
    const float *bias = p->w->bias;
    if (!bias && (!p->add || out == old)) {
        return p->add;
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            float sum = p->add ? old[r * old_cols + c] : 0;
            out[r * out_cols + c] = bias ? sum + bias[col + c] : sum;
        }
    }
    return true;
}

static void product_tile(void *arg, size_t index, size_t worker) {
    const product *p = arg;
    const ba_weight *w = p->w;
    size_t row = index / p->col_tiles * p->tile_rows, col = index % p->col_tiles * p->tile_cols;
    size_t rows = min_size(p->tile_rows, p->rows - row), cols = min_size(p->tile_cols, w->out - col);
    size_t called = round_up(rows > p->min_rows ? rows : p->min_rows, p->unit);
    const float *x = ba_cpu_row(p->x, row), *weight = w->at + col * w->in;
    float *out = ba_cpu_row(p->out, row) + col, *to = out;
    size_t out_cols = p->out.buf->cols, to_cols = out_cols;
    if (called != rows) {
        to = p->be->tail + worker * TILE_ROWS * WIDE;
        to_cols = cols;
    }
    bool add = prepare_out(p, to, to_cols, out, out_cols, rows, col, cols);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)called, (blasint)cols, (blasint)w->in, 1, x,
                (blasint)p->x.buf->cols, weight, (blasint)w->in, add ? 1 : 0, to, (blasint)to_cols);
    for (size_t r = 0; to != out && r < rows; r++) {
        memcpy(out + r * out_cols, to + r * to_cols, cols * sizeof *out);
    }
}

/* One row: read the weights once, as fast as memory gives them. */
static void vector_tile(void *arg, size_t index, size_t worker) {
    (void)worker;
    const product *p = arg;
    const ba_weight *w = p->w;
    size_t col = index * p->tile_cols, cols = min_size(p->tile_cols, w->out - col);
    float *out = ba_cpu_row(p->out, 0) + col;
    bool add = prepare_out(p, out, cols, out, cols, 1, col, cols);
    cblas_sgemv(CblasRowMajor, CblasNoTrans, (blasint)cols, (blasint)w->in, 1, w->at + col * w->in, (blasint)w->in,
                ba_cpu_row(p->x, 0), 1, add ? 1 : 0, out, 1);
}

/* Widths of equal tiles of at most `limit` columns: no narrow one is left over at the end. */
static size_t tile_width(size_t cols, size_t limit) {
    size_t n = (cols + limit - 1) / limit;
    return round_up((cols + n - 1) / n, 16);
}

/* Whether every tile of 48 rows or more is past OpenBLAS's code for small matrices. */
static bool always_large(const ba_weight *w, size_t width) {
    size_t rest = w->out % width;
    return BA_PAD_ROWS * (rest ? rest : width) * w->in > SMALL;
}

static void openblas_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add,
                            bool stable) {
    openblas *blas = (openblas *)be;
    product p = {.be = blas, .w = w, .x = x, .out = out, .rows = rows, .add = add, .unit = 1};
    if (rows == 1 && !stable) {
        p.tile_cols = tile_width(w->out, 4 * WIDE);
        ba_pool_run(blas->cpu.pool, (w->out + p.tile_cols - 1) / p.tile_cols, vector_tile, &p);
        ba_count_linear(be, rows, w->in, w->out, add);
        return;
    }
    size_t row_tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    p.tile_rows = row_tiles ? round_up((rows + row_tiles - 1) / row_tiles, BA_PAD_ROWS) : BA_PAD_ROWS;
    p.tile_cols = tile_width(w->out, rows < 2 * NARROW ? NARROW : WIDE);
    if (stable) {
        p.min_rows = BA_PAD_ROWS;
        bool tiled = blas->rule == ROWS_TILE || !always_large(w, tile_width(w->out, NARROW)) ||
                     !always_large(w, tile_width(w->out, WIDE));
        if (tiled) {
            p.tile_rows = BA_PAD_ROWS;
            p.tile_cols = tile_width(w->out, NARROW);
        }
        p.unit = tiled || blas->rule == ROWS_BY_48 ? BA_PAD_ROWS : 1;
        p.tile_cols = p.unit == 1 ? p.tile_cols : tile_width(w->out, NARROW);
    }
    p.col_tiles = (w->out + p.tile_cols - 1) / p.tile_cols;
    ba_pool_run(blas->cpu.pool, (rows + p.tile_rows - 1) / p.tile_rows * p.col_tiles, product_tile, &p);
    ba_count_linear(be, rows, w->in, w->out, add);
}

/* ---- which rule holds ---- */

enum { PROBE_ROWS = 2 * TILE_ROWS / 4 + 1, PROBE_COLS = WIDE, PROBE_DEPTH = 400 };

typedef struct probe {
    float *x, *w, *out; /* [PROBE_ROWS + 48, PROBE_DEPTH], [PROBE_COLS, PROBE_DEPTH], [PROBE_ROWS + 48, PROBE_COLS] */
    float *whole;       /* out of the widest call */
} probe;

static void probe_product(const probe *p, size_t row, size_t rows, size_t col, size_t cols) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)cols, PROBE_DEPTH, 1,
                p->x + row * PROBE_DEPTH, PROBE_DEPTH, p->w + col * PROBE_DEPTH, PROBE_DEPTH, 0,
                p->out + row * PROBE_COLS + col, PROBE_COLS);
}

/* Whether rows come out the same whatever their number (in steps of `unit`), first row and cut of columns. */
static bool probe_unit(const probe *p, size_t unit) {
    static const size_t counts[] = {48, 49, 50, 53, 55, 60, 65, 95, 97, 130, 191, 240};
    size_t all = PROBE_ROWS / unit * unit;
    probe_product(p, 0, all, 0, PROBE_COLS);
    memcpy(p->whole, p->out, all * PROBE_COLS * sizeof *p->out);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t rows = round_up(counts[i], unit), first = i % 2 ? 0 : (all - min_size(rows, all)) / unit * unit;
        if (rows > all) {
            continue;
        }
        probe_product(p, first, rows, 0, NARROW);
        probe_product(p, first, rows, NARROW, PROBE_COLS - NARROW);
        size_t at = first * PROBE_COLS;
        if (memcmp(p->whole + at, p->out + at, rows * PROBE_COLS * sizeof *p->out)) {
            return false;
        }
    }
    return true;
}

/* Numbers in (-1, 1) that make every rounding count. */
static void probe_fill(float *x, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed * 0x1p-31f;
    }
}

static int find_rule(row_rule *rule) {
    size_t rows = PROBE_ROWS + BA_PAD_ROWS;
    probe p = {ba_cpu_alloc(rows, PROBE_DEPTH, 1, sizeof(float)),
               ba_cpu_alloc(PROBE_COLS, PROBE_DEPTH, 1, sizeof(float)),
               ba_cpu_alloc(rows, PROBE_COLS, 1, sizeof(float)), ba_cpu_alloc(rows, PROBE_COLS, 1, sizeof(float))};
    bool there = p.x && p.w && p.out && p.whole;
    if (there) {
        probe_fill(p.x, rows * PROBE_DEPTH, 1);
        probe_fill(p.w, PROBE_COLS * PROBE_DEPTH, 2);
        *rule = probe_unit(&p, 1) ? ROWS_ANY : probe_unit(&p, BA_PAD_ROWS) ? ROWS_BY_48 : ROWS_TILE;
    }
    free(p.x);
    free(p.w);
    free(p.out);
    free(p.whole);
    return there ? 0 : -1;
}

/* ---- the backend ---- */

static void openblas_close(ba_backend *be) {
    openblas *blas = (openblas *)be;
    ba_cpu_close(&blas->cpu);
    free(blas->tail);
    free(blas);
}

static void write_description(openblas *be) {
    static const char *const rule[] = {"any number", "multiples of 48", "tiles of 48"};
    char version[64];
    snprintf(version, sizeof version, "%s", openblas_get_config());
    size_t end = strlen("OpenBLAS ") + strcspn(version + min_size(strlen("OpenBLAS "), strlen(version)), " ");
    version[min_size(end, sizeof version - 1)] = 0;
    snprintf(be->describe, sizeof be->describe, "%s %s, rows in %s; attention %s; %zu threads", version,
             openblas_get_corename(), rule[be->rule], be->cpu.isa->name, ba_pool_threads(be->cpu.pool));
}

static int openblas_open(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    openblas *be = ba_cpu_alloc(1, 1, 1, sizeof *be);
    if (!be) {
        return ba_fail(err, "backend openblas: out of memory");
    }
    be->cpu.base.ops = &ba_openblas;
    openblas_set_num_threads(1);
    be->tail = ba_cpu_alloc(cfg->threads, TILE_ROWS, WIDE, sizeof *be->tail);
    int status = ba_cpu_open(&be->cpu, cfg, err);
    if (status == 0 && (!be->tail || find_rule(&be->rule))) {
        status = ba_fail(err, "backend openblas: out of memory");
    }
    if (status) {
        openblas_close(&be->cpu.base);
        return -1;
    }
    write_description(be);
    *out = &be->cpu.base;
    return 0;
}

static const char *openblas_describe(const ba_backend *be) {
    return ((const openblas *)be)->describe;
}

const ba_backend_ops ba_openblas = {
    .name = "openblas",
    .summary = "fp32: OpenBLAS, vectorised attention, threads",
    .dtype = "f32",
    .open = openblas_open,
    .close = openblas_close,
    .describe = openblas_describe,
    .buf_new = ba_cpu_buf_new,
    .buf_free = ba_cpu_buf_free,
    .upload = ba_cpu_upload,
    .download = ba_cpu_download,
    .weight_new = ba_cpu_weight_new,
    .weight_free = ba_cpu_weight_free,
    .weight_bytes = ba_cpu_weight_bytes,
    .freqs_new = ba_cpu_freqs_new,
    .freqs_free = ba_cpu_freqs_free,
    .rot_new = ba_cpu_rot_new,
    .rot_free = ba_cpu_rot_free,
    .rot_fill = ba_cpu_rot_fill,
    .kv_new = ba_cpu_kv_new,
    .kv_free = ba_cpu_kv_free,
    .kv_bytes = ba_cpu_kv_bytes,
    .kv_write = ba_cpu_kv_write,
    .kv_copy = ba_cpu_kv_copy,
    .kv_read = ba_cpu_kv_read,
    .kv_distance = ba_cpu_kv_distance,
    .embed = ba_cpu_embed,
    .linear = openblas_linear,
    .rmsnorm = ba_cpu_rmsnorm,
    .add = ba_cpu_add,
    .glu = ba_cpu_glu,
    .gather = ba_cpu_gather,
    .attention = ba_cpu_attention,
};
