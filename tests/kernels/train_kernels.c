/* The operations of training: the oracle against finite differences in double, and every backend that trains against
 * the oracle. */
#include "tests/support/rig.h"

#include "kernels/base/compare.h"
#include "kernels/train.h"
#include "sim/base/random.h"
#include "tests/support/runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An operation as a function from `in` to `out`, with the gradient of <out, c> with respect to `in`. */
typedef struct operation {
    const char *name;
    size_t n_in, n_out;
    void (*run)(ba_backend *be, const double *in, const double *c, double *out, double *grad);
} operation;

/* ---- handles made and freed within a run ---- */

static ba_view matrix(ba_backend *be, size_t rows, size_t cols, const double *from) {
    ba_view view = {be->ops->buf_new(be, rows, cols), 0, 0};
    CU_ASSERT_PTR_NOT_NULL_FATAL(view.buf);
    if (from) {
        be->ops->upload(be, view, rows, cols, from);
    }
    return view;
}

static void done(ba_backend *be, ba_view view, size_t rows, size_t cols, double *to) {
    if (to) {
        be->ops->download(be, view, rows, cols, to);
    }
    be->ops->buf_free(be, view.buf);
}

static ba_param *param(ba_backend *be, size_t rows, size_t cols, const double *from) {
    char err[BA_ERR_LEN];
    float *value = calloc(rows * cols, sizeof *value);
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    ba_param *p = be->ops->train->param_new(be, &(ba_weight_src){BA_F32, rows, cols, value, NULL, NULL, 0}, true, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    be->ops->train->param_write(be, p, BA_PARAM_VALUE, from); /* in double: finite differences need the digits */
    be->ops->train->param_write(be, p, BA_PARAM_GRAD, from);  /* must be gone before gradients are added */
    be->ops->train->grad_zero(be, &p, 1);
    free(value);
    return p;
}

static void param_done(ba_backend *be, ba_param *p, double *grad) {
    be->ops->train->param_read(be, p, BA_PARAM_GRAD, grad);
    be->ops->train->param_free(be, p);
}

/* ---- the operations ---- */

enum { ROWS = 37, IN = 48, OUT = 30 };

static void run_linear(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    const ba_train_ops *t = be->ops->train;
    const double scale = 0.7;
    ba_view x = matrix(be, ROWS, IN, in), y = matrix(be, ROWS, OUT, NULL), dy = matrix(be, ROWS, OUT, c),
            dx = matrix(be, ROWS, IN, NULL);
    ba_param *p = param(be, OUT, IN, in + ROWS * IN);
    t->linear(be, p, x, ROWS, scale / 2, false, y);
    t->linear(be, p, x, ROWS, scale / 2, true, y);
    t->linear_back(be, p, dy, ROWS, scale / 4, false, dx);
    t->linear_back(be, p, dy, ROWS, scale * 3 / 4, true, dx);
    t->linear_grad(be, p, dy, x, 20, scale);
    dy.row0 = x.row0 = 20; /* gradients add up over calls */
    t->linear_grad(be, p, dy, x, ROWS - 20, scale);
    dy.row0 = x.row0 = 0;
    done(be, x, 0, 0, NULL);
    done(be, y, ROWS, OUT, out);
    done(be, dy, 0, 0, NULL);
    done(be, dx, ROWS, IN, grad);
    param_done(be, p, grad + ROWS * IN);
}

/* Columns of a wider matrix, as q, k and v are. */
static void run_linear_view(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    const ba_train_ops *t = be->ops->train;
    ba_view x = matrix(be, ROWS, IN, in), y = matrix(be, ROWS, OUT + 16, NULL), dy = matrix(be, ROWS, OUT + 16, NULL);
    ba_view dx = matrix(be, ROWS, IN, NULL), middle = {y.buf, 0, 16}, dmiddle = {dy.buf, 0, 16};
    ba_param *p = param(be, OUT, IN, in + ROWS * IN);
    be->ops->upload(be, dmiddle, ROWS, OUT, c);
    t->linear(be, p, x, ROWS, 1, false, middle);
    t->linear_back(be, p, dmiddle, ROWS, 1, false, dx);
    t->linear_grad(be, p, dmiddle, x, ROWS, 1);
    be->ops->download(be, middle, ROWS, OUT, out);
    done(be, x, 0, 0, NULL);
    done(be, y, 0, 0, NULL);
    done(be, dy, 0, 0, NULL);
    done(be, dx, ROWS, IN, grad);
    param_done(be, p, grad + ROWS * IN);
}

/* The promise of `steady` ends with the next call for the same role. */
static void run_linear_steady(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    const ba_train_ops *t = be->ops->train;
    ba_view x = matrix(be, ROWS, IN, NULL), y = matrix(be, ROWS, OUT, NULL), dy = matrix(be, ROWS, OUT, NULL),
            dx = matrix(be, ROWS, IN, NULL), none = {NULL, 0, 0};
    ba_param *p = param(be, OUT, IN, in + ROWS * IN), *idle = param(be, OUT, IN, in + ROWS * IN);
    for (int again = 0; again < 2; again++) { /* zeros at first */
        if (t->steady) {
            t->steady(be, BA_TRAIN_X, x);
            t->steady(be, BA_TRAIN_DOUT, dy);
        }
        t->linear(be, p, x, ROWS, 1, false, y);
        t->linear(be, p, x, ROWS, 1, false, y);
        t->linear_back(be, p, dy, ROWS, 1, false, dx);
        t->linear_grad(be, p, dy, x, ROWS, 1);
        t->linear_grad(be, idle, dy, x, ROWS, 1);
        if (t->steady) {
            t->steady(be, BA_TRAIN_X, none);
            t->steady(be, BA_TRAIN_DOUT, none);
        }
        be->ops->upload(be, x, ROWS, IN, in);
        be->ops->upload(be, dy, ROWS, OUT, c);
    }
    done(be, x, 0, 0, NULL);
    done(be, y, ROWS, OUT, out);
    done(be, dy, 0, 0, NULL);
    done(be, dx, ROWS, IN, grad);
    param_done(be, p, grad + ROWS * IN);
    t->param_free(be, idle);
}

static void run_bias(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    ba_view y = matrix(be, ROWS, OUT, in), dy = matrix(be, ROWS, OUT, c);
    ba_param *p = param(be, 1, OUT, in + ROWS * OUT);
    be->ops->train->bias(be, p, ROWS, y);
    be->ops->train->bias_grad(be, p, dy, ROWS);
    done(be, y, ROWS, OUT, out);
    done(be, dy, 0, 0, NULL);
    memcpy(grad, c, sizeof(double) * ROWS * OUT);
    param_done(be, p, grad + ROWS * OUT);
}

enum { GROUPS = 3 };

static void run_rmsnorm(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    const ba_train_ops *t = be->ops->train;
    ba_view x = matrix(be, ROWS, GROUPS * 16, in), y = matrix(be, ROWS, GROUPS * 16, NULL);
    ba_view dy = matrix(be, ROWS, GROUPS * 16, c);
    ba_param *p = param(be, 1, 16, in + ROWS * GROUPS * 16);
    t->rmsnorm(be, x, ROWS, GROUPS, 16, p, 1e-5, y);
    t->rmsnorm_back(be, x, ROWS, GROUPS, 16, p, 1e-5, dy, false, dy);
    done(be, x, 0, 0, NULL);
    done(be, y, ROWS, GROUPS * 16, out);
    done(be, dy, ROWS, GROUPS * 16, grad);
    param_done(be, p, grad + ROWS * GROUPS * 16);
}

static void run_glu(ba_backend *be, ba_act act, const double *in, const double *c, double *out, double *grad) {
    ba_view x = matrix(be, ROWS, 2 * OUT, in), y = matrix(be, ROWS, OUT, NULL), dy = matrix(be, ROWS, OUT, c);
    be->ops->glu(be, act, x, ROWS, OUT, y);
    be->ops->train->glu_back(be, act, x, dy, ROWS, OUT, x, (ba_view){x.buf, 0, OUT});
    done(be, y, ROWS, OUT, out);
    done(be, dy, 0, 0, NULL);
    done(be, x, ROWS, 2 * OUT, grad);
}

static void run_silu(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    run_glu(be, BA_ACT_SILU, in, c, out, grad);
}

static void run_gelu(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    run_glu(be, BA_ACT_GELU_TANH, in, c, out, grad);
}

static const int32_t ids[ROWS] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8,
                                  4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7, 9, 5, 0, 2, 8, 8, 4};

