/* The device side of training, in the manner of device.h. */
#ifndef BA_CUDA_DEVICE_TRAIN_H
#define BA_CUDA_DEVICE_TRAIN_H

#include "device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- train/product.cu ---- */

/* bf16. Element (i, j) at at[i stride + j], or at[j stride + i] if turned; stride a multiple of 8. */
typedef struct ba_dev_operand {
    const uint16_t *at;
    size_t stride;
    bool turned;
} ba_dev_operand;

/* c [m, n] (+)= scale a [m, k] b [k, n]. What follows the operands' rows, up to their stride, is not read into a
 * sum. partial: scratch of ba_dev_product_floats. */
void ba_dev_product(cudaStream_t stream, size_t m, size_t n, size_t k, ba_dev_operand a, ba_dev_operand b, float scale,
                    bool add, ba_dev_matrix c, float *partial);
size_t ba_dev_product_floats(size_t m, size_t n, size_t k);

/* ---- train/rows.cu ---- */

void ba_dev_copy(cudaStream_t stream, ba_dev_matrix src, size_t rows, size_t cols, ba_dev_matrix dst);
void ba_dev_scatter(cudaStream_t stream, ba_dev_matrix src, const size_t *row, size_t n, size_t cols,
                    ba_dev_matrix dst);
void ba_dev_embed_wide(cudaStream_t stream, const float *p, const int32_t *ids, size_t n, size_t cols, float scale,
                       ba_dev_matrix out);
void ba_dev_embed_back(cudaStream_t stream, float *grad, const int32_t *ids, size_t n, size_t cols, float scale,
                       ba_dev_matrix dout);
/* out's rows += x [cols]. */
void ba_dev_add_row(cudaStream_t stream, const float *x, size_t rows, size_t cols, ba_dev_matrix out);
/* sum[c] += sum over rows of x[r][c], or with `other`: of factor[r] x[r][c] other[r][c], where a row of x and other is
 * cut into groups of `cols` columns and r counts these. */
void ba_dev_sum_rows(cudaStream_t stream, ba_dev_matrix x, const ba_dev_matrix *other, const float *factor, size_t rows,
                     size_t groups, size_t cols, float *sum);
/* factor: [rows, groups], 1 / rms(x) is left there; dx.at NULL: nothing else is done. */
void ba_dev_rmsnorm_back(cudaStream_t stream, ba_dev_matrix x, size_t rows, size_t groups, size_t cols,
                         const float *gain, float eps, ba_dev_matrix dout, bool add, ba_dev_matrix dx, float *factor);
/* rot begins at the first row's rotation. */
void ba_dev_rotate(cudaStream_t stream, ba_dev_matrix x, size_t rows, size_t heads, size_t dim, const float *rot,
                   bool back, ba_dev_matrix out);
void ba_dev_glu_back(cudaStream_t stream, bool gelu, ba_dev_matrix x, ba_dev_matrix dout, size_t rows, size_t cols,
                     ba_dev_matrix dgate, ba_dev_matrix dup);
/* teacher.at may be NULL. loss: [n, 2] of every row. */
void ba_dev_cross_entropy(cudaStream_t stream, ba_dev_matrix logits, size_t n, size_t vocab, const int32_t *target,
                          float weight, ba_dev_matrix teacher, float kl_weight, double *loss);
/* part: [BA_DEV_PARTS], filled. */
enum { BA_DEV_PARTS = 64 };
void ba_dev_square_sum(cudaStream_t stream, const float *x, size_t n, double *part);

typedef struct ba_dev_adamw {
    float lr, beta1, beta2, eps, weight_decay, grad_scale;
    float rest1, rest2; /* 1 - beta */
    float bias1, bias2; /* 1 - beta^step */
} ba_dev_adamw;

void ba_dev_adamw_step(cudaStream_t stream, const ba_dev_adamw *cfg, size_t n, const float *grad, float *mean,
                       float *variance, float *value);

/* ---- train/attention.cu ---- */

/* Keys of a segment, counted from its first, that any row of a row tile sees. */
typedef struct ba_dev_span {
    int lo, hi;
} ba_dev_span;

typedef struct ba_dev_attention_back {
    ba_dev_attention a;      /* q, out: of the forward; its segments' KV: this layer's */
    const int *span0;        /* [segments] */
    const ba_dev_span *span; /* of segment s and row tile t of its job: span[span0[s] + t] */
    int n_tiles, n_seg;      /* of all jobs */
    size_t rows;             /* of k and v */
    ba_dev_kv kv;
    const float *lse;
    size_t lse_stride;
    float *mean; /* scratch: [rows, heads] <dout, out> */
    ba_dev_matrix dout, dq, dk, dv;
} ba_dev_attention_back;

/* Rounds k and v to a KV of one layer. */
void ba_dev_train_pack(cudaStream_t stream, const ba_dev_kv *kv, size_t rows, ba_dev_matrix k, ba_dev_matrix v);
/* dq is zero before. Heads of dimensions that are a multiple of 16. */
void ba_dev_attend_back(cudaStream_t stream, const ba_dev_attention_back *b);

#ifdef __cplusplus
}
#endif

#endif
