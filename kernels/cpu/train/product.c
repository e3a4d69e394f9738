/* The three products of a linear layer, cut into tiles that a backend multiplies; how often and where it is cut does
 * not depend on the threads. */
#include "train.h"

#include <stdlib.h>
#include <string.h>

typedef struct product {
    const ba_train_cpu *t;
    size_t m, n, k; /* as multiplied: m and k padded where operands are bf16 */
    size_t valid;   /* rows of c that count */
    size_t tile_m, tile_n, tiles_n;
    ba_operand a, b;
    float *c;
    size_t c_stride;
    float scale;
    bool add;
    ba_backend *be;
} product;

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* The operand from row i (a) or column i (b) of the product on. */
static ba_operand from(ba_operand x, size_t i, bool rows, bool half) {
    size_t step = rows == x.turned ? 1 : x.stride;
    x.at = (const char *)x.at + i * step * (half ? sizeof(uint16_t) : sizeof(float));
    return x;
}

static void tile(void *arg, size_t index, size_t worker) {
    const product *p = arg;
    size_t i = index / p->tiles_n * p->tile_m, j = index % p->tiles_n * p->tile_n;
    size_t m = min_size(p->tile_m, p->m - i), n = min_size(p->tile_n, p->n - j);
    float *sum = p->t->sum + worker * BA_TRAIN_TILE * BA_TRAIN_TILE;
    bool half = p->t->product->half;
    if (p->t->product->tile(p->t->state, worker, m, n, p->k, from(p->a, i, true, half), from(p->b, j, false, half),
                            sum)) {
        p->be->no_memory = true;
        memset(sum, 0xff, m * n * sizeof *sum); /* NaN: no check lets it pass */
    }
    for (size_t r = 0; r < m && i + r < p->valid; r++) {
        float *c = p->c + (i + r) * p->c_stride + j;
        (p->add ? p->t->lanes->axpy : p->t->lanes->scaled)(c, p->scale, sum + r * n, n);
    }
}

static void multiply(product *p) {
    ba_train_cpu *t = ((ba_cpu *)p->be)->train;
    p->t = t;
    size_t tiles_m = (p->m + BA_TRAIN_TILE - 1) / BA_TRAIN_TILE;
    p->tile_m = BA_TRAIN_TILE;
    p->tile_n = min_size(round_up(p->n, 16), BA_TRAIN_TILE);
    p->tiles_n = (p->n + p->tile_n - 1) / p->tile_n;
    size_t last_m = p->m - (tiles_m - 1) * p->tile_m, last_n = p->n - (p->tiles_n - 1) * p->tile_n;
    const size_t m[] = {min_size(p->m, p->tile_m), last_m}, n[] = {min_size(p->n, p->tile_n), last_n};
    for (size_t i = 0; i < 4; i++) { /* what cannot be prepared, tile answers with -1 */
        t->product->prepare(t->state, m[i / 2], n[i % 2], p->k, p->a, p->b);
    }
    ba_pool_run(((ba_cpu *)p->be)->pool, tiles_m * p->tiles_n, tile, p);
}

/* ---- operands ---- */

typedef struct rounding {
    const ba_train_lanes *lanes;
    ba_view x;
    size_t rows, cols;
    uint16_t *out;
} rounding;

static void round_rows(const void *arg, size_t first, size_t last) {
    const rounding *r = arg;
    for (size_t i = first; i < last; i++) {
        if (i < r->rows) {
            r->lanes->round(ba_cpu_row(r->x, i), r->cols, r->out + i * r->cols);
        } else {
            memset(r->out + i * r->cols, 0, r->cols * sizeof *r->out);
        }
    }
}

/* Rows of activations as an operand, of `padded` rows if they are rounded; slot: which of two. at NULL: out of memory.
 */
static ba_operand activations(ba_backend *be, ba_view x, size_t rows, size_t cols, size_t padded, int slot,
                              bool turned) {
    ba_train_cpu *t = ((ba_cpu *)be)->train;
    if (!t->product->half) {
        return (ba_operand){ba_cpu_row(x, 0), x.buf->cols, turned};
    }
    if (padded * cols > t->n_half[slot]) {
        free(t->half[slot]);
        t->half[slot] = ba_cpu_alloc(padded, cols, 1, sizeof *t->half[slot]);
        t->n_half[slot] = t->half[slot] ? padded * cols : 0;
    }
    be->no_memory = be->no_memory || !t->half[slot];
    rounding r = {t->lanes, x, rows, cols, t->half[slot]};
    if (t->half[slot]) {
        ba_cpu_for((ba_cpu *)be, padded, cols, round_rows, &r);
    }
    return (ba_operand){t->half[slot], cols, turned};
}

static ba_operand weight(const ba_param *p, bool turned) {
    return (ba_operand){p->half ? (const void *)p->half : (const void *)p->value, p->cols, turned};
}

static size_t padded_rows(ba_backend *be, size_t rows) {
    return ((ba_cpu *)be)->train->product->half ? round_up(rows, BA_TRAIN_UNIT) : rows;
}

/* ---- the operations ---- */

void ba_train_linear(ba_backend *be, const ba_param *p, ba_view x, size_t rows, double scale, bool add, ba_view out) {
    size_t padded = padded_rows(be, rows);
    product c = {.be = be, .m = padded, .valid = rows, .n = p->rows, .k = p->cols, .scale = (float)scale, .add = add};
    c.a = activations(be, x, rows, p->cols, padded, 0, false);
    c.b = weight(p, true);
    c.c = ba_cpu_row(out, 0);
    c.c_stride = out.buf->cols;
    if (rows && c.a.at) {
        multiply(&c);
    }
}

void ba_train_linear_back(ba_backend *be, const ba_param *p, ba_view dout, size_t rows, double scale, bool add,
                          ba_view dx) {
    size_t padded = padded_rows(be, rows);
    product c = {.be = be, .m = padded, .valid = rows, .n = p->cols, .k = p->rows, .scale = (float)scale, .add = add};
    c.a = activations(be, dout, rows, p->rows, padded, 0, false);
    c.b = weight(p, false);
    c.c = ba_cpu_row(dx, 0);
    c.c_stride = dx.buf->cols;
    if (rows && c.a.at) {
        multiply(&c);
    }
}

void ba_train_linear_grad(ba_backend *be, ba_param *p, ba_view dout, ba_view x, size_t rows, double scale) {
    size_t padded = padded_rows(be, rows);
    product c = {.be = be, .m = p->rows, .valid = p->rows, .n = p->cols, .k = padded, .scale = (float)scale};
    if (!p->grad || !rows) {
        return;
    }
    c.a = activations(be, dout, rows, p->rows, padded, 0, true);
    c.b = activations(be, x, rows, p->cols, padded, 1, false);
    c.c = ba_train_grad(be, p);
    c.c_stride = p->cols;
    c.add = true;
    if (c.a.at && c.b.at) {
        multiply(&c);
    }
}
