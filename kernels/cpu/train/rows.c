/* Training's operations on single rows, sums over rows (in parallel over columns, so that each sum runs in the order of
 * the rows), and the loss. */
#include "train.h"

#include <math.h>
#include <string.h>

typedef struct rows_op {
    const ba_train_lanes *l;
    const ba_isa *isa;
    ba_view x, out, dout, dx, dup;
    size_t rows, groups, cols; /* a row is groups x cols */
    const ba_param *p;
    float *grad; /* of p */
    const int32_t *ids;
    float scale, eps;
    bool add, back;
    const ba_rot *rot;
    size_t rot_row;
    ba_act act;
} rows_op;

static rows_op op_of(ba_backend *be) {
    const ba_cpu *cpu = (const ba_cpu *)be;
    return (rows_op){.l = cpu->train->lanes, .isa = cpu->isa};
}

static void copy_rows(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    for (size_t r = first; r < last; r++) {
        memmove(ba_cpu_row(op->out, r), ba_cpu_row(op->x, r), op->cols * sizeof(float));
    }
}

void ba_train_copy(ba_backend *be, ba_view src, size_t rows, size_t cols, ba_view dst) {
    rows_op op = op_of(be);
    op.x = src, op.out = dst, op.cols = cols;
    ba_cpu_for((ba_cpu *)be, rows, cols, copy_rows, &op);
}

void ba_train_zero(ba_backend *be, ba_view x, size_t rows, size_t cols) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        memset(ba_cpu_row(x, r), 0, cols * sizeof(float));
    }
}

void ba_train_scatter(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst) {
    const ba_train_lanes *l = ((ba_cpu *)be)->train->lanes;
    for (size_t i = 0; i < n; i++) {
        l->axpy(ba_cpu_row(dst, row[i]), 1, ba_cpu_row(src, i), cols);
    }
}

/* ---- embedding and bias ---- */

static void embed_rows(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    for (size_t r = first; r < last; r++) {
        const float *from = op->p->value + (size_t)op->ids[r] * op->cols;
        float *to = ba_cpu_row(op->out, r);
        for (size_t i = 0; i < op->cols; i++) {
            to[i] = from[i] * op->scale;
        }
    }
}

void ba_train_embed(ba_backend *be, const ba_param *p, const int32_t *ids, size_t n, double scale, ba_view out) {
    rows_op op = op_of(be);
    op.p = p, op.ids = ids, op.cols = p->cols, op.scale = (float)scale, op.out = out;
    ba_cpu_for((ba_cpu *)be, n, p->cols, embed_rows, &op);
}

static void embed_back_cols(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    for (size_t r = 0; r < op->rows; r++) {
        op->l->axpy(op->grad + (size_t)op->ids[r] * op->cols + first, op->scale, ba_cpu_row(op->dout, r) + first,
                    last - first);
    }
}

void ba_train_embed_back(ba_backend *be, ba_param *p, const int32_t *ids, size_t n, double scale, ba_view dout) {
    rows_op op = op_of(be);
    op.grad = ba_train_grad(be, p), op.ids = ids, op.rows = n, op.cols = p->cols, op.scale = (float)scale,
    op.dout = dout;
    if (p->grad) {
        ba_cpu_for((ba_cpu *)be, p->cols, n, embed_back_cols, &op);
    }
}

static void bias_rows(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    for (size_t r = first; r < last; r++) {
        op->l->axpy(ba_cpu_row(op->out, r), 1, op->p->value, op->cols);
    }
}

void ba_train_bias(ba_backend *be, const ba_param *p, size_t rows, ba_view out) {
    rows_op op = op_of(be);
    op.p = p, op.cols = p->cols, op.out = out;
    ba_cpu_for((ba_cpu *)be, rows, p->cols, bias_rows, &op);
}

static void bias_grad_cols(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    for (size_t r = 0; r < op->rows; r++) {
        op->l->axpy(op->grad + first, 1, ba_cpu_row(op->dout, r) + first, last - first);
    }
}

