/* Training's attention: the forward is that of inference over a KV that holds a layer's keys and values; the backward
 * has kernels of its own. A mask's lists are flattened once, and serve all layers. */
#include "kernels/cuda/host.h"

#include "kernels/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ba_train_mask {
    ba_attn_job *job; /* [n_jobs], of segments in `seg`, bounds in `bound` */
    ba_kv_segment *seg;
    int32_t *bound;
    size_t n_jobs, n_seg, rows;
    bool everyone; /* every row has a job */
    /* Made when attention of this shape is first asked for. */
    size_t heads, kv_heads, dim;
    double scale;
    ba_kv kv; /* keys and values of the layer in hand */
    ba_cuda_lists lists;
    char *at; /* the lists, followed by the spans, on the device */
    size_t span0, span;
};

static size_t count_bounds(const ba_train_job *job, size_t n_jobs, size_t *n_seg) {
    size_t n = 0;
    *n_seg = 0;
    for (; n_jobs > 0; n_jobs--, job++) {
        *n_seg += job->n_seg;
        for (size_t s = 0; s < job->n_seg; s++) {
            n += (job->seg[s].lo ? job->rows : 0) + (job->seg[s].hi ? job->rows : 0);
        }
    }
    return n;
}

static const int32_t *copy_bounds(const int32_t *from, size_t n, int32_t **to) {
    if (!from) {
        return NULL;
    }
    int32_t *copy = *to;
    memcpy(copy, from, n * sizeof *copy);
    *to += n;
    return copy;
}

static void copy_job(ba_train_mask *mask, const ba_train_job *from, ba_attn_job *to, ba_kv_segment *seg,
                     int32_t **bound) {
    *to = (ba_attn_job){.row0 = from->row0, .rows = from->rows, .seg = seg, .n_seg = from->n_seg};
    for (size_t s = 0; s < from->n_seg; s++) {
        const ba_train_segment *f = &from->seg[s];
        seg[s] = (ba_kv_segment){.kv = &mask->kv,
                                 .first = f->key0,
                                 .n = f->n,
                                 .rot_row = f->rot_row,
                                 .lo = copy_bounds(f->lo, from->rows, bound),
                                 .hi = copy_bounds(f->hi, from->rows, bound),
                                 .score_scale = f->score_scale,
                                 .score_bias = f->score_bias};
    }
}

ba_train_mask *ba_cuda_mask_new(ba_backend *be, const ba_train_job *job, size_t n_jobs, size_t rows, size_t rot_rows) {
    (void)rot_rows;
    size_t n_seg, n_bound = count_bounds(job, n_jobs, &n_seg), in_jobs = 0;
    ba_train_mask *mask = calloc(1, sizeof *mask);
    if (!mask) {
        return NULL;
    }
    *mask = (ba_train_mask){.job = calloc(n_jobs + 1, sizeof *mask->job),
                            .seg = calloc(n_seg + 1, sizeof *mask->seg),
                            .bound = calloc(n_bound + 1, sizeof *mask->bound),
                            .n_jobs = n_jobs,
                            .n_seg = n_seg,
                            .rows = rows};
    if (!mask->job || !mask->seg || !mask->bound) {
        ba_cuda_mask_free(be, mask);
        return NULL;
    }
    ba_kv_segment *seg = mask->seg;
    int32_t *bound = mask->bound;
    for (size_t j = 0; j < n_jobs; seg += job[j++].n_seg) {
        copy_job(mask, &job[j], &mask->job[j], seg, &bound);
        in_jobs += job[j].rows;
    }
    mask->everyone = in_jobs == rows;
    return mask;
}

static void forget_shape(ba_gpu *be, ba_train_mask *mask) {
    ba_cuda_free(be, mask->kv.on.k);
    ba_cuda_free(be, mask->at);
    mask->kv.on.k = NULL;
    mask->at = NULL;
}

void ba_cuda_mask_free(ba_backend *be, ba_train_mask *mask) {
    if (mask) {
        forget_shape((ba_gpu *)be, mask);
        free(mask->lists.at);
        free(mask->job);
        free(mask->seg);
        free(mask->bound);
        free(mask);
    }
}

