/* Training in bf16: linear layers by the product kernels of bf16.h. Weights are packed for both directions; activations
 * are packed before a product, which then writes its result to its final place. A scale is multiplied into the smaller
 * operand. One kernel sums each element of a result over the whole depth, so neither tiles nor threads change it. */
#include "kernels/cpu/bf16/bf16.h"
#include "kernels/backends.h"
#include "kernels/base/sizes.h"
#include "packing.h"
#include "train.h"

#include <stdlib.h>
#include <string.h>

enum {
    TILE_BYTES = 640 << 10 /* of the first operand in a tile; leaves room in the second-level cache for the others */
};

_Static_assert((int)BA_PACKING_DEPTH == (int)BA_MATRIX_DEPTH, "first operands are tiles of whole registers");

/* Grow-only space for packed activations: both operands of a product, and each packing of the two steady views. */
enum { PACKINGS = BA_PACKING_ACROSS + 1, STEADY = 2, SLOTS = STEADY + STEADY * PACKINGS };

typedef struct slots {
    uint16_t *at[SLOTS];
    size_t n[SLOTS];
    ba_view steady[STEADY];         /* by role */
    size_t made[STEADY * PACKINGS]; /* elements of slot 2 + [role, packing]; 0: not packed yet */
} slots;

static int slots_open(size_t threads, void **state, char err[BA_ERR_LEN]) {
    (void)threads;
    *state = calloc(1, sizeof(slots));
    return *state ? 0 : ba_fail(err, "out of memory");
}

static void slots_close(void *state) {
    slots *s = state;
    for (size_t i = 0; i < SLOTS; i++) {
        free(s->at[i]);
    }
    free(s);
}

/* ---- packing ---- */

typedef struct writing {
    ba_packing packing;
    ba_packing_job to;
} writing;

static void write_blocks(const void *arg, size_t first, size_t last) {
    const writing *w = arg;
    ba_packing_write_avx512(w->packing, &w->to, first * BA_PACKING_BLOCK,
                            ba_min_size(last * BA_PACKING_BLOCK, w->to.rows));
}

static void pack(ba_backend *be, ba_packing packing, const ba_packing_job *to) {
    const writing w = {packing, *to};
    ba_cpu_for((ba_cpu *)be, (to->rows + BA_PACKING_BLOCK - 1) / BA_PACKING_BLOCK, BA_PACKING_BLOCK * to->cols,
               write_blocks, &w);
}

static void steady(ba_backend *be, ba_train_role role, ba_view x) {
    slots *s = ((ba_cpu *)be)->train->state;
    s->steady[role] = x;
    memset(s->made + role * PACKINGS, 0, PACKINGS * sizeof *s->made);
}

/* The role for which the caller promised that x is steady; STEADY if there is none. */
static size_t role_of(const slots *s, ba_view x, float scale) {
    size_t role = 0;
    for (; role < STEADY; role++) {
        const ba_view *y = &s->steady[role];
        if (scale == 1 && y->buf == x.buf && y->row0 == x.row0 && y->col0 == x.col0) {
            break;
        }
    }
    return role;
}

/* Activations, packed as the first or second operand. NULL: out of memory, and no_memory is set. A steady gradient is
 * soon needed both as it is and transposed, so one pass writes both packings. */
static const uint16_t *packed(ba_backend *be, size_t operand, ba_packing packing, ba_view x, size_t rows, size_t cols,
                              double scale) {
    if (x.buf->packing) { /* it was written packed */
        return x.buf->packing + (packing == BA_PACKING_ROWS ? 0 : ba_packing_size(BA_PACKING_ROWS, rows, cols));
    }
    slots *s = ((ba_cpu *)be)->train->state;
    size_t role = role_of(s, x, (float)scale), from = 0;
    if (role == BA_TRAIN_DOUT && (packing == BA_PACKING_ROWS || packing == BA_PACKING_TURNED)) {
        from = packing == BA_PACKING_TURNED ? ba_packing_size(BA_PACKING_ROWS, rows, cols) : 0;
        packing = BA_PACKING_BOTH;
    }
    size_t need = ba_packing_size(packing, rows, cols),
           slot = role < STEADY ? STEADY + role * PACKINGS + packing : operand;
    size_t *made = role < STEADY ? &s->made[slot - STEADY] : NULL;
    if (made && *made == need) {
        return s->at[slot] + from;
    }
    if (need > s->n[slot]) {
        free(s->at[slot]);
        s->at[slot] = ba_cpu_alloc(need, 1, 1, sizeof *s->at[slot]);
        s->n[slot] = s->at[slot] ? need : 0;
    }
    if (!s->at[slot]) {
        be->no_memory = true;
        return NULL;
    }
    const ba_packing_job to = {.x = ba_cpu_row(x, 0),
                               .stride = x.buf->cols,
                               .rows = rows,
                               .cols = cols,
                               .scale = (float)scale,
                               .strip = ((const ba_bf16 *)be)->strip,
                               .out = s->at[slot]};
    pack(be, packing, &to);
    if (made) {
        *made = need;
    }
    return s->at[slot] + from;
}

/* A parameter's copy: W^T as the second operand for the forward pass, then W for the backward pass. */
static size_t forward_size(const ba_param *p) {
    return ba_packing_size(BA_PACKING_ACROSS, p->rows, p->cols);
}