void ba_train_bias_grad(ba_backend *be, ba_param *p, ba_view dout, size_t rows) {
    rows_op op = op_of(be);
    op.grad = ba_train_grad(be, p), op.rows = rows, op.dout = dout;
    if (p->grad) {
        ba_cpu_for((ba_cpu *)be, p->cols, rows, bias_grad_cols, &op);
    }
}

/* ---- norm ---- */

static void rmsnorm_rows(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    for (size_t i = first * op->groups; i < last * op->groups; i++) {
        size_t r = i / op->groups, at = i % op->groups * op->cols;
        const float *x = ba_cpu_row(op->x, r) + at;
        op->isa->scale(x, op->cols, op->isa->rms_factor(x, op->cols, op->eps), op->p->value,
                       ba_cpu_row(op->out, r) + at);
    }
}

void ba_train_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_param *gain,
                      double eps, ba_view out) {
    rows_op op = op_of(be);
    op.x = x, op.groups = groups, op.cols = cols, op.p = gain, op.eps = (float)eps, op.out = out;
    ba_cpu_for((ba_cpu *)be, rows, groups * cols, rmsnorm_rows, &op);
}

/* Rows whose part of the gain's gradient one thread sums; the parts are then added in order. */
enum { GAIN_ROWS = 32 };

/* With f = 1 / rms(x) and y = dout gain:  dx = f y - x f^3 mean(x y),  dgain = f x dout. */
static void norm_back_blocks(const void *arg, size_t first_block, size_t last_block) {
    const rows_op *op = arg;
    size_t first = first_block * GAIN_ROWS, last = last_block * GAIN_ROWS;
    last = last < op->rows ? last : op->rows;
    for (size_t i = first * op->groups; i < last * op->groups; i++) {
        size_t r = i / op->groups, at = i % op->groups * op->cols;
        const float *x = ba_cpu_row(op->x, r) + at, *d = ba_cpu_row(op->dout, r) + at;
        float f = 1 / sqrtf(op->l->dot(x, x, op->cols) / (float)op->cols + op->eps);
        float mean = op->l->dot3(x, d, op->p->value, op->cols) / (float)op->cols;
        if (op->grad) {
            op->l->weighted(op->grad + r / GAIN_ROWS * op->cols, f, x, d, op->cols);
        }
        op->l->norm_back(x, d, op->p->value, f, f * f * f * mean, op->cols, op->add, ba_cpu_row(op->dx, r) + at);
    }
}

void ba_train_rmsnorm_back(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, ba_param *gain,
                           double eps, ba_view dout, bool add, ba_view dx) {
    rows_op op = op_of(be);
    size_t blocks = (rows + GAIN_ROWS - 1) / GAIN_ROWS;
    float *grad = ba_train_grad(be, gain);
    op.x = x, op.rows = rows, op.groups = groups, op.cols = cols, op.p = gain, op.eps = (float)eps;
    op.dout = dout, op.add = add, op.dx = dx;
    if (grad && !(op.grad = ba_train_space(be, blocks * cols))) {
        return;
    }
    if (grad) {
        memset(op.grad, 0, blocks * cols * sizeof *op.grad);
    }
    ba_cpu_for((ba_cpu *)be, blocks, GAIN_ROWS * groups * cols, norm_back_blocks, &op);
    for (size_t b = 0; grad && b < blocks; b++) {
        op.l->axpy(grad, 1, op.grad + b * cols, cols);
    }
}

/* ---- rotation and activation ---- */

static void rotate_rows(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    for (size_t r = first; r < last; r++) {
        const float *rot = op->rot->at + (op->rot_row + r) * 2 * op->rot->half;
        for (size_t h = 0; h < op->groups; h++) {
            op->l->rotate(ba_cpu_row(op->x, r) + h * op->cols, op->cols, rot, op->back, 1,
                          ba_cpu_row(op->out, r) + h * op->cols);
        }
    }
}