/* ---- lists ---- */

/* Keys of a segment that rows [row, row + rows) of its job see, from the first to the last. */
static ba_dev_span span_of(const ba_kv_segment *seg, size_t row, size_t rows) {
    ba_dev_span all = {(int)seg->n, 0};
    for (size_t r = row; r < row + rows; r++) {
        ba_range see = ba_segment_range(seg, r);
        if (see.lo < see.hi) {
            all.lo = (int)see.lo < all.lo ? (int)see.lo : all.lo;
            all.hi = (int)see.hi > all.hi ? (int)see.hi : all.hi;
        }
    }
    return all;
}

/* Where each segment's spans begin, and the spans. NULL: out of memory. */
static ba_dev_span *spans_of(const ba_train_mask *mask, const ba_dev_job *job, size_t tile_rows, int *span0,
                             size_t *n) {
    *n = 0;
    for (size_t j = 0; j < mask->n_jobs; j++) {
        *n += mask->job[j].n_seg * (size_t)job[j].tiles;
    }
    ba_dev_span *span = calloc(*n + 1, sizeof *span), *to = span;
    for (size_t j = 0; span && j < mask->n_jobs; j++) {
        const ba_attn_job *from = &mask->job[j];
        for (size_t s = 0; s < from->n_seg; s++) {
            *span0++ = (int)(to - span);
            for (size_t row = 0; row < from->rows; row += tile_rows) {
                size_t rows = from->rows - row < tile_rows ? from->rows - row : tile_rows;
                *to++ = span_of(&from->seg[s], row, rows);
            }
        }
    }
    return span;
}

/* Lists and spans, on the device. */
static bool place_lists(ba_gpu *be, ba_train_mask *mask, const ba_dev_attention *on) {
    if (!ba_cuda_flatten(&mask->lists, mask->job, mask->n_jobs, mask->scale, on, false)) {
        return false;
    }
    const ba_dev_job *job = (const ba_dev_job *)(mask->lists.at + mask->lists.job);
    size_t tile_rows = (size_t)ba_dev_tile_rows(on->heads, on->kv_heads, BA_DEV_TILE), n, n0 = mask->n_seg + 1;
    int *span0 = calloc(n0, sizeof *span0);
    ba_dev_span *span = span0 ? spans_of(mask, job, tile_rows, span0, &n) : NULL;
    if (span) {
        mask->span0 = mask->lists.n;
        mask->span = mask->span0 + (n0 * sizeof *span0 + 15) / 16 * 16;
        mask->at = ba_cuda_alloc(be, mask->span + n * sizeof *span, 1, 1, 1);
    }
    if (span && mask->at) {
        ba_cuda_ok(be, cudaMemcpyAsync(mask->at, mask->lists.at, mask->lists.n, cudaMemcpyHostToDevice, be->stream));
        ba_cuda_ok(
            be, cudaMemcpyAsync(mask->at + mask->span0, span0, n0 * sizeof *span0, cudaMemcpyHostToDevice, be->stream));
        ba_cuda_ok(be,
                   cudaMemcpyAsync(mask->at + mask->span, span, n * sizeof *span, cudaMemcpyHostToDevice, be->stream));
    }
    free(span0);
    free(span);
    return mask->at;
}

static bool same_shape(const ba_train_mask *mask, const ba_train_attention *a) {
    return mask->at && mask->heads == a->heads && mask->kv_heads == a->kv_heads && mask->dim == a->head_dim &&
           mask->scale == a->scale;
}

/* The mask, ready for attention of this shape. */
static bool prepare(ba_gpu *be, const ba_train_attention *a, const ba_dev_attention *on) {
    ba_train_mask *mask = (ba_train_mask *)a->mask; /* made by this backend, and not constant */
    if (a->head_dim % 16 || a->head_dim > BA_DEV_DIM_MAX) {
        return false;
    }
    if (same_shape(mask, a)) {
        return true;
    }
    forget_shape(be, mask);
    size_t n = a->kv_heads * mask->rows * a->head_dim;
    uint16_t *k = ba_cuda_alloc(be, n, 2, 1, sizeof *k);
    if (!k) {
        return false;
    }
    mask->kv.on =
        (ba_dev_kv){k, k + n, n, mask->rows * a->head_dim, (int)a->kv_heads, (int)a->head_dim, (int)a->head_dim};
    mask->heads = a->heads;
    mask->kv_heads = a->kv_heads;
    mask->dim = a->head_dim;
    mask->scale = a->scale;
    return place_lists(be, mask, on);
}

