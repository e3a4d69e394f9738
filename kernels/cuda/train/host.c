/* Training: parameters, products, rows, loss and optimiser. Parameters, gradients and moments are fp32; products take
 * bf16 copies, of parameters renewed with every step, of buffers rounded when a product first wants them. Attention:
 * host_attention.c. */
#include "kernels/cuda/host.h"

#include "kernels/backends.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ba_param {
    size_t rows, cols, stride;             /* stride: of half */
    float *value, *grad, *mean, *variance; /* [rows, cols]; the last three NULL if not trained */
    uint16_t *half;                        /* value in bf16, [rows, stride] */
};

static size_t stride_of(size_t cols) {
    return cols / 8 * 8 + (cols % 8 ? 8 : 0);
}

/* At least n elements, good until the next call; NULL: out of memory, and the backend says so. */
static void *scratch(ba_gpu *be, size_t n, size_t size) {
    be->scratch = ba_cuda_grow(be, be->scratch, &be->scratch_size, n * size);
    be->base.no_memory = be->base.no_memory || !be->scratch;
    return be->scratch;
}

/* ---- parameters ---- */

static float **part_of(ba_param *p, ba_param_part part) {
    float **parts[] = {&p->value, &p->grad, &p->mean, &p->variance};
    return parts[part];
}

static void param_free(ba_backend *be, ba_param *p) {
    for (int part = BA_PARAM_VALUE; p && part <= BA_PARAM_VARIANCE; part++) {
        ba_cuda_free((ba_gpu *)be, *part_of(p, (ba_param_part)part));
    }
    if (p) {
        ba_cuda_free((ba_gpu *)be, p->half);
        free(p);
    }
}

static void renew(ba_gpu *be, ba_param *p) {
    ba_dev_round(be->stream, (ba_dev_matrix){p->value, p->cols}, p->rows, p->cols, p->half, p->stride);
    ba_cuda_launched(be);
}

static bool allocate(ba_gpu *be, ba_param *p, bool trained) {
    size_t bytes = p->rows * p->cols * sizeof(float);
    p->half = ba_cuda_alloc(be, p->rows, p->stride, 1, sizeof *p->half);
    for (int part = BA_PARAM_VALUE; p->half && part <= (trained ? BA_PARAM_VARIANCE : BA_PARAM_VALUE); part++) {
        float *at = *part_of(p, (ba_param_part)part) = ba_cuda_alloc(be, p->rows, p->cols, 1, sizeof *at);
        if (!at) {
            return false;
        }
        ba_cuda_ok(be, cudaMemsetAsync(at, 0, bytes, be->stream));
    }
    return p->half;
}

static ba_param *param_new(ba_backend *be, const ba_weight_src *src, bool trained, char err[BA_ERR_LEN]) {
    ba_gpu *gpu = (ba_gpu *)be;
    size_t rows, cols, n;
    if (ba_weight_shape(src, 1, &rows, &cols, err)) {
        return NULL;
    }
    ba_param *p = calloc(1, sizeof *p);
    float *wide = __builtin_mul_overflow(rows, cols, &n) ? NULL : calloc(n, sizeof *wide);
    if (p) {
        *p = (ba_param){.rows = rows, .cols = cols, .stride = stride_of(cols)};
    }
    if (!p || !wide || !allocate(gpu, p, trained)) {
        param_free(be, p);
        free(wide);
        ba_fail(err, "parameter of %zu x %zu: out of memory", rows, cols);
        return NULL;
    }
    ba_cuda_decode(gpu, src, 1, cols, wide, NULL);
    ba_cuda_ok(gpu, cudaMemcpyAsync(p->value, wide, n * sizeof *wide, cudaMemcpyHostToDevice, gpu->stream));
    ba_cuda_ok(gpu, cudaStreamSynchronize(gpu->stream));
    free(wide);
    renew(gpu, p);
    return p;
}

enum { PIECE = 1 << 20 }; /* elements on their way at once */

static void param_read(ba_backend *be, const ba_param *p, ba_param_part part, double *dst) {
    const float *parts[] = {p->value, p->grad, p->mean, p->variance};
    size_t n = p->rows * p->cols;
    for (size_t at = 0; at < n; at += PIECE) {
        size_t some = n - at < PIECE ? n - at : PIECE;
        const float *landed = ba_cuda_land((ba_gpu *)be, parts[part] + at, some * sizeof *landed);
        for (size_t i = 0; i < some; i++) {
            dst[at + i] = landed ? landed[i] : NAN;
        }
    }
}

