/* Buffers, weights, rotations, keys and values, and the operations on rows. */
#include "host.h"

#include "kernels/backends.h"
#include "kernels/base/random_weight.h"
#include "kernels/base/sizes.h"
#include "kernels/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- buffers ---- */

static ba_buf *buffer_new(ba_gpu *be, size_t rows, size_t cols, size_t size) {
    size_t stride, each = 16 / size;
    ba_buf *buf = malloc(sizeof *buf);
    if (!buf || __builtin_add_overflow(cols, each - 1, &stride)) {
        free(buf);
        return NULL;
    }
    stride = stride / each * each;
    void *at = ba_cuda_alloc(be, rows, stride, 1, size);
    if (!at) {
        free(buf);
        return NULL;
    }
    bool half = size == sizeof *buf->half;
    *buf = (ba_buf){rows, cols, stride, half ? NULL : at, half ? at : NULL};
    ba_cuda_ok(be, cudaMemsetAsync(at, 0, rows * stride * size, be->stream));
    ba_cuda_forget(be); /* it may have the address of a freed one */
    return buf;
}

ba_buf *ba_cuda_buf_new(ba_backend *be, size_t rows, size_t cols) {
    return buffer_new((ba_gpu *)be, rows, cols, sizeof(float));
}

ba_buf *ba_cuda_operand_new(ba_backend *be, size_t rows, size_t cols) {
    return buffer_new((ba_gpu *)be, rows, cols, sizeof(uint16_t));
}

void ba_cuda_buf_free(ba_backend *be, ba_buf *buf) {
    if (buf) {
        ba_cuda_free((ba_gpu *)be, buf->at);
        ba_cuda_free((ba_gpu *)be, buf->half);
        free(buf);
    }
}

/* ---- weights ---- */

typedef struct decoding {
    const ba_weight_src *src;
    size_t in, stride;
    float *wide;    /* or NULL */
    uint16_t *half; /* or NULL */
} decoding;

static void decode_row(void *arg, size_t r, size_t worker) {
    enum { PIECE = 256 }; /* a multiple of every block */
    (void)worker;
    const decoding *d = arg;
    const ba_dtype_info *type = ba_dtype_get(d->src->type);
    size_t from = d->src->row_order ? d->src->row_order[r] : r;
    const uint8_t *data = (const uint8_t *)d->src->data + from * (d->in / type->block * type->bytes);
    float piece[PIECE];
    for (size_t i = 0; i < d->in; i += PIECE) {
        size_t n = ba_min_size(PIECE, d->in - i);
        type->decode(data + i / type->block * type->bytes, piece, n);
        for (size_t k = 0; d->half && k < n; k++) {
            d->half[r * d->stride + i + k] = ba_f32_to_bf16(piece[k]);
        }
        if (d->wide) {
            memcpy(d->wide + r * d->stride + i, piece, n * sizeof *piece);
        }
    }
}

void ba_cuda_decode(ba_gpu *be, const ba_weight_src *src, size_t n_src, size_t stride, float *wide, uint16_t *half) {
    for (size_t s = 0, row = 0; s < n_src; row += src[s++].rows) {
        decoding d = {&src[s], src[s].cols, stride, wide ? wide + row * stride : NULL,
                      half ? half + row * stride : NULL};
        ba_pool_run(be->pool, src[s].rows, decode_row, &d);
    }
}

static void order_biases(const ba_weight_src *src, size_t n_src, float *to) {
    for (size_t s = 0; s < n_src; to += src[s++].rows) {
        for (size_t r = 0; src[s].bias && r < src[s].rows; r++) {
            to[r] = src[s].bias[src[s].row_order ? src[s].row_order[r] : r];
        }
    }
}

/* One source's rows, made on the card or decoded here and copied. false: out of memory. */
static bool load_rows(ba_gpu *be, const ba_weight_src *src, size_t stride, uint16_t *to) {
    if (!src->data) {
        ba_dev_make_weight(be->stream, to, src->rows, src->cols, stride, src->seed, ba_random_weight_scale(src->cols));
        ba_cuda_launched(be);
        return true;
    }
    uint16_t *rows = calloc(src->rows, stride * sizeof *rows);
    if (rows) {
        ba_cuda_decode(be, src, 1, stride, NULL, rows);
        ba_cuda_ok(be,
                   cudaMemcpyAsync(to, rows, src->rows * stride * sizeof *rows, cudaMemcpyHostToDevice, be->stream));
        ba_cuda_ok(be, cudaStreamSynchronize(be->stream));
        free(rows);
    }
    return rows;
}

