/* The operations of training: a second table that a backend may have (ba_backend_ops.train).
 *
 * Buffers, views, rotations, uploads, `add`, `glu` and `gather` are those of backend.h; a backend that trains keeps its
 * buffers in fp32 or better. A parameter is a matrix in fp32 or better (the master weight), with gradient and moments
 * if it is trained. A backend may keep copies of it in the element type of its products; it updates them whenever the
 * value changes. LoRA needs no operation of its own: it is two more parameters and two more products.
 *
 * Operations do not fail (except through `no_memory`, as in backend.h) and return when their results are ready for the
 * next one. "out (+)=" means: added if `add` is set, else overwritten. Gradients of parameters are always added to. A
 * parameter that is not trained has no gradient, and the backward operations skip it. Results do not depend on the
 * number of threads, and the same calls give the same bits. The counters of backend.h are not kept. */
#ifndef BA_TRAIN_H
#define BA_TRAIN_H

#include "backend.h"

typedef struct ba_param ba_param;           /* [rows, cols] */
typedef struct ba_train_mask ba_train_mask; /* which row sees which keys, in the backend's own layout */

typedef enum ba_param_part { BA_PARAM_VALUE, BA_PARAM_GRAD, BA_PARAM_MEAN, BA_PARAM_VARIANCE } ba_param_part;

/* Names of two arguments of linear, linear_back and linear_grad: x and dout. */
typedef enum ba_train_role { BA_TRAIN_X, BA_TRAIN_DOUT } ba_train_role;

/* Keys that the query rows of a job may see: rows [key0, key0 + n) of k and v. Row r, counted from the job's first row,
 * sees keys lo[r] <= j < hi[r], counted from key0, and is rotated for them by row rot_row + r of the rot table. */
typedef struct ba_train_segment {
    size_t key0, n;
    size_t rot_row;
    const int32_t *lo, *hi; /* [job rows], or NULL: 0 and n */
    double score_scale;     /* multiplies the score; 1 = none */
    double score_bias;      /* added to the scaled score; 0 = none */
} ba_train_segment;

/* Query rows that share one list of segments: one softmax over all of them. A row belongs to at most one job. */
typedef struct ba_train_job {
    size_t row0, rows;
    const ba_train_segment *seg; /* [n_seg] */
    size_t n_seg;
} ba_train_job;

/* Attention in one layer. q, k, v, out and their gradients have `rows` rows, with the heads side by side in columns.
 * Query head h uses KV head h / (heads / kv_heads). Keys are already rotated, each by its own position; queries are
 * not. */
typedef struct ba_train_attention {
    const ba_train_mask *mask;
    const ba_rot *rot; /* of queries, see ba_train_segment */
    size_t heads, kv_heads, head_dim, rows;
    double scale; /* of scores: 1 / sqrt(head_dim) */
    ba_view q, k, v;
    ba_view out; /* [rows, heads * head_dim] */
    ba_buf *lse; /* [rows, heads]: log-sum-exp of all scores of a row */
} ba_train_attention;

/* AdamW (Loshchilov & Hutter, arXiv 1711.05101), with bias correction as in PyTorch. */
typedef struct ba_adamw {
    double lr, beta1, beta2, eps, weight_decay;
    double grad_scale; /* multiplies gradients first: clipping, and the mean over a batch */
    uint64_t step;     /* from 1 */
} ba_adamw;