void ba_train_rotate(ba_backend *be, ba_view x, size_t rows, size_t heads, size_t head_dim, const ba_rot *rot,
                     size_t rot_row, bool back, ba_view out) {
    rows_op op = op_of(be);
    op.x = x, op.groups = heads, op.cols = head_dim, op.rot = rot, op.rot_row = rot_row, op.back = back, op.out = out;
    ba_cpu_for((ba_cpu *)be, rows, heads * head_dim, rotate_rows, &op);
}

static void glu_back_rows(const void *arg, size_t first, size_t last) {
    const rows_op *op = arg;
    for (size_t r = first; r < last; r++) {
        const float *gate = ba_cpu_row(op->x, r);
        op->l->glu_back(op->act, gate, gate + op->cols, ba_cpu_row(op->dout, r), op->cols, ba_cpu_row(op->dx, r),
                        ba_cpu_row(op->dup, r));
    }
}

void ba_train_glu_back(ba_backend *be, ba_act act, ba_view x, ba_view dout, size_t rows, size_t cols, ba_view dgate,
                       ba_view dup) {
    rows_op op = op_of(be);
    op.act = act, op.x = x, op.dout = dout, op.cols = cols, op.dx = dgate, op.dup = dup;
    ba_cpu_for((ba_cpu *)be, rows, 4 * cols, glu_back_rows, &op);
}

/* ---- loss ---- */

typedef struct loss {
    const ba_train_lanes *l;
    ba_view logits, teacher;
    size_t vocab;
    const int32_t *target;
    float weight, kl_weight;
    float *space; /* [n, 2, vocab] probabilities of model and teacher */
    double *sum;  /* [n, 2] */
} loss;

/* KL(t || p) = sum t (t_logit - logit) - lse_t + lse_p. */
static double divergence(const loss *c, const float *x, double lse, const float *t, double t_lse, const float *prob) {
    double sum = lse - t_lse;
    for (size_t i = 0; i < c->vocab; i++) {
        sum += (double)prob[i] * ((double)t[i] - (double)x[i]);
    }
    return sum;
}

/* Writes probabilities to p; returns the log-sum-exp. */
static double soften(const loss *c, const float *x, float *p) {
    float top = c->l->max(x, c->vocab), sum = c->l->exp_sum(x, top, c->vocab, p);
    c->l->multiply(p, 1 / sum, c->vocab);
    return (double)top + log((double)sum);
}

static void loss_rows(const void *arg, size_t first, size_t last) {
    const loss *c = arg;
    for (size_t r = first; r < last; r++) {
        float *x = ba_cpu_row(c->logits, r), *p = c->space + r * 2 * c->vocab, *q = p + c->vocab;
        double lse = soften(c, x, p);
        c->sum[2 * r] = lse - (double)x[c->target[r]];
        c->sum[2 * r + 1] = 0;
        float total = c->weight;
        if (c->teacher.buf) {
            const float *t = ba_cpu_row(c->teacher, r);
            double t_lse = soften(c, t, q);
            c->sum[2 * r + 1] = divergence(c, x, lse, t, t_lse, q);
            total += c->kl_weight;
        }
        memcpy(x, p, c->vocab * sizeof *x);
        c->l->multiply(x, total, c->vocab);
        if (c->teacher.buf) {
            c->l->axpy(x, -c->kl_weight, q, c->vocab);
        }
        x[c->target[r]] -= c->weight;
    }
}

void ba_train_cross_entropy(ba_backend *be, ba_view logits, size_t n, size_t vocab, const int32_t *target,
                            double weight, ba_view teacher, double kl_weight, double sum[2]) {
    const ba_cpu *cpu = (const ba_cpu *)be;
    float *space = ba_train_space(be, n * 2 * vocab + n * 2 * (sizeof(double) / sizeof(float)));
    if (!space) {
        sum[0] = NAN;
        return;
    }
    loss c = {
        cpu->train->lanes,      logits, teacher, vocab, target, (float)weight, (float)kl_weight, space + n * 2 * 2,
        (double *)(void *)space};
    ba_cpu_for((ba_cpu *)be, n, 8 * vocab, loss_rows, &c);
    for (size_t r = 0; r < n; r++) {
        sum[0] += c.sum[2 * r];
        sum[1] += c.sum[2 * r + 1];
    }
}