static bool load_bias(ba_gpu *be, const ba_weight_src *src, size_t n_src, size_t out, float *to) {
    float *bias = calloc(out, sizeof *bias);
    if (bias) {
        order_biases(src, n_src, bias);
        ba_cuda_ok(be, cudaMemcpyAsync(to, bias, out * sizeof *bias, cudaMemcpyHostToDevice, be->stream));
        ba_cuda_ok(be, cudaStreamSynchronize(be->stream));
        free(bias);
    }
    return bias;
}

ba_weight *ba_cuda_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
    ba_gpu *cuda = (ba_gpu *)be;
    size_t in, out;
    bool has_bias = false;
    if (ba_weight_shape(src, n_src, &out, &in, err)) {
        return NULL;
    }
    for (size_t s = 0; s < n_src; s++) {
        has_bias = has_bias || src[s].bias;
    }
    size_t stride = in / 8 * 8 + (in % 8 ? 8 : 0);
    ba_weight *w = malloc(sizeof *w);
    if (w) {
        *w = (ba_weight){in, out, stride, ba_cuda_alloc(cuda, out, stride, 1, sizeof *w->at), NULL};
        w->bias = has_bias ? ba_cuda_alloc(cuda, out, 1, 1, sizeof *w->bias) : NULL;
    }
    bool there = w && w->at && (!has_bias || w->bias);
    for (size_t s = 0, row = 0; there && s < n_src; row += src[s++].rows) {
        there = load_rows(cuda, &src[s], stride, w->at + row * stride);
    }
    if (!there || (has_bias && !load_bias(cuda, src, n_src, out, w->bias))) {
        ba_cuda_weight_free(be, w);
        ba_fail(err, "weight of %zu x %zu: out of memory", out, in);
        return NULL;
    }
    return w;
}

void ba_cuda_weight_free(ba_backend *be, ba_weight *w) {
    if (w) {
        ba_cuda_free((ba_gpu *)be, w->at);
        ba_cuda_free((ba_gpu *)be, w->bias);
        free(w);
    }
}

size_t ba_cuda_weight_bytes(const ba_weight *w) {
    return w->out * w->stride * sizeof *w->at + (w->bias ? w->out * sizeof *w->bias : 0);
}

void ba_cuda_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out) {
    ba_gpu *cuda = (ba_gpu *)be;
    const int32_t *on = ba_cuda_stage(cuda, ids, n * sizeof *ids);
    if (on) {
        ba_dev_embed(cuda->stream, w->at, w->stride, on, n, w->in, (float)scale, ba_cuda_matrix(out));
        ba_cuda_launched(cuda);
    }
    ba_count_embed(be, n, w->in);
}

/* ---- products ---- */

/* Points the product at x, which is rounded first where it is not an operand. false: out of memory. */
static bool take_rows(ba_gpu *be, ba_dev_linear *op, ba_view x) {
    if (x.buf->half) {
        op->x = ba_cuda_out(x).half;
        op->x_stride = x.buf->stride;
        return true;
    }
    size_t room = op->rows * op->w_stride * sizeof *op->x;
    be->rounded = ba_cuda_grow(be, be->rounded, &be->rounded_size, room);
    if (be->rounded) {
        ba_dev_round(be->stream, ba_cuda_matrix(x), op->rows, op->in, be->rounded, op->w_stride);
    }
    op->x = be->rounded;
    op->x_stride = op->w_stride;
    return op->x;
}

static ba_dev_linear product_of(const ba_weight *w, size_t rows, size_t out) {
    return (ba_dev_linear){.w = w->at, .w_stride = w->stride, .bias = w->bias, .in = w->in, .out = out, .rows = rows};
}

void ba_cuda_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add, bool stable) {
    ba_gpu *cuda = (ba_gpu *)be;
    ba_dev_linear op = product_of(w, rows, w->out);
    op.y = ba_cuda_out(out);
    op.add = add;
    if (!take_rows(cuda, &op, x)) {
        ba_dev_fill(cuda->stream, op.y, rows, w->out, NAN);
        be->no_memory = true;
    } else if (rows == 1 && !stable && !cuda->hopper) {
        ba_dev_linear_row(cuda->stream, &op);
    } else {
        ba_dev_linear_stable(cuda->stream, &op, cuda->hopper);
    }
    ba_cuda_launched(cuda);
    ba_count_linear(be, rows, w->in, w->out, add);
}

