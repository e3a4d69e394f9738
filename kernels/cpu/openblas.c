/* Backend "openblas": as "cpu" in fp32 (table.c), but with matrix products by OpenBLAS.
 *
 * OpenBLAS runs on one thread. Our own threads call it for tiles of rows and columns, so that the arithmetic of a row
 * does not depend on the number of threads. It must not depend on the other rows either, and that is a property of the
 * kernel that OpenBLAS chose for the processor: the kernels for AVX-512 have it; those for AVX2 compute a row by its
 * place in a block of twelve; and small products take other code. So opening compares bits (probe_rows). A weight for
 * which OpenBLAS does not have the property is packed, and multiplied by our own tile code instead. */
#include "cpu.h"
#include "kernels/backends.h"
#include "kernels/base/sizes.h"
#include "kernels/count.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TILE_ROWS = 480, /* X of a tile stays in the second-level cache */
    NARROW = 96,     /* columns of a tile when there are few rows: enough tiles for all threads */
    WIDE = 288,      /* when there are many: fewer times to pack X */
    VECTOR = 1152,   /* for a single row */
    SMALL = 1250000, /* rows x cols x depth up to which OpenBLAS may use its code for small matrices, plus 25 % */
};

typedef struct openblas {
    ba_cpu cpu;
    bool rows_apart; /* OpenBLAS computes rows independently of each other, where products are not small */
    char describe[256];
} openblas;

/* One product, cut into tiles. */
typedef struct product {
    const openblas *be;
    const ba_weight *w;
    ba_view x, out;
    size_t rows, tile_rows, tile_cols, col_tiles;
    size_t min_rows; /* a smaller tile is padded with rows that are ignored */
    bool add;
} product;

static size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

_Static_assert(BA_PAD_ROWS *WIDE <= BA_SUM_ROWS * BA_KEYS, "a tile of added rows fits the work space");

static void blas_tile(void *arg, size_t index, size_t worker) {
    const product *p = arg;
    const ba_weight *w = p->w;
    size_t row = index / p->col_tiles * p->tile_rows, rows = ba_min_size(p->tile_rows, p->rows - row);
    size_t col = index % p->col_tiles * p->tile_cols, cols = ba_min_size(p->tile_cols, w->out - col);
    size_t called = rows < p->min_rows ? p->min_rows : rows, stride = p->out.buf->cols, to_stride = stride;
    float *out = ba_cpu_row(p->out, row) + col, *to = out;
    if (called != rows) {
        to = p->be->cpu.sum + worker * BA_SUM_ROWS * BA_KEYS;
        to_stride = cols;
    }
    bool add = ba_cpu_prepare(w, p->add, out, stride, to, to_stride, rows, col, cols);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)called, (blasint)cols, (blasint)w->in, 1,
                ba_cpu_row(p->x, row), (blasint)p->x.buf->cols, w->at + col * w->in, (blasint)w->in, add ? 1 : 0, to,
                (blasint)to_stride);
    for (size_t r = 0; to != out && r < rows; r++) {
        memcpy(out + r * stride, to + r * to_stride, cols * sizeof *out);
    }
}

/* One row: the weights are read once, at the speed of memory. */
static void vector_tile(void *arg, size_t index, size_t worker) {
    (void)worker;
    const product *p = arg;
    const ba_weight *w = p->w;
    size_t col = index * p->tile_cols, cols = ba_min_size(p->tile_cols, w->out - col);
    float *out = ba_cpu_row(p->out, 0) + col;
    bool add = ba_cpu_prepare(w, p->add, out, cols, out, cols, 1, col, cols);
    cblas_sgemv(CblasRowMajor, CblasNoTrans, (blasint)cols, (blasint)w->in, 1, w->at + col * w->in, (blasint)w->in,
                ba_cpu_row(p->x, 0), 1, add ? 1 : 0, out, 1);
}

/* The width of equal tiles of at most `limit` columns, so that the last one is not narrow. */
static size_t tile_width(size_t cols, size_t limit) {
    size_t n = (cols + limit - 1) / limit;
    return round_up((cols + n - 1) / n, 16);
}

/* Whether every tile of 48 rows or more, the last one included, is too large for OpenBLAS's code for small matrices. */
static bool always_large(size_t out, size_t in) {
    static const size_t limits[] = {NARROW, WIDE};
    for (size_t i = 0; i < 2; i++) {
        size_t width = tile_width(out, limits[i]), rest = out % width;
        if (BA_PAD_ROWS * (rest ? rest : width) * in <= SMALL) {
            return false;
        }
    }
    return true;
}

static ba_weight *openblas_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
    openblas *blas = (openblas *)be;
    size_t out, in;
    if (ba_weight_shape(src, n_src, &out, &in, err)) {
        return NULL;
    }
    return ba_cpu_weight_as(&blas->cpu, src, n_src, !blas->rows_apart || !always_large(out, in), err);
}