/* ---- the operations ---- */

static ba_dev_attention describe(const ba_train_attention *a) {
    return (ba_dev_attention){.n_jobs = (int)a->mask->n_jobs,
                              .heads = (int)a->heads,
                              .kv_heads = (int)a->kv_heads,
                              .dim = (int)a->head_dim,
                              .rot = a->rot->at,
                              .q = ba_cuda_matrix(a->q),
                              .out = ba_cuda_out(a->out),
                              .lse = a->lse->at,
                              .lse_stride = a->lse->stride};
}

void ba_cuda_train_attention(ba_backend *be, const ba_train_attention *a) {
    ba_gpu *gpu = (ba_gpu *)be;
    const ba_train_mask *mask = a->mask;
    ba_dev_attention on = describe(a);
    bool ready = prepare(gpu, a, &on);
    if (!ready || !mask->everyone) {
        ba_dev_fill(gpu->stream, on.out, a->rows, a->heads * a->head_dim, ready ? 0 : NAN);
        ba_dev_fill(gpu->stream, (ba_dev_out){on.lse, NULL, on.lse_stride}, a->rows, a->heads, -INFINITY);
    }
    if (ready) {
        ba_cuda_point(&on, &mask->lists, mask->at);
        ba_dev_train_pack(gpu->stream, &mask->kv.on, a->rows, ba_cuda_matrix(a->k), ba_cuda_matrix(a->v));
        ready = ba_cuda_attend(gpu, &on, (const ba_dev_job *)(mask->lists.at + mask->lists.job));
    }
    be->no_memory = be->no_memory || !ready;
    ba_cuda_launched(gpu);
}

void ba_cuda_train_attention_back(ba_backend *be, const ba_train_attention *a, ba_view dout, ba_view dq, ba_view dk,
                                  ba_view dv) {
    ba_gpu *gpu = (ba_gpu *)be;
    const ba_train_mask *mask = a->mask;
    ba_dev_attention on = describe(a);
    float *mean = gpu->scratch = ba_cuda_grow(gpu, gpu->scratch, &gpu->scratch_size, a->rows * a->heads * sizeof *mean);
    bool ready = mean && prepare(gpu, a, &on);
    ba_dev_fill(gpu->stream, ba_cuda_out(dq), a->rows, a->heads * a->head_dim, ready ? 0 : NAN);
    if (ready) {
        const ba_dev_job *job = (const ba_dev_job *)(mask->lists.at + mask->lists.job);
        ba_cuda_point(&on, &mask->lists, mask->at);
        ba_dev_train_pack(gpu->stream, &mask->kv.on, a->rows, ba_cuda_matrix(a->k), ba_cuda_matrix(a->v));
        ba_dev_attention_back b = {.a = on,
                                   .span0 = (const int *)(mask->at + mask->span0),
                                   .span = (const ba_dev_span *)(mask->at + mask->span),
                                   .n_seg = (int)mask->n_seg,
                                   .rows = a->rows,
                                   .kv = mask->kv.on,
                                   .lse = on.lse,
                                   .lse_stride = on.lse_stride,
                                   .mean = mean,
                                   .dout = ba_cuda_matrix(dout),
                                   .dq = ba_cuda_matrix(dq),
                                   .dk = ba_cuda_matrix(dk),
                                   .dv = ba_cuda_matrix(dv)};
        for (size_t j = 0; j < mask->n_jobs; j++) {
            b.n_tiles += job[j].tiles;
        }
        ba_dev_attend_back(gpu->stream, &b);
    }
    be->no_memory = be->no_memory || !ready;
    ba_cuda_launched(gpu);
}