void ba_cuda_gated(ba_backend *be, ba_act act, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool stable) {
    ba_gpu *cuda = (ba_gpu *)be;
    ba_dev_glu glu = act == BA_ACT_GELU_TANH ? BA_DEV_GELU : BA_DEV_SILU;
    ba_dev_linear op = product_of(w, rows, w->out / 2);
    op.y = ba_cuda_out(out);
    op.glu = glu;
    bool ready = take_rows(cuda, &op, x);
    if (ready && !ba_dev_linear_stable(cuda->stream, &op, cuda->hopper)) {
        size_t stride = (w->out + 3) / 4 * 4;
        cuda->gates = ba_cuda_grow(cuda, cuda->gates, &cuda->gates_size, rows * stride * sizeof(float));
        ready = cuda->gates;
        op.out = w->out;
        op.y = (ba_dev_out){cuda->gates, NULL, stride};
        op.glu = BA_DEV_NO_GLU;
        if (ready && rows == 1 && !stable && !cuda->hopper) {
            ba_dev_linear_row(cuda->stream, &op);
        } else if (ready) {
            ba_dev_linear_stable(cuda->stream, &op, cuda->hopper);
        }
        if (ready) {
            ba_dev_matrix both = {cuda->gates, stride};
            ba_dev_gate(cuda->stream, glu, both, rows, w->out / 2, ba_cuda_out(out));
        }
    }
    if (!ready) {
        ba_dev_fill(cuda->stream, ba_cuda_out(out), rows, w->out / 2, NAN);
        be->no_memory = true;
    }
    ba_cuda_launched(cuda);
    ba_count_linear(be, rows, w->in, w->out, false);
}

/* ---- rows ---- */

void ba_cuda_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_buf *gain, double eps,
                     ba_view out) {
    ba_gpu *cuda = (ba_gpu *)be;
    ba_dev_rmsnorm(cuda->stream, ba_cuda_matrix(x), rows, groups, cols, gain->at, (float)eps, ba_cuda_out(out));
    ba_cuda_launched(cuda);
}

void ba_cuda_add(ba_backend *be, ba_view x, ba_view y, size_t rows, size_t cols) {
    ba_gpu *cuda = (ba_gpu *)be;
    ba_dev_add(cuda->stream, ba_cuda_matrix(x), ba_cuda_matrix(y), rows, cols);
    ba_cuda_launched(cuda);
}

void ba_cuda_glu(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out) {
    ba_gpu *cuda = (ba_gpu *)be;
    ba_dev_gate(cuda->stream, act == BA_ACT_GELU_TANH ? BA_DEV_GELU : BA_DEV_SILU, ba_cuda_matrix(x), rows, cols,
                ba_cuda_out(out));
    ba_cuda_launched(cuda);
}

/* Within one buffer the rows go by way of another: they are read before any is written. */
void ba_cuda_gather(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst) {
    ba_gpu *cuda = (ba_gpu *)be;
    const size_t *on = ba_cuda_stage(cuda, row, n * sizeof *row);
    ba_dev_matrix from = ba_cuda_matrix(src), to = ba_cuda_matrix(dst), by = to;
    if (src.buf == dst.buf) {
        by = (ba_dev_matrix){ba_cuda_alloc(cuda, n, cols, 1, sizeof(float)), cols};
    }
    if (on && by.at) {
        ba_dev_gather(cuda->stream, from, on, n, cols, by);
        ba_cuda_launched(cuda);
    } else {
        be->no_memory = true;
    }
    if (by.at && by.at != to.at) {
        ba_cuda_ok(cuda, cudaMemcpy2DAsync(to.at, to.stride * sizeof(float), by.at, cols * sizeof(float),
                                           cols * sizeof(float), n, cudaMemcpyDeviceToDevice, cuda->stream));
        ba_cuda_free(cuda, by.at);
    }
}

/* ---- rotations ---- */

ba_freqs *ba_cuda_freqs_new(ba_backend *be, const double *freq, size_t half_dim, double magnitude) {
    ba_gpu *cuda = (ba_gpu *)be;
    ba_freqs *f = malloc(sizeof *f);
    if (!f) {
        return NULL;
    }
    *f = (ba_freqs){half_dim, magnitude, ba_cuda_alloc(cuda, half_dim, 1, 1, sizeof *freq)};
    const double *on = f->freq ? ba_cuda_stage(cuda, freq, half_dim * sizeof *freq) : NULL;
    if (!on) {
        ba_cuda_freqs_free(be, f);
        return NULL;
    }
    ba_cuda_ok(cuda, cudaMemcpyAsync(f->freq, on, half_dim * sizeof *freq, cudaMemcpyDeviceToDevice, cuda->stream));
    return f;
}