static void openblas_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add,
                            bool stable) {
    if (w->packed) {
        ba_cpu_linear(be, w, x, rows, out, add, stable);
        return;
    }
    openblas *blas = (openblas *)be;
    product p = {.be = blas, .w = w, .x = x, .out = out, .rows = rows, .add = add};
    bool vector = rows == 1 && !stable;
    size_t row_tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    p.tile_rows = row_tiles ? round_up((rows + row_tiles - 1) / row_tiles, BA_PAD_ROWS) : TILE_ROWS;
    p.min_rows = stable ? BA_PAD_ROWS : 0;
    p.tile_cols = tile_width(w->out, vector ? VECTOR : rows < 2 * NARROW ? NARROW : WIDE);
    p.col_tiles = (w->out + p.tile_cols - 1) / p.tile_cols;
    ba_pool_run(blas->cpu.pool, row_tiles * p.col_tiles, vector ? vector_tile : blas_tile, &p);
    ba_count_linear(be, rows, w->in, w->out, add);
}

/* ---- does OpenBLAS compute rows independently of each other? ---- */

enum { PROBE_ROWS = 240, PROBE_COLS = WIDE, PROBE_DEPTH = 400 };

typedef struct probe {
    float *x, *w;       /* [PROBE_ROWS, PROBE_DEPTH], [PROBE_COLS, PROBE_DEPTH] */
    float *whole, *out; /* [PROBE_ROWS, PROBE_COLS] of one call, of several */
} probe;

static void probe_product(const probe *p, size_t row, size_t rows, size_t col, size_t cols, float *out) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)cols, PROBE_DEPTH, 1,
                p->x + row * PROBE_DEPTH, PROBE_DEPTH, p->w + col * PROBE_DEPTH, PROBE_DEPTH, 0, out + col, PROBE_COLS);
}

/* Compares one call for all rows with calls of many sizes, from many places, with the columns in two parts. */
static bool same_bits(const probe *p) {
    static const size_t counts[] = {48, 49, 50, 53, 55, 60, 65, 95, 97, 130, 191, 239};
    probe_product(p, 0, PROBE_ROWS, 0, PROBE_COLS, p->whole);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t rows = counts[i], first = (i * 7 + 1) % (PROBE_ROWS - rows + 1);
        probe_product(p, first, rows, 0, NARROW, p->out);
        probe_product(p, first, rows, NARROW, PROBE_COLS - NARROW, p->out);
        if (memcmp(p->whole + first * PROBE_COLS, p->out, rows * PROBE_COLS * sizeof *p->out) != 0) {
            return false;
        }
    }
    return true;
}

/* Numbers in (-1, 1) with full mantissas, so that every rounding shows. */
static void probe_fill(float *x, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed * 0x1p-31f;
    }
}

static int probe_rows(bool *rows_apart) {
    probe p = {.x = ba_cpu_alloc(PROBE_ROWS, PROBE_DEPTH, 1, sizeof(float)),
               .w = ba_cpu_alloc(PROBE_COLS, PROBE_DEPTH, 1, sizeof(float)),
               .whole = ba_cpu_alloc(PROBE_ROWS, PROBE_COLS, 1, sizeof(float)),
               .out = ba_cpu_alloc(PROBE_ROWS, PROBE_COLS, 1, sizeof(float))};
    bool there = p.x && p.w && p.whole && p.out;
    if (there) {
        probe_fill(p.x, PROBE_ROWS * PROBE_DEPTH, 1);
        probe_fill(p.w, PROBE_COLS * PROBE_DEPTH, 2);
        *rows_apart = same_bits(&p);
    }
    free(p.x);
    free(p.w);
    free(p.whole);
    free(p.out);
    return there ? 0 : -1;
}

/* ---- the backend ---- */

static void openblas_close(ba_backend *be) {
    ba_cpu_close((ba_cpu *)be);
    free(be);
}

static void write_description(openblas *be) {
    /* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...": its first two words. */
    const char *config = openblas_get_config(), *space = strchr(config, ' ');
    size_t n = space ? (size_t)(space - config) + 1 + strcspn(space + 1, " ") : strlen(config);
    snprintf(be->describe, sizeof be->describe, "%.*s %s%s; attention %s; %zu threads", (int)n, config,
             openblas_get_corename(), be->rows_apart ? "" : " (unfit: products by own code)", be->cpu.isa->name,
             ba_pool_threads(be->cpu.pool));
}

static int openblas_open(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    openblas *be = ba_cpu_alloc(1, 1, 1, sizeof *be);
    if (!be) {
        return ba_fail(err, "backend openblas: out of memory");
    }
    be->cpu.base.ops = &ba_openblas;
    openblas_set_num_threads(1);
    int status = ba_cpu_open(&be->cpu, cfg, err);
    if (status == 0 && probe_rows(&be->rows_apart)) {
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
    .summary = "fp32: matrix products by OpenBLAS, the rest by own code",
    .dtype = "f32",
    .open = openblas_open,
    .close = openblas_close,
    .describe = openblas_describe,
    BA_F32_ROWS,
    .weight_new = openblas_weight_new,
    .linear = openblas_linear,
    .train = &ba_train_openblas,
};