static void run_embed(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    ba_view y = matrix(be, ROWS, IN, NULL), dy = matrix(be, ROWS, IN, c);
    ba_param *p = param(be, 10, IN, in);
    be->ops->train->embed(be, p, ids, ROWS, 1.5, y);
    be->ops->train->embed_back(be, p, ids, ROWS, 1.5, dy);
    done(be, y, ROWS, IN, out);
    done(be, dy, 0, 0, NULL);
    param_done(be, p, grad);
}

/* Rows are gathered, copied, and scattered back to where they came from. */
static void run_rows(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    static const size_t row[] = {30, 2, 7, 36};
    const ba_train_ops *t = be->ops->train;
    ba_view x = matrix(be, ROWS, IN, in), few = matrix(be, 4, IN, NULL), same = matrix(be, 4, IN, NULL);
    ba_view dfew = matrix(be, 4, IN, c), dx = matrix(be, ROWS, IN, in);
    be->ops->gather(be, x, row, 4, IN, few);
    t->copy(be, few, 4, IN, same);
    t->zero(be, dx, ROWS, IN);
    t->scatter(be, dfew, row, 4, IN, dx);
    done(be, x, 0, 0, NULL);
    done(be, few, 0, 0, NULL);
    done(be, same, 4, IN, out);
    done(be, dfew, 0, 0, NULL);
    done(be, dx, ROWS, IN, grad);
}