static void param_write(ba_backend *be, ba_param *p, ba_param_part part, const double *src) {
    ba_gpu *gpu = (ba_gpu *)be;
    float *to = *part_of(p, part);
    size_t n = p->rows * p->cols;
    for (size_t at = 0; at < n; at += PIECE) {
        size_t some = n - at < PIECE ? n - at : PIECE;
        void *twin;
        float *room = ba_cuda_stage_room(gpu, some * sizeof *room, &twin);
        for (size_t i = 0; room && i < some; i++) {
            room[i] = (float)src[at + i];
        }
        if (room) {
            ba_cuda_ok(gpu, cudaMemcpyAsync(to + at, room, some * sizeof *to, cudaMemcpyHostToDevice, gpu->stream));
        }
    }
    if (part == BA_PARAM_VALUE) {
        renew(gpu, p);
    }
}

/* ---- products ---- */

static bool overlap(ba_dev_matrix a, size_t a_rows, ba_dev_matrix b, size_t b_rows) {
    return a.at < b.at + b_rows * b.stride && b.at < a.at + a_rows * a.stride;
}

/* A view in bf16: as it was rounded for an earlier product, or now; `other` is to be kept. NULL: out of memory. */
static const uint16_t *rounded(ba_gpu *be, ba_view view, size_t rows, size_t cols, const uint16_t *other) {
    ba_dev_matrix of = ba_cuda_matrix(view);
    for (size_t i = 0; i < BA_CUDA_ROUNDED; i++) {
        const ba_cuda_rounded *r = &be->operand[i];
        if (r->of.at == of.at && r->of.stride == of.stride && r->rows == rows && r->cols == cols) {
            return r->at;
        }
    }
    ba_cuda_rounded *r = &be->operand[be->next_operand++ % BA_CUDA_ROUNDED];
    if (other && r->at == other) {
        r = &be->operand[be->next_operand++ % BA_CUDA_ROUNDED];
    }
    size_t stride = stride_of(cols);
    r->of.at = NULL;
    r->at = ba_cuda_grow(be, r->at, &r->size, rows * stride * sizeof *r->at);
    if (!r->at) {
        be->base.no_memory = true;
        return NULL;
    }
    ba_dev_round(be->stream, of, rows, cols, r->at, stride);
    r->of = of;
    r->rows = rows;
    r->cols = cols;
    return r->at;
}

/* c (+)= scale a b, c [m, n]; NaN if there was no memory for an operand or parts of the sum. */
static void multiply(ba_gpu *be, size_t m, size_t n, size_t k, ba_dev_operand a, ba_dev_operand b, double scale,
                     bool add, ba_dev_matrix c) {
    size_t room = ba_dev_product_floats(m, n, k) * sizeof(float);
    be->partial = ba_cuda_grow(be, be->partial, &be->partial_size, room);
    if (a.at && b.at && be->partial) {
        ba_dev_product(be->stream, m, n, k, a, b, (float)scale, add, c, be->partial);
    } else {
        ba_dev_fill(be->stream, (ba_dev_out){c.at, NULL, c.stride}, m, n, NAN);
        be->base.no_memory = true;
    }
    ba_cuda_ok(be, cudaGetLastError());
    for (size_t i = 0; i < BA_CUDA_ROUNDED; i++) {
        ba_cuda_rounded *r = &be->operand[i];
        if (r->of.at && overlap(r->of, r->rows, c, m)) {
            r->of.at = NULL;
        }
    }
}

static void linear(ba_backend *be, const ba_param *p, ba_view x, size_t rows, double scale, bool add, ba_view out) {
    ba_gpu *gpu = (ba_gpu *)be;
    ba_dev_operand a = {rounded(gpu, x, rows, p->cols, NULL), p->stride, false}, b = {p->half, p->stride, true};
    multiply(gpu, rows, p->rows, p->cols, a, b, scale, add, ba_cuda_matrix(out));
}

static void linear_back(ba_backend *be, const ba_param *p, ba_view dout, size_t rows, double scale, bool add,
                        ba_view dx) {
    ba_gpu *gpu = (ba_gpu *)be;
    ba_dev_operand a = {rounded(gpu, dout, rows, p->rows, NULL), stride_of(p->rows), false};
    ba_dev_operand b = {p->half, p->stride, false};
    multiply(gpu, rows, p->cols, p->rows, a, b, scale, add, ba_cuda_matrix(dx));
}

static void linear_grad(ba_backend *be, ba_param *p, ba_view dout, ba_view x, size_t rows, double scale) {
    ba_gpu *gpu = (ba_gpu *)be;
    if (p->grad) {
        ba_dev_operand a = {rounded(gpu, dout, rows, p->rows, NULL), stride_of(p->rows), true};
        ba_dev_operand b = {rounded(gpu, x, rows, p->cols, a.at), p->stride, false};
        multiply(gpu, p->rows, p->cols, rows, a, b, scale, true, (ba_dev_matrix){p->grad, p->cols});
    }
}

/* ---- rows ---- */