void ba_cuda_freqs_free(ba_backend *be, ba_freqs *f) {
    if (f) {
        ba_cuda_free((ba_gpu *)be, f->freq);
        free(f);
    }
}

ba_rot *ba_cuda_rot_new(ba_backend *be, size_t rows, size_t half_dim) {
    ba_rot *rot = malloc(sizeof *rot);
    if (!rot) {
        return NULL;
    }
    *rot = (ba_rot){half_dim, ba_cuda_alloc((ba_gpu *)be, rows, 2, half_dim, sizeof *rot->at)};
    if (!rot->at) {
        free(rot);
        return NULL;
    }
    return rot;
}

void ba_cuda_rot_free(ba_backend *be, ba_rot *rot) {
    if (rot) {
        ba_cuda_free((ba_gpu *)be, rot->at);
        free(rot);
    }
}

void ba_cuda_rot_fill(ba_backend *be, ba_rot *rot, size_t row0, size_t n, const double *pos, const ba_freqs *f) {
    ba_gpu *cuda = (ba_gpu *)be;
    const double *on = ba_cuda_stage(cuda, pos, n * sizeof *pos);
    if (on) {
        ba_dev_rot_fill(cuda->stream, rot->at + row0 * 2 * rot->half, n, rot->half, on, f->freq, f->magnitude);
        ba_cuda_launched(cuda);
    }
}

static const float *rot_at(const ba_rot *rot, size_t row) {
    return rot ? rot->at + row * 2 * rot->half : NULL;
}

/* ---- keys and values ---- */

static size_t stride_of(size_t dim) {
    return (dim + 7) / 8 * 8;
}

/* Boxes of 128 tokens of a head, keys or values. */
static bool map_tokens(ba_kv *kv, size_t slices, size_t capacity) {
    size_t token = (size_t)kv->on.stride * sizeof *kv->on.k;
    ba_map_shape shape = {.dims = 3,
                          .size = {(uint64_t)kv->on.dim, capacity, slices},
                          .stride = {token, token * capacity},
                          .box = {64, 128, 1}};
    CUtensorMap map;
    bool made = ba_map_make(&map, kv->on.k, &shape);
    memcpy(kv->map, &map, sizeof map);
    return made;
}

ba_kv *ba_cuda_kv_new(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity) {
    ba_gpu *cuda = (ba_gpu *)be;
    size_t slices;
    /* Key indices are 32 bits wide in the kernels. */
    if (capacity > INT32_MAX / 2 || kv_heads > INT32_MAX || head_dim > BA_DEV_DIM_MAX ||
        __builtin_mul_overflow(layers, kv_heads, &slices)) {
        return NULL;
    }
    ba_kv *kv = malloc(sizeof *kv);
    size_t stride = stride_of(head_dim);
    uint16_t *at = kv ? ba_cuda_alloc(cuda, slices, capacity, 2 * stride, sizeof *at) : NULL;
    if (!at) {
        free(kv);
        return NULL;
    }
    size_t n = slices * capacity * stride;
    ba_cuda_ok(cuda, cudaMemsetAsync(at, 0, 2 * n * sizeof *at, cuda->stream));
    kv->on = (ba_dev_kv){
        at, at + n, kv_heads * capacity * stride, capacity * stride, (int)kv_heads, (int)head_dim, (int)stride};
    kv->layers = layers;
    kv->part = n;
    if (cuda->hopper && n && !map_tokens(kv, 2 * slices, capacity)) {
        ba_cuda_kv_free(be, kv);
        return NULL;
    }
    return kv;
}

void ba_cuda_kv_free(ba_backend *be, ba_kv *kv) {
    if (kv) {
        ba_cuda_loads_forget((ba_gpu *)be, kv);
        ba_cuda_free((ba_gpu *)be, kv->on.k);
        free(kv);
    }
}

size_t ba_cuda_kv_bytes(const ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity) {
    return layers * kv_heads * capacity * 2 * stride_of(head_dim) * be->kv_size;
}