/* Out: [log loss, divergence]; their weights are c. in: logits, followed by those of the teacher (constant). */
static void run_loss(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    ba_view x = matrix(be, ROWS, OUT, in), teacher = matrix(be, ROWS, OUT, in + ROWS * OUT);
    out[0] = out[1] = 0;
    be->ops->train->cross_entropy(be, x, ROWS, OUT, ids, c[0], teacher, c[1], out);
    done(be, x, ROWS, OUT, grad);
    done(be, teacher, 0, 0, NULL);
}

/* ---- attention ---- */

enum { HEADS = 4, KV_HEADS = 2, DIM = 16, TOKENS = 150, SHIFTS = 400 };
enum { Q_COLS = HEADS * DIM, KV_COLS = KV_HEADS * DIM };

static ba_rot *rotations(ba_backend *be) {
    double freq[DIM / 2], pos[SHIFTS];
    for (size_t i = 0; i < DIM / 2; i++) {
        freq[i] = pow(100, -(double)i / (DIM / 2.0));
    }
    for (size_t i = 0; i < SHIFTS; i++) {
        pos[i] = (double)i * 0.75 - 20;
    }
    ba_freqs *f = be->ops->freqs_new(be, freq, DIM / 2, 1.1);
    ba_rot *rot = be->ops->rot_new(be, SHIFTS, DIM / 2);
    CU_ASSERT_FATAL(f && rot);
    be->ops->rot_fill(be, rot, 0, SHIFTS, pos, f);
    be->ops->freqs_free(be, f);
    return rot;
}