static void copy(ba_backend *be, ba_view src, size_t rows, size_t cols, ba_view dst) {
    ba_gpu *gpu = (ba_gpu *)be;
    ba_dev_copy(gpu->stream, ba_cuda_matrix(src), rows, cols, ba_cuda_matrix(dst));
    ba_cuda_launched(gpu);
}

static void zero(ba_backend *be, ba_view x, size_t rows, size_t cols) {
    ba_gpu *gpu = (ba_gpu *)be;
    ba_dev_fill(gpu->stream, ba_cuda_out(x), rows, cols, 0);
    ba_cuda_launched(gpu);
}

static void scatter(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst) {
    ba_gpu *gpu = (ba_gpu *)be;
    const size_t *on = ba_cuda_stage(gpu, row, n * sizeof *row);
    if (on) {
        ba_dev_scatter(gpu->stream, ba_cuda_matrix(src), on, n, cols, ba_cuda_matrix(dst));
        ba_cuda_launched(gpu);
    }
}

static void embed(ba_backend *be, const ba_param *p, const int32_t *ids, size_t n, double scale, ba_view out) {
    ba_gpu *gpu = (ba_gpu *)be;
    const int32_t *on = ba_cuda_stage(gpu, ids, n * sizeof *ids);
    if (on) {
        ba_dev_embed_wide(gpu->stream, p->value, on, n, p->cols, (float)scale, ba_cuda_matrix(out));
        ba_cuda_launched(gpu);
    }
}

static void embed_back(ba_backend *be, ba_param *p, const int32_t *ids, size_t n, double scale, ba_view dout) {
    ba_gpu *gpu = (ba_gpu *)be;
    const int32_t *on = p->grad ? ba_cuda_stage(gpu, ids, n * sizeof *ids) : NULL;
    if (on) {
        ba_dev_embed_back(gpu->stream, p->grad, on, n, p->cols, (float)scale, ba_cuda_matrix(dout));
        ba_cuda_launched(gpu);
    }
}

static void bias(ba_backend *be, const ba_param *p, size_t rows, ba_view out) {
    ba_gpu *gpu = (ba_gpu *)be;
    ba_dev_add_row(gpu->stream, p->value, rows, p->cols, ba_cuda_matrix(out));
    ba_cuda_launched(gpu);
}

static void bias_grad(ba_backend *be, ba_param *p, ba_view dout, size_t rows) {
    ba_gpu *gpu = (ba_gpu *)be;
    if (p->grad) {
        ba_dev_sum_rows(gpu->stream, ba_cuda_matrix(dout), NULL, NULL, rows, 1, p->cols, p->grad);
        ba_cuda_launched(gpu);
    }
}

static void rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_param *gain,
                    double eps, ba_view out) {
    ba_gpu *gpu = (ba_gpu *)be;
    ba_dev_rmsnorm(gpu->stream, ba_cuda_matrix(x), rows, groups, cols, gain->value, (float)eps, ba_cuda_out(out));
    ba_cuda_launched(gpu);
}

/* The gain's gradient first: dx may lie where dout does. */
static void rmsnorm_back(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, ba_param *gain, double eps,
                         ba_view dout, bool add, ba_view dx) {
    ba_gpu *gpu = (ba_gpu *)be;
    ba_dev_matrix from = ba_cuda_matrix(x), d = ba_cuda_matrix(dout), nothing = {NULL, 0};
    float *factor = scratch(gpu, rows * groups, sizeof *factor);
    if (!factor) {
        ba_dev_fill(gpu->stream, ba_cuda_out(dx), rows, groups * cols, NAN);
        return;
    }
    if (gain->grad) {
        ba_dev_rmsnorm_back(gpu->stream, from, rows, groups, cols, gain->value, (float)eps, d, add, nothing, factor);
        ba_dev_sum_rows(gpu->stream, from, &d, factor, rows, groups, cols, gain->grad);
    }
    ba_dev_rmsnorm_back(gpu->stream, from, rows, groups, cols, gain->value, (float)eps, d, add, ba_cuda_matrix(dx),
                        factor);
    ba_cuda_launched(gpu);
}

static void rotate(ba_backend *be, ba_view x, size_t rows, size_t heads, size_t head_dim, const ba_rot *rot,
                   size_t rot_row, bool back, ba_view out) {
    ba_gpu *gpu = (ba_gpu *)be;
    ba_dev_rotate(gpu->stream, ba_cuda_matrix(x), rows, heads, head_dim, rot->at + rot_row * 2 * rot->half, back,
                  ba_cuda_matrix(out));
    ba_cuda_launched(gpu);
}