static size_t copy_size(const ba_param *p) {
    return forward_size(p) + ba_packing_size(BA_PACKING_DOWN, p->rows, p->cols);
}

static void renew(const ba_backend *be, const ba_param *p, size_t first, size_t last) {
    ba_packing_job to = {.x = p->value,
                         .stride = p->cols,
                         .rows = p->rows,
                         .cols = p->cols,
                         .scale = 1,
                         .strip = ((const ba_bf16 *)be)->strip,
                         .stream = true,
                         .out = p->half};
    ba_packing_write_avx512(BA_PACKING_ACROSS, &to, first, last);
    to.out += forward_size(p);
    ba_packing_write_avx512(BA_PACKING_DOWN, &to, first, last);
}

/* ---- products ---- */

/* out [rows, cols] of rows `stride` apart (+)= a b */
typedef struct product {
    const ba_bf16 *be;
    size_t rows, cols, depth;
    const uint16_t *a, *b;
    bool add, stream;
    float *out;
    size_t stride;
    size_t tile_rows, panels;
} product;

static void tile(void *arg, size_t index, size_t worker) {
    (void)worker;
    const product *p = arg;
    size_t row = index / p->panels * p->tile_rows, col = index % p->panels * BA_KEYS;
    const ba_bf16_product part = {.rows = ba_min_size(p->tile_rows, p->rows - row),
                                  .cols = ba_min_size(BA_KEYS, p->cols - col),
                                  .depth = p->depth,
                                  .x = p->a + row * p->depth,
                                  .tiled = true,
                                  .w = p->b + col * p->depth,
                                  .add = p->add,
                                  .stream = p->stream,
                                  .out = p->out + row * p->stride + col,
                                  .stride = p->stride};
    p->be->product(&part);
}

static void multiply(ba_backend *be, product *p) {
    if (!p->a || !p->b || !p->rows) {
        return;
    }
    p->be = (const ba_bf16 *)be;
    p->tile_rows = ba_bf16_tile_rows(p->rows, p->depth, TILE_BYTES);
    p->panels = (p->cols + BA_KEYS - 1) / BA_KEYS;
    ba_pool_run(((ba_cpu *)be)->pool, (p->rows + p->tile_rows - 1) / p->tile_rows * p->panels, tile, p);
}

static void linear(ba_backend *be, const ba_param *p, ba_view x, size_t rows, double scale, bool add, ba_view out) {
    product c = {.rows = rows, .cols = p->rows, .depth = ba_packing_depth(p->cols), .add = add};
    c.a = packed(be, 0, BA_PACKING_ROWS, x, rows, p->cols, scale);
    c.b = p->half;
    c.out = ba_cpu_row(out, 0);
    c.stride = out.buf->cols;
    multiply(be, &c);
}

static void linear_back(ba_backend *be, const ba_param *p, ba_view dout, size_t rows, double scale, bool add,
                        ba_view dx) {
    product c = {.rows = rows, .cols = p->cols, .depth = ba_packing_depth(p->rows), .add = add};
    c.a = packed(be, 0, BA_PACKING_ROWS, dout, rows, p->rows, scale);
    c.b = p->half + forward_size(p);
    c.out = ba_cpu_row(dx, 0);
    c.stride = dx.buf->cols;
    multiply(be, &c);
}

static void linear_grad(ba_backend *be, ba_param *p, ba_view dout, ba_view x, size_t rows, double scale) {
    bool first = p->rows < p->cols;
    product c = {.rows = p->rows, .cols = p->cols, .depth = ba_packing_depth(rows), .add = !p->no_grad_yet};
    if (!p->grad || !rows) {
        return;
    }
    p->no_grad_yet = false;
    c.a = packed(be, 0, BA_PACKING_TURNED, dout, rows, p->rows, first ? scale : 1);
    c.b = packed(be, 1, BA_PACKING_DOWN, x, rows, p->cols, first ? 1 : scale);
    c.out = p->grad;
    c.stride = p->cols;
    c.stream = !c.add && p->cols % 16 == 0; /* the optimiser reads it only at the end of the step */
    multiply(be, &c);
}

static const ba_train_product by_bf16 = {.attention = &ba_train_multiply_bf16,
                                         .copy_size = copy_size,
                                         .renew = renew,
                                         .open = slots_open,
                                         .close = slots_close};

static ba_param *param_new(ba_backend *be, const ba_weight_src *src, bool trained, char err[BA_ERR_LEN]) {
    return ba_train_param_new(be, &by_bf16, src, trained, err);
}

static ba_train_mask *mask_new(ba_backend *be, const ba_train_job *job, size_t n_jobs, size_t rows, size_t rot_rows) {
    return ba_train_cpu_mask_new(be, &by_bf16, job, n_jobs, rows, rot_rows);
}

/* clang-format off */
const ba_train_ops ba_train_bf16 = {
    BA_TRAIN_CPU_SHARED,
    .param_new = param_new,
    .mask_new = mask_new,
    .operand_new = ba_train_bf16_operand_new,
    .steady = steady,
    .linear = linear,
    .linear_back = linear_back,
    .linear_grad = linear_grad,
    .rmsnorm = ba_train_bf16_rmsnorm,
    .glu = ba_train_bf16_glu,
    .glu_back = ba_train_bf16_glu_back,
};
/* clang-format on */