/* Two blocks; a third job that sees both through a window; rows from 140 on belong to no job. */
static ba_train_mask *blocks(ba_backend *be) {
    static int32_t end[TOKENS], begin[TOKENS];
    for (int32_t i = 0; i < TOKENS; i++) {
        end[i] = i + 1;
        begin[i] = i > 10 ? i - 10 : 0;
    }
    const ba_train_segment first[] = {{0, 70, 0, NULL, end, 1, 0}}, second[] = {{70, 33, 5, NULL, end, 1, 0}};
    const ba_train_segment viewer[] = {
        {0, 70, 90, begin, NULL, 0.8, 0.3}, {75, 28, 130, NULL, NULL, 1, 0}, {103, 37, 200, begin, end, 1, 0}};
    const ba_train_job job[] = {{0, 70, first, 1}, {70, 33, second, 1}, {103, 37, viewer, 3}};
    ba_train_mask *mask = be->ops->train->mask_new(be, job, 3, TOKENS, SHIFTS);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mask);
    return mask;
}

static void run_attention(ba_backend *be, const double *in, const double *c, double *out, double *grad) {
    const ba_train_ops *t = be->ops->train;
    const size_t q_size = TOKENS * Q_COLS, kv_size = TOKENS * KV_COLS;
    ba_view q = matrix(be, TOKENS, Q_COLS, in), k = matrix(be, TOKENS, KV_COLS, in + q_size),
            v = matrix(be, TOKENS, KV_COLS, in + q_size + kv_size), y = matrix(be, TOKENS, Q_COLS, NULL),
            lse = matrix(be, TOKENS, HEADS, NULL), dy = matrix(be, TOKENS, Q_COLS, c);
    ba_view turned = matrix(be, TOKENS, KV_COLS, NULL), dq = matrix(be, TOKENS, Q_COLS, NULL),
            dk = matrix(be, TOKENS, KV_COLS, NULL), dv = matrix(be, TOKENS, KV_COLS, NULL);
    ba_rot *rot = rotations(be);
    ba_train_mask *mask = blocks(be);
    t->rotate(be, k, TOKENS, KV_HEADS, DIM, rot, 17, false, turned);
    ba_train_attention a = {mask, rot, HEADS, KV_HEADS, DIM, TOKENS, 0.3, q, turned, v, y, lse.buf};
    t->attention(be, &a);
    t->attention_back(be, &a, dy, dq, dk, dv);
    t->rotate(be, dk, TOKENS, KV_HEADS, DIM, rot, 17, true, dk);
    t->mask_free(be, mask);
    be->ops->rot_free(be, rot);
    const ba_view inner[] = {q, k, v, lse, dy, turned};
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        done(be, inner[i], 0, 0, NULL);
    }
    done(be, y, TOKENS, Q_COLS, out);
    done(be, dq, TOKENS, Q_COLS, grad);
    done(be, dk, TOKENS, KV_COLS, grad + q_size);
    done(be, dv, TOKENS, KV_COLS, grad + q_size + kv_size);
}

static const operation operations[] = {
    {"linear", ROWS *IN + OUT *IN, ROWS *OUT, run_linear},
    {"linear on columns", ROWS *IN + OUT *IN, ROWS *OUT, run_linear_view},
    {"linear on what is steady", ROWS *IN + OUT *IN, ROWS *OUT, run_linear_steady},
    {"bias", ROWS *OUT + OUT, ROWS *OUT, run_bias},
    {"rmsnorm", ROWS *GROUPS * 16 + 16, ROWS *GROUPS * 16, run_rmsnorm},
    {"glu of silu", ROWS * 2 * OUT, ROWS *OUT, run_silu},
    {"glu of gelu", ROWS * 2 * OUT, ROWS *OUT, run_gelu},
    {"embed", 10 * IN, ROWS *IN, run_embed},
    {"gather and scatter", ROWS *IN, 4 * IN, run_rows},
    {"cross entropy", ROWS *OUT, 2, run_loss},
    {"attention", TOKENS *(Q_COLS + 2 * KV_COLS), TOKENS *Q_COLS, run_attention},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

/* ---- tests ---- */

typedef struct numbers {
    double *in, *c, *out, *grad;
} numbers;

static numbers numbers_of(const operation *op) {
    uint64_t seed = 11;
    size_t extra = op->run == run_loss ? op->n_in : 0; /* the teacher */
    numbers n = {rig_normals(&seed, op->n_in + extra), rig_normals(&seed, op->n_out),
                 malloc(op->n_out * sizeof(double)), malloc(op->n_in * sizeof(double))};
    CU_ASSERT_FATAL(n.out && n.grad);
    return n;
}

static void numbers_free(numbers *n) {
    free(n->in);
    free(n->c);
    free(n->out);
    free(n->grad);
}

static double dot(const double *x, const double *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i] * y[i];
    }
    return sum;
}