static void glu_back(ba_backend *be, ba_act act, ba_view x, ba_view dout, size_t rows, size_t cols, ba_view dgate,
                     ba_view dup) {
    ba_gpu *gpu = (ba_gpu *)be;
    ba_dev_glu_back(gpu->stream, act == BA_ACT_GELU_TANH, ba_cuda_matrix(x), ba_cuda_matrix(dout), rows, cols,
                    ba_cuda_matrix(dgate), ba_cuda_matrix(dup));
    ba_cuda_launched(gpu);
}

static void cross_entropy(ba_backend *be, ba_view logits, size_t n, size_t vocab, const int32_t *target, double weight,
                          ba_view teacher, double kl_weight, double sum[2]) {
    ba_gpu *gpu = (ba_gpu *)be;
    double *loss = scratch(gpu, 2 * n, sizeof *loss);
    const int32_t *on = loss ? ba_cuda_stage(gpu, target, n * sizeof *target) : NULL;
    const double *landed = NULL;
    if (on) {
        ba_dev_matrix from = teacher.buf ? ba_cuda_matrix(teacher) : (ba_dev_matrix){NULL, 0};
        ba_dev_cross_entropy(gpu->stream, ba_cuda_matrix(logits), n, vocab, on, (float)weight, from, (float)kl_weight,
                             loss);
        ba_cuda_launched(gpu);
        landed = ba_cuda_land(gpu, loss, 2 * n * sizeof *loss);
    }
    for (size_t r = 0; landed && r < n; r++) {
        sum[0] += landed[2 * r];
        sum[1] += landed[2 * r + 1];
    }
    sum[0] = landed ? sum[0] : NAN;
}

/* ---- optimiser ---- */

static double grad_norm(ba_backend *be, ba_param *const *p, size_t n) {
    ba_gpu *gpu = (ba_gpu *)be;
    double sum = 0, *part = scratch(gpu, n * BA_DEV_PARTS, sizeof *part);
    const double *landed = NULL;
    if (part) {
        for (size_t k = 0; k < n; k++) {
            ba_dev_square_sum(gpu->stream, p[k]->grad, p[k]->rows * p[k]->cols, part + k * BA_DEV_PARTS);
        }
        ba_cuda_launched(gpu);
        landed = ba_cuda_land(gpu, part, n * BA_DEV_PARTS * sizeof *part);
    }
    for (size_t i = 0; landed && i < n * BA_DEV_PARTS; i++) {
        sum += landed[i];
    }
    return landed ? sqrt(sum) : NAN;
}

static void grad_zero(ba_backend *be, ba_param *const *p, size_t n) {
    ba_gpu *gpu = (ba_gpu *)be;
    for (size_t k = 0; k < n; k++) {
        ba_cuda_ok(gpu, cudaMemsetAsync(p[k]->grad, 0, p[k]->rows * p[k]->cols * sizeof(float), gpu->stream));
    }
}

static void adamw(ba_backend *be, ba_param *const *p, size_t n, const ba_adamw *cfg) {
    ba_gpu *gpu = (ba_gpu *)be;
    ba_dev_adamw on = {.lr = (float)cfg->lr,
                       .beta1 = (float)cfg->beta1,
                       .beta2 = (float)cfg->beta2,
                       .eps = (float)cfg->eps,
                       .weight_decay = (float)cfg->weight_decay,
                       .grad_scale = (float)cfg->grad_scale,
                       .rest1 = (float)(1 - cfg->beta1),
                       .rest2 = (float)(1 - cfg->beta2),
                       .bias1 = (float)(1 - pow(cfg->beta1, (double)cfg->step)),
                       .bias2 = (float)(1 - pow(cfg->beta2, (double)cfg->step))};
    for (size_t k = 0; k < n; k++) {
        ba_dev_adamw_step(gpu->stream, &on, p[k]->rows * p[k]->cols, p[k]->grad, p[k]->mean, p[k]->variance,
                          p[k]->value);
        renew(gpu, p[k]);
    }
}

const ba_train_ops ba_cuda_train = {
    .param_new = param_new,
    .param_free = param_free,
    .param_read = param_read,
    .param_write = param_write,
    .mask_new = ba_cuda_mask_new,
    .mask_free = ba_cuda_mask_free,
    .copy = copy,
    .zero = zero,
    .scatter = scatter,
    .embed = embed,
    .embed_back = embed_back,
    .linear = linear,
    .linear_back = linear_back,
    .linear_grad = linear_grad,
    .bias = bias,
    .bias_grad = bias_grad,
    .rmsnorm = rmsnorm,
    .rmsnorm_back = rmsnorm_back,
    .rotate = rotate,
    .attention = ba_cuda_train_attention,
    .attention_back = ba_cuda_train_attention_back,
    .glu_back = glu_back,
    .cross_entropy = cross_entropy,
    .grad_norm = grad_norm,
    .grad_zero = grad_zero,
    .adamw = adamw,
};