typedef struct ba_train_ops {
    /* A parameter of src's rows x cols; row_order is applied, the bias is ignored. Gradient and moments begin at zero.
     * NULL and err: out of memory, or unusable. */
    ba_param *(*param_new)(ba_backend *be, const ba_weight_src *src, bool trained, char err[BA_ERR_LEN]);
    void (*param_free)(ba_backend *be, ba_param *p);
    /* All of one part, [rows, cols]. Only the value of an untrained parameter may be asked for. */
    void (*param_read)(ba_backend *be, const ba_param *p, ba_param_part part, double *dst);
    void (*param_write)(ba_backend *be, ba_param *p, ba_param_part part, const double *src);

    /* The mask of these jobs, which are copied. Rows of k and v are below `rows`, those of the rot table below
     * `rot_rows`. NULL: out of memory. */
    ba_train_mask *(*mask_new)(ba_backend *be, const ba_train_job *job, size_t n_jobs, size_t rows, size_t rot_rows);
    void (*mask_free)(ba_backend *be, ba_train_mask *mask);

    void (*copy)(ba_backend *be, ba_view src, size_t rows, size_t cols, ba_view dst);
    void (*zero)(ba_backend *be, ba_view x, size_t rows, size_t cols);
    /* dst[row[i]] += src[i]; no row twice. The transpose of gather. */
    void (*scatter)(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst);

    /* out[r] = scale p[ids[r]]. */
    void (*embed)(ba_backend *be, const ba_param *p, const int32_t *ids, size_t n, double scale, ba_view out);
    /* grad p[ids[r]] += scale dout[r]. */
    void (*embed_back)(ba_backend *be, ba_param *p, const int32_t *ids, size_t n, double scale, ba_view dout);

    /* A buffer in the layout that products read. Valid as `out` of rmsnorm (with one group) or glu and then as `x` of
     * the linear operations, or as dgate or dup of glu_back and then as `dout` of the linear operations. Both sides use
     * the same rows and all columns, with scale 1. NULL: out of memory. If the function is missing, use buf_new. */
    ba_buf *(*operand_new)(ba_backend *be, size_t rows, size_t cols);

    /* Promises that the contents of x do not change until the next call with the same role (buf NULL: no promise), so
     * that a backend converts them for its products only once. If the function is missing, nothing is converted. */
    void (*steady)(ba_backend *be, ba_train_role role, ba_view x);

    /* out (+)= scale x p^T. x [rows, cols of p], out [rows, rows of p]. */
    void (*linear)(ba_backend *be, const ba_param *p, ba_view x, size_t rows, double scale, bool add, ba_view out);
    /* dx (+)= scale dout p. */
    void (*linear_back)(ba_backend *be, const ba_param *p, ba_view dout, size_t rows, double scale, bool add,
                        ba_view dx);
    /* grad p += scale dout^T x. */
    void (*linear_grad)(ba_backend *be, ba_param *p, ba_view dout, ba_view x, size_t rows, double scale);

    /* out[r] += p [1, cols]; grad p += sum of dout's rows. */
    void (*bias)(ba_backend *be, const ba_param *p, size_t rows, ba_view out);
    void (*bias_grad)(ba_backend *be, ba_param *p, ba_view dout, size_t rows);

    /* As rmsnorm in backend.h, with gain [1, cols]. dx (+)= the gradient of x; the gain's gradient is added to. out may
     * be x, or a buffer of operand_new; dx may be dout. */
    void (*rmsnorm)(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_param *gain,
                    double eps, ba_view out);
    void (*rmsnorm_back)(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, ba_param *gain, double eps,
                         ba_view dout, bool add, ba_view dx);

    /* Rotates row r of every head [rows, heads * head_dim] by row rot_row + r of rot; with `back` by the transpose,
     * which is the gradient. out may be x. */
    void (*rotate)(ba_backend *be, ba_view x, size_t rows, size_t heads, size_t head_dim, const ba_rot *rot,
                   size_t rot_row, bool back, ba_view out);

    /* Fills a->out and a->lse. A row that belongs to no job, or sees no key, gets zeros and lse -INFINITY. */
    void (*attention)(ba_backend *be, const ba_train_attention *a);
    /* From dout, the gradient of a->out: the gradients of q, of k (rotated) and of v, all `rows` rows, overwritten.
     * Probabilities are computed again from lse, one tile at a time. dq, dk and dv overlap no input. */
    void (*attention_back)(ba_backend *be, const ba_train_attention *a, ba_view dout, ba_view dq, ba_view dk,
                           ba_view dv);

    /* As in backend.h, but out may be a buffer of operand_new. NULL without operand_new: use that of backend.h. */
    void (*glu)(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out);
    /* dgate and dup [rows, cols] from dout [rows, cols], for out = act(x[:, 0:cols]) x[:, cols:2 cols]. They may be the
     * two halves of x. */
    void (*glu_back)(ba_backend *be, ba_act act, ba_view x, ba_view dout, size_t rows, size_t cols, ba_view dgate,
                     ba_view dup);

    /* Cross entropy of n rows of logits [n, vocab] with target ids, and the divergence KL(teacher || softmax(logits))
     * from the distribution of `teacher`, logits too (buf NULL: none).
     *   sum[0] += sum of -log P(target);  sum[1] += sum of KL
     *   logits = gradient of weight * the first + kl_weight * the second, in place of the logits */
    void (*cross_entropy)(ba_backend *be, ba_view logits, size_t n, size_t vocab, const int32_t *target, double weight,
                          ba_view teacher, double kl_weight, double sum[2]);

    /* The next three take trained parameters. Square root of the sum of all squared gradients: not finite if one is
     * not. */
    double (*grad_norm)(ba_backend *be, ba_param *const *p, size_t n);
    void (*grad_zero)(ba_backend *be, ba_param *const *p, size_t n);
    /* One step of the optimiser; gradients keep their values. */
    void (*adamw)(ba_backend *be, ba_param *const *p, size_t n, const ba_adamw *cfg);
} ba_train_ops;

#endif