void ba_cuda_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                      ba_view v, const ba_rot *rot, size_t rot_row) {
    ba_gpu *cuda = (ba_gpu *)be;
    const int32_t *on = token ? ba_cuda_stage(cuda, token, n * sizeof *token) : NULL;
    if (on || !token) {
        ba_dev_kv_write(cuda->stream, &kv->on, layer, at, on, n, ba_cuda_matrix(k), ba_cuda_matrix(v),
                        rot_at(rot, rot_row));
        ba_cuda_launched(cuda);
    }
    ba_count_kv_write(be, 2 * n * (size_t)kv->on.kv_heads * (size_t)kv->on.dim);
}

void ba_cuda_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                     const ba_rot *rot, size_t rot_row) {
    ba_gpu *cuda = (ba_gpu *)be;
    ba_cuda_await(cuda, layer);
    ba_dev_kv_copy(cuda->stream, &dst->on, at, &src->on, first, n, layer, rot_at(rot, rot_row));
    ba_cuda_launched(cuda);
    ba_count_kv_copy(be, 2 * n * (size_t)src->on.kv_heads * (size_t)src->on.dim);
}

static void read_part(ba_gpu *be, const ba_kv *kv, const uint16_t *part, size_t layer, size_t first, size_t n,
                      double *out) {
    size_t heads = (size_t)kv->on.kv_heads, dim = (size_t)kv->on.dim, stride = (size_t)kv->on.stride;
    for (size_t h = 0; h < heads; h++) {
        const uint16_t *from = part + layer * kv->on.layer_step + h * kv->on.head_step + first * stride;
        const uint16_t *landed = ba_cuda_land(be, from, n * stride * sizeof *from);
        for (size_t i = 0; i < n; i++) {
            for (size_t d = 0; d < dim; d++) {
                out[(i * heads + h) * dim + d] = landed ? (double)ba_bf16_to_f32(landed[i * stride + d]) : NAN;
            }
        }
    }
}

void ba_cuda_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v) {
    ba_cuda_await((ba_gpu *)be, layer);
    if (k) {
        read_part((ba_gpu *)be, kv, kv->on.k, layer, first, n, k);
    }
    if (v) {
        read_part((ba_gpu *)be, kv, kv->on.v, layer, first, n, v);
    }
}

void ba_cuda_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                         size_t first_b, size_t n, double *out) {
    ba_gpu *cuda = (ba_gpu *)be;
    double *on = ba_cuda_alloc(cuda, n, 1, 1, sizeof *on);
    const double *landed = NULL;
    ba_cuda_await(cuda, layer);
    if (on) {
        ba_dev_kv_distance(cuda->stream, part == BA_KV_K, &a->on, first_a, &b->on, first_b, n, layer, on);
        ba_cuda_launched(cuda);
        landed = ba_cuda_land(cuda, on, n * sizeof *on);
        ba_cuda_free(cuda, on);
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = landed ? landed[i] : NAN;
    }
    be->no_memory = be->no_memory || !landed;
}

void ba_cuda_kv_shift(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                      const double *from, const double *to) {
    ba_gpu *cuda = (ba_gpu *)be;
    size_t first = n_span ? span[0].at : 0, n = 0; /* the factors of all spans */
    for (size_t i = 0; i < n_span; i++) {
        first = span[i].at < first ? span[i].at : first;
        n = span[i].at + span[i].n > n ? span[i].at + span[i].n : n;
    }
    n -= first;
    ba_cuda_await(cuda, layer);
    /* One room: a second could begin anew. */
    size_t bytes = n_span * sizeof(ba_dev_kv_span) + 2 * n * sizeof(double);
    void *twin;
    char *room = n ? ba_cuda_stage_room(cuda, bytes, &twin) : NULL;
    if (!room) {
        be->no_memory = be->no_memory || n;
        return;
    }
    double *factors = (double *)(room + n_span * sizeof(ba_dev_kv_span));
    for (size_t i = 0; i < n_span; i++) {
        const ba_kv_span *s = &span[i];
        ((ba_dev_kv_span *)room)[i] = (ba_dev_kv_span){s->kv->on, s->old->on, s->first, s->n, s->at - first};
    }
    memcpy(factors, from + first, n * sizeof *factors);
    memcpy(factors + n, to + first, n * sizeof *factors);
    ba_cuda_ok(cuda, cudaMemcpyAsync(twin, room, bytes, cudaMemcpyHostToDevice, cuda->stream));
    const double *on = (const double *)((const char *)twin + n_span * sizeof(ba_dev_kv_span));
    ba_dev_kv_shift(cuda->stream, part == BA_KV_K, twin, n_span, span->kv->on.kv_heads, layer, on, on + n);
    ba_cuda_launched(cuda);
}
