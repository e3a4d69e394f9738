/* What training needs beyond inference: a second table of operations that a backend may have (ba_backend_ops.train).
 *
 * Buffers, views, rotations, uploads, `add`, `glu` and `gather` are those of backend.h; a backend that trains keeps its
 * buffers in fp32 or better. A parameter is a matrix in fp32 or better (the master weight), with gradient and moments
 * if it is trained; a backend may keep copies in the type that its products use, and renews them whenever the value
 * changes. LoRA needs nothing here: two more parameters and two more products.
 *
 * Operations do not fail (but for `no_memory`, as in backend.h) and return when their results are ready for the next
 * one. "out (+)=" means: added if `add`, else overwritten. Gradients of parameters are always added to; a parameter
 * that is not trained has none, and the backward operations leave it alone. Results do not depend on the thread count,
 * and the same calls give the same bits. Counters (backend.h) are not kept. */
#ifndef BA_TRAIN_H
#define BA_TRAIN_H

#include "backend.h"

typedef struct ba_param ba_param;           /* [rows, cols] */
typedef struct ba_train_mask ba_train_mask; /* what sees what, in the form the backend's attention likes best */

typedef enum ba_param_part { BA_PARAM_VALUE, BA_PARAM_GRAD, BA_PARAM_MEAN, BA_PARAM_VARIANCE } ba_param_part;

/* What linear, linear_back and linear_grad call x and dout. */
typedef enum ba_train_role { BA_TRAIN_X, BA_TRAIN_DOUT } ba_train_role;

/* Keys that a run of query rows sees: rows [key0, key0 + n) of k and v. Row r, counted from the job's first, sees keys
 * lo[r] <= j < hi[r], counted from key0, and is rotated for them by row rot_row + r of the rot table. */
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

/* Attention in one layer. q, k, v, out and their gradients have `rows` rows; heads lie side by side in columns. Query
 * head h uses KV head h / (heads / kv_heads). Keys come rotated, each by its own place; queries do not. */
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
    /* A parameter of src's rows x cols (row_order applied, bias not looked at). NULL and err: out of memory, or
     * unusable. Gradient and moments begin at zero. */
    ba_param *(*param_new)(ba_backend *be, const ba_weight_src *src, bool trained, char err[BA_ERR_LEN]);
    void (*param_free)(ba_backend *be, ba_param *p);
    /* All of one part, [rows, cols]. Only the value of an untrained parameter may be asked for. */
    void (*param_read)(ba_backend *be, const ba_param *p, ba_param_part part, double *dst);
    void (*param_write)(ba_backend *be, ba_param *p, ba_param_part part, const double *src);

    /* What jobs see; copied. Rows of k and v are below `rows`, those of the rot table below `rot_rows`. NULL: out of
     * memory. */
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

    /* A buffer for what is only multiplied, in the form that products take: out of rmsnorm (of one group) or glu, and
     * then x of the linear operations; or dgate or dup of glu_back, and then dout of them. Of as many rows there, and
     * with scale 1; always all columns. Nothing else takes it. NULL: out of memory. No such function: buf_new will do.
     */
    ba_buf *(*operand_new)(ba_backend *be, size_t rows, size_t cols);

    /* Until the next call of the same role, these rows of x hold what they hold now (buf NULL: none do), so that a
     * backend brings them only once into the form that its products take. NULL: it takes them as they are. */
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

    /* As rmsnorm in backend.h, gain [1, cols]. dx (+)= the gradient of x, and the gain's is added to it. out may be x,
     * or an operand; dx may be dout. */
    void (*rmsnorm)(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_param *gain,
                    double eps, ba_view out);
    void (*rmsnorm_back)(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, ba_param *gain, double eps,
                         ba_view dout, bool add, ba_view dx);

    /* Row r of every head [rows, heads * head_dim] by row rot_row + r of rot; `back`: by the transpose, which is the
     * gradient. out may be x. */
    void (*rotate)(ba_backend *be, ba_view x, size_t rows, size_t heads, size_t head_dim, const ba_rot *rot,
                   size_t rot_row, bool back, ba_view out);

    /* Fills a->out and a->lse. A row that belongs to no job, or sees nothing, gets zeros (lse -INFINITY). */
    void (*attention)(ba_backend *be, const ba_train_attention *a);
    /* From dout = gradient of a->out: gradients of q, k (as rotated) and v, overwritten, all `rows`. Probabilities are
     * computed again from lse, never more than a tile of them. dq, dk, dv overlap nothing that is read. */
    void (*attention_back)(ba_backend *be, const ba_train_attention *a, ba_view dout, ba_view dq, ba_view dk,
                           ba_view dv);

    /* As in backend.h, but out may be what operand_new made. NULL: nothing may be, and that of backend.h will do. */
    void (*glu)(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out);
    /* dgate and dup [rows, cols] from dout [rows, cols], for out = act(x[:, 0:cols]) x[:, cols:2 cols]. They may be
     * these columns of x. */
    void (*glu_back)(ba_backend *be, ba_act act, ba_view x, ba_view dout, size_t rows, size_t cols, ba_view dgate,
                     ba_view dup);

    /* Cross entropy of n rows of logits [n, vocab] with target ids, and the divergence KL(teacher || softmax(logits))
     * from the distribution of `teacher`, logits too (buf NULL: none).
     *   sum[0] += sum of -log P(target);  sum[1] += sum of KL
     *   logits = gradient of weight * the first + kl_weight * the second, in place of the logits */
    void (*cross_entropy)(ba_backend *be, ba_view logits, size_t n, size_t vocab, const int32_t *target, double weight,
                          ba_view teacher, double kl_weight, double sum[2]);

    /* Of trained parameters. Square root of the sum of all squares: not finite if one gradient is not. */
    double (*grad_norm)(ba_backend *be, ba_param *const *p, size_t n);
    void (*grad_zero)(ba_backend *be, ba_param *const *p, size_t n);
    /* One step; gradients stay. */
    void (*adamw)(ba_backend *be, ba_param *const *p, size_t n, const ba_adamw *cfg);
} ba_train_ops;

#endif