static void test_finite_differences(void) {
    ba_backend *be = rig_backend("ref", 1, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(be);
    for (size_t o = 0; o < OPERATIONS; o++) {
        const operation *op = &operations[o];
        numbers n = numbers_of(op);
        double *ignored = malloc(op->n_in * sizeof *ignored), step = 1e-5;
        uint64_t seed = 5;
        op->run(be, n.in, n.c, n.out, n.grad);
        for (size_t probe = 0; probe < 40; probe++) {
            size_t i = ba_random_below(&seed, op->n_in);
            double at = n.in[i], value[2];
            for (int side = 0; side < 2; side++) {
                n.in[i] = at + (side ? step : -step);
                op->run(be, n.in, n.c, n.out, ignored);
                value[side] = dot(n.out, n.c, op->n_out);
            }
            n.in[i] = at;
            double slope = (value[1] - value[0]) / (2 * step);
            if (!(fabs(slope - n.grad[i]) <= 1e-6 * (1 + fabs(slope)))) {
                printf("         %s: input %zu: %.10g, by finite differences %.10g\n", op->name, i, n.grad[i], slope);
                CU_FAIL("gradient");
            }
        }
        free(ignored);
        numbers_free(&n);
    }
    ba_backend_close(be);
}

/* Distance over length; NaN if something is not a number. */
static double relative(const double *x, const double *y, size_t n) {
    double distance = 0, length = 0;
    for (size_t i = 0; i < n; i++) {
        distance += (x[i] - y[i]) * (x[i] - y[i]);
        length += y[i] * y[i];
    }
    return sqrt(distance / length);
}

static void compare_backend(size_t at) {
    const ba_backend_ops *ops = ba_backend_at(at);
    ba_backend *ref = rig_backend("ref", 1, NULL), *be = rig_backend_at(at, 2, NULL);
    /* An operand rounded to bf16 is off by up to 2^-9; fp32 sums of some hundred terms keep six digits. */
    double most = strcmp(ops->dtype, "bf16") == 0 ? 8e-3 : strcmp(ops->dtype, "f32") == 0 ? 2e-6 : 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(ref);
    for (size_t o = 0; be && o < OPERATIONS; o++) {
        const operation *op = &operations[o];
        numbers right = numbers_of(op), fast = numbers_of(op);
        op->run(ref, right.in, right.c, right.out, right.grad);
        op->run(be, fast.in, fast.c, fast.out, fast.grad);
        double out = relative(fast.out, right.out, op->n_out), grad = relative(fast.grad, right.grad, op->n_in);
        if (!(out <= most && grad <= most)) {
            printf("         %s: %s: distance %g, of the gradient %g\n", ops->name, op->name, out, grad);
            CU_FAIL("distance from the oracle");
        }
        numbers_free(&right);
        numbers_free(&fast);
    }
    ba_backend_close(be);
    ba_backend_close(ref);
}

static void test_backends(void) {
    for (size_t i = 0; ba_backend_at(i); i++) {
        if (ba_backend_at(i)->train) {
            compare_backend(i);
        }
    }
}

/* ---- operands ---- */

enum { MANY = 150, RESULTS = 4 * (MANY + IN) * OUT }; /* rows: two whole blocks and an incomplete one */

static ba_view operand(ba_backend *be, bool as_operand) {
    ba_view view = matrix(be, MANY, IN, NULL);
    if (as_operand) {
        done(be, view, 0, 0, NULL);
        view.buf = be->ops->train->operand_new(be, MANY, IN);
        CU_ASSERT_PTR_NOT_NULL_FATAL(view.buf);
    }
    return view;
}

/* Products of norms, of gated units, and of the gradients of gated units. */
static void multiply_all(ba_backend *be, bool as_operand, ba_act act, const double *in, double *out) {
    const ba_train_ops *t = be->ops->train;
    ba_view x = matrix(be, MANY, 2 * IN, in), dout = matrix(be, MANY, IN, in + MANY), y = matrix(be, MANY, OUT, in);
    ba_view of[] = {operand(be, as_operand), operand(be, as_operand), operand(be, as_operand), operand(be, as_operand)};
    ba_param *gain = param(be, 1, IN, in), *forth = param(be, OUT, IN, in), *back = param(be, IN, OUT, in);
    t->rmsnorm(be, x, MANY, 1, IN, gain, 1e-5, of[0]);
    (as_operand ? t->glu : be->ops->glu)(be, act, x, MANY, IN, of[1]);
    t->glu_back(be, act, x, dout, MANY, IN, of[2], of[3]);
    for (size_t i = 0; i < 4; i++, out += OUT * IN) {
        ba_param *p = i < 2 ? forth : back;
        ba_view made = matrix(be, MANY, OUT, NULL);
        t->grad_zero(be, &p, 1);
        if (i < 2) {
            t->linear(be, p, of[i], MANY, 1, false, made);
            t->linear_grad(be, p, y, of[i], MANY, 1);
        } else {
            t->linear_back(be, p, of[i], MANY, 1, false, made);
            t->linear_grad(be, p, of[i], y, MANY, 1);
        }
        done(be, made, MANY, OUT, out);
        out += MANY * OUT;
        t->param_read(be, p, BA_PARAM_GRAD, out);
        done(be, of[i], 0, 0, NULL);
    }
    t->param_free(be, gain);
    t->param_free(be, forth);
    t->param_free(be, back);
    done(be, x, 0, 0, NULL);
    done(be, dout, 0, 0, NULL);
    done(be, y, 0, 0, NULL);
}

/* Packing results directly gives the same bits as packing them from a buffer in fp32. */
static void test_operands(void) {
    static const char *const isa[] = {NULL, "avx512"};
    size_t tried = 0;
    for (size_t i = 0; i < 2 * 2; i++) {
        ba_backend *be = rig_backend("cpu/bf16", 2, isa[i / 2]);
        if (!be) {
            continue;
        }
        double *in = malloc(3 * MANY * IN * sizeof *in), *want = calloc(RESULTS, sizeof *want),
               *got = calloc(RESULTS, sizeof *got);
        CU_ASSERT_FATAL(in && want && got);
        uint64_t seed = 5;
        for (size_t k = 0; k < 3 * MANY * IN; k++) {
            in[k] = rig_normal(&seed);
        }
        ba_act act = i % 2 ? BA_ACT_GELU_TANH : BA_ACT_SILU;
        multiply_all(be, false, act, in, want);
        multiply_all(be, true, act, in, got);
        ba_distance d = ba_compare(want, got, RESULTS);
        CU_ASSERT(d.finite && d.max_abs == 0 && want[0] != 0);
        free(in);
        free(want);
        free(got);
        ba_backend_close(be);
        tried++;
    }
    if (!tried) {
        ba_test_skip("AVX-512 with bf16: not of this processor");
    }
}

/* The first gradient of a step overwrites (bypassing the caches where it can): it equals one that is added to zeros. */
static void test_first_gradient(void) {
    enum { WIDE = 70 };
    static const double zeros[WIDE * IN];
    double in[MANY * WIDE], first[WIDE * IN], added[WIDE * IN];
    uint64_t seed = 6;
    for (size_t k = 0; k < MANY * WIDE; k++) {
        in[k] = rig_normal(&seed);
    }
    for (size_t i = 0; ba_backend_at(i); i++) {
        ba_backend *be = ba_backend_at(i)->train ? rig_backend_at(i, 2, NULL) : NULL;
        if (!be) {
            continue;
        }
        const ba_train_ops *t = be->ops->train;
        ba_view x = matrix(be, MANY, IN, in), dy = matrix(be, MANY, WIDE, in);
        ba_param *p = param(be, WIDE, IN, in);
        t->linear_grad(be, p, dy, x, MANY, 1);
        t->param_read(be, p, BA_PARAM_GRAD, first);
        t->param_write(be, p, BA_PARAM_GRAD, zeros);
        t->linear_grad(be, p, dy, x, MANY, 1);
        param_done(be, p, added);
        ba_distance d = ba_compare(first, added, WIDE * IN);
        CU_ASSERT(d.finite && d.max_abs == 0 && first[0] != 0);
        done(be, x, 0, 0, NULL);
        done(be, dy, 0, 0, NULL);
        ba_backend_close(be);
    }
}

/* Two steps by hand: torch.optim.AdamW(lr=0.1, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.5) on gradients g, then -g.
 */
static void test_adamw(void) {
    static const double value[] = {1, -2, 0.5}, grad[] = {0.4, -0.2, 0}, back[] = {-0.4, 0.2, 0};
    for (size_t i = 0; ba_backend_at(i); i++) {
        ba_backend *be = ba_backend_at(i)->train ? rig_backend_at(i, 2, NULL) : NULL;
        if (!be) {
            continue;
        }
        const ba_train_ops *t = be->ops->train;
        ba_param *p = param(be, 1, 3, value);
        double now[3], expected[3];
        ba_adamw cfg = {0.1, 0.9, 0.99, 1e-3, 0.5, 0.5, 1};
        for (size_t k = 0; k < 3; k++) {
            double g = grad[k] * 0.5, m = 0.1 * g, v = 0.01 * g * g, x = value[k] * 0.95;
            x -= 0.1 * (m / 0.1) / (sqrt(v / 0.01) + 1e-3);
            m = 0.9 * m + 0.1 * -g;
            v = 0.99 * v + 0.01 * g * g;
            x *= 0.95;
            expected[k] = x - 0.1 * (m / 0.19) / (sqrt(v / (1 - 0.99 * 0.99)) + 1e-3);
        }
        t->param_write(be, p, BA_PARAM_GRAD, grad);
        CU_ASSERT_DOUBLE_EQUAL(t->grad_norm(be, &p, 1), sqrt(0.2), 1e-6);
        t->adamw(be, &p, 1, &cfg);
        t->grad_zero(be, &p, 1);
        t->param_read(be, p, BA_PARAM_GRAD, now);
        CU_ASSERT(now[0] == 0 && now[1] == 0 && now[2] == 0);
        t->param_write(be, p, BA_PARAM_GRAD, back);
        cfg.step = 2;
        t->adamw(be, &p, 1, &cfg);
        t->param_read(be, p, BA_PARAM_VALUE, now);
        for (size_t k = 0; k < 3; k++) {
            CU_ASSERT_DOUBLE_EQUAL(now[k], expected[k], 1e-6);
        }
        t->param_write(be, p, BA_PARAM_GRAD, (double[]){0, NAN, 0});
        CU_ASSERT_FALSE(isfinite(t->grad_norm(be, &p, 1)));
        t->param_free(be, p);
        ba_backend_close(be);
    }
}

int ba_suite_train_kernels(void) {
    CU_pSuite suite = CU_add_suite("train_kernels", NULL, NULL);
    return !suite ||
           !CU_add_test(suite, "the oracle's gradients are those of finite differences", test_finite_differences) ||
           !CU_add_test(suite, "every backend that trains agrees with the oracle", test_backends) ||
           !CU_add_test(suite, "operands hold the same bits as buffers", test_operands) ||
           !CU_add_test(suite, "the first gradient of a step equals one added to zeros", test_first_gradient) ||
           !CU_add_test(suite, "AdamW, norm of gradients", test_adamw);
}
