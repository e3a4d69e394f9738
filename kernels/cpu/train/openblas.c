/* Training in fp32: the three products of a linear layer by OpenBLAS, cut into tiles that one thread each computes. How
 * a product is cut does not depend on the number of threads, so neither do its bits. */
#include "kernels/backends.h"
#include "kernels/base/sizes.h"
#include "train.h"

#include <cblas.h>
#include <stdlib.h>

enum { TILE = 256 /* rows and columns of a tile, at most */ };

/* Element (i, j) is at[i * stride + j], or at[j * stride + i] if transposed. */
typedef struct operand {
    const float *at;
    size_t stride;
    bool transposed;
} operand;

/* c [m, n] = scale * a [m, k] b [k, n], or += that if `add` is set. */
typedef struct product {
    const ba_train_cpu *t;
    size_t m, n, k;
    size_t tile_n, tiles_n;
    operand a, b;
    float *c;
    size_t c_stride;
    float scale;
    bool add;
} product;

/* The operand from row `row` and column `col` on. */
static operand part(operand x, size_t row, size_t col) {
    x.at += x.transposed ? col * x.stride + row : row * x.stride + col;
    return x;
}

static void multiply_tile(void *arg, size_t index, size_t worker) {
    const product *p = arg;
    size_t i = index / p->tiles_n * TILE, j = index % p->tiles_n * p->tile_n;
    size_t m = ba_min_size(TILE, p->m - i), n = ba_min_size(p->tile_n, p->n - j);
    float *sum = (float *)p->t->state + worker * TILE * TILE;
    operand a = part(p->a, i, 0), b = part(p->b, 0, j);
    cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans,
                (blasint)m, (blasint)n, (blasint)p->k, 1, a.at, (blasint)a.stride, b.at, (blasint)b.stride, 0, sum,
                (blasint)n);
    for (size_t r = 0; r < m; r++) {
        float *c = p->c + (i + r) * p->c_stride + j;
        (p->add ? p->t->lanes->axpy : p->t->lanes->scaled)(c, p->scale, sum + r * n, n);
    }
}

static void multiply(ba_backend *be, product *p) {
    p->t = ((ba_cpu *)be)->train;
    p->tile_n = ba_min_size((p->n + 15) / 16 * 16, TILE);
    p->tiles_n = (p->n + p->tile_n - 1) / p->tile_n;
    ba_pool_run(((ba_cpu *)be)->pool, (p->m + TILE - 1) / TILE * p->tiles_n, multiply_tile, p);
}

static operand activations(ba_view x, bool transposed) {
    return (operand){ba_cpu_row(x, 0), x.buf->cols, transposed};
}

static operand weight(const ba_param *p, bool transposed) {
    return (operand){p->value, p->cols, transposed};
}

static void linear(ba_backend *be, const ba_param *p, ba_view x, size_t rows, double scale, bool add, ba_view out) {
    product c = {.m = rows, .n = p->rows, .k = p->cols, .scale = (float)scale, .add = add};
    c.a = activations(x, false);
    c.b = weight(p, true);
    c.c = ba_cpu_row(out, 0);
    c.c_stride = out.buf->cols;
    multiply(be, &c);
}

static void linear_back(ba_backend *be, const ba_param *p, ba_view dout, size_t rows, double scale, bool add,
                        ba_view dx) {
    product c = {.m = rows, .n = p->cols, .k = p->rows, .scale = (float)scale, .add = add};
    c.a = activations(dout, false);
    c.b = weight(p, false);
    c.c = ba_cpu_row(dx, 0);
    c.c_stride = dx.buf->cols;
    multiply(be, &c);
}

static void linear_grad(ba_backend *be, ba_param *p, ba_view dout, ba_view x, size_t rows, double scale) {
    if (!p->grad || !rows) {
        return;
    }
    product c = {.m = p->rows, .n = p->cols, .k = rows, .scale = (float)scale, .add = true};
    c.a = activations(dout, true);
    c.b = activations(x, false);
    c.c = ba_train_grad(be, p);
    c.c_stride = p->cols;
    multiply(be, &c);
}

/* The state is the tiles on their way to the result: [threads, TILE, TILE]. */
static int tiles_open(size_t threads, void **state, char err[BA_ERR_LEN]) {
    openblas_set_num_threads(1);
    *state = ba_cpu_alloc(threads, TILE, TILE, sizeof(float));
    return *state ? 0 : ba_fail(err, "out of memory");
}

static const ba_train_product by_openblas = {
    .attention = &ba_train_multiply_openblas, .open = tiles_open, .close = free};

static ba_param *param_new(ba_backend *be, const ba_weight_src *src, bool trained, char err[BA_ERR_LEN]) {
    return ba_train_param_new(be, &by_openblas, src, trained, err);
}

static ba_train_mask *mask_new(ba_backend *be, const ba_train_job *job, size_t n_jobs, size_t rows, size_t rot_rows) {
    return ba_train_cpu_mask_new(be, &by_openblas, job, n_jobs, rows, rot_rows);
}

/* clang-format off */
const ba_train_ops ba_train_openblas = {
    BA_TRAIN_CPU_SHARED,
    .param_new = param_new,
    .mask_new = mask_new,
    .linear = linear,
    .linear_back = linear_back,
    .linear_grad = linear_grad,
    .rmsnorm = ba_train_rmsnorm,
    .glu_back = ba_train_glu_back,
};
/* clang-format on */
