/* The oracle of training's attention, row by row.
 *
 * With scores s[j] = scale * score_scale * <R q, k[j]> + score_bias, probabilities p[j] = exp(s[j] - lse) over all
 * segments together, and out = sum p[j] v[j]:
 *   dv[j] += p[j] dout
 *   ds[j]  = p[j] (<dout, v[j]> - <dout, out>)          since <dout, out> = sum p[j] <dout, v[j]>
 *   dk[j] += ds[j] scale score_scale R q
 *   dq    += R^T sum ds[j] scale score_scale k[j]        with the R of the segment */
#include "train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ba_ref_rotate_back(const double *x, const ba_rot *rot, size_t row, double *out) {
    const double *at = rot->at + row * rot->half * 2;
    for (size_t i = 0; i < rot->half; i++) {
        double a = x[i], b = x[i + rot->half], cosine = at[2 * i], sine = at[2 * i + 1];
        out[i] = a * cosine + b * sine;
        out[i + rot->half] = b * cosine - a * sine;
    }
}

static double dot(const double *x, const double *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i] * y[i];
    }
    return sum;
}

/* y += scale x */
static void axpy(double *y, double scale, const double *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        y[i] += scale * x[i];
    }
}

/* One head of one query row. */
typedef struct query {
    const ba_train_attention *a;
    const ba_train_job *job;
    size_t row, head; /* row counted from the job's first */
    double *q;        /* [dim] rotated for the current segment */
} query;

/* One head of a row of a view. */
static double *head_of(ba_view view, size_t row, size_t head, size_t dim) {
    return ba_ref_row(view, row) + head * dim;
}

static size_t kv_head(const query *x) {
    return x->head / (x->a->heads / x->a->kv_heads);
}

static void rotate_for(const query *x, const ba_train_segment *seg) {
    size_t dim = x->a->head_dim;
    ba_ref_rotate(head_of(x->a->q, x->job->row0 + x->row, x->head, dim), dim, x->a->rot, seg->rot_row + x->row, x->q);
}

static double score(const query *x, const ba_train_segment *seg, size_t key) {
    const double *k = head_of(x->a->k, seg->key0 + key, kv_head(x), x->a->head_dim);
    return x->a->scale * seg->score_scale * dot(x->q, k, x->a->head_dim) + seg->score_bias;
}

static void forward(const query *x) {
    const ba_train_attention *a = x->a;
    double max = -INFINITY, sum = 0, *out = head_of(a->out, x->job->row0 + x->row, x->head, a->head_dim);
    for (int pass = 0; pass < 2; pass++) { /* the maximum first */
        for (size_t s = 0; s < x->job->n_seg; s++) {
            const ba_train_segment *seg = &x->job->seg[s];
            ba_range see = ba_train_sees(seg, x->row);
            rotate_for(x, seg);
            for (size_t j = see.lo; j < see.hi; j++) {
                double value = score(x, seg, j);
                if (pass == 0) {
                    max = value > max ? value : max;
                    continue;
                }
                sum += exp(value - max);
                axpy(out, exp(value - max), head_of(a->v, seg->key0 + j, kv_head(x), a->head_dim), a->head_dim);
            }
        }
    }
    for (size_t d = 0; sum > 0 && d < a->head_dim; d++) {
        out[d] /= sum;
    }
    ba_ref_row((ba_view){a->lse, 0, 0}, x->job->row0 + x->row)[x->head] = sum > 0 ? max + log(sum) : -INFINITY;
}

/* dq_rotated: [dim] of work space. */
static void backward(const query *x, ba_view dout_view, ba_view dq, ba_view dk, ba_view dv, double *dq_rotated) {
    const ba_train_attention *a = x->a;
    size_t dim = a->head_dim, row = x->job->row0 + x->row, kv = kv_head(x);
    const double *dout = head_of(dout_view, row, x->head, dim);
    double lse = ba_ref_row((ba_view){a->lse, 0, 0}, row)[x->head];
    double mean = dot(dout, head_of(a->out, row, x->head, dim), dim);
    for (size_t s = 0; s < x->job->n_seg; s++) {
        const ba_train_segment *seg = &x->job->seg[s];
        ba_range see = ba_train_sees(seg, x->row);
        rotate_for(x, seg);
        memset(dq_rotated, 0, dim * sizeof *dq_rotated);
        for (size_t j = see.lo; j < see.hi; j++) {
            size_t key = seg->key0 + j;
            double p = exp(score(x, seg, j) - lse);
            double ds = p * (dot(dout, head_of(a->v, key, kv, dim), dim) - mean) * a->scale * seg->score_scale;
            axpy(head_of(dv, key, kv, dim), p, dout, dim);
            axpy(head_of(dk, key, kv, dim), ds, x->q, dim);
            axpy(dq_rotated, ds, head_of(a->k, key, kv, dim), dim);
        }
        ba_ref_rotate_back(dq_rotated, a->rot, seg->rot_row + x->row, dq_rotated);
        axpy(head_of(dq, row, x->head, dim), 1, dq_rotated, dim);
    }
}

static void clear(ba_view x, size_t rows, size_t cols, double to) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < cols; i++) {
            ba_ref_row(x, r)[i] = to;
        }
    }
}

void ba_train_ref_attention(ba_backend *be, const ba_train_attention *a) {
    double *q = ba_ref_scratch((ba_ref_backend *)be, a->head_dim);
    clear(a->out, a->rows, a->heads * a->head_dim, q ? 0 : NAN);
    clear((ba_view){a->lse, 0, 0}, a->rows, a->heads, -INFINITY);
    be->no_memory = be->no_memory || !q;
    for (size_t j = 0; q && j < a->mask->n_jobs; j++) {
        const ba_train_job *job = &a->mask->job[j];
        for (size_t i = 0; i < job->rows * a->heads; i++) {
            forward(&(query){a, job, i / a->heads, i % a->heads, q});
        }
    }
}

void ba_train_ref_attention_back(ba_backend *be, const ba_train_attention *a, ba_view dout, ba_view dq, ba_view dk,
                                 ba_view dv) {
    double *q = ba_ref_scratch((ba_ref_backend *)be, 2 * a->head_dim);
    clear(dq, a->rows, a->heads * a->head_dim, q ? 0 : NAN);
    clear(dk, a->rows, a->kv_heads * a->head_dim, 0);
    clear(dv, a->rows, a->kv_heads * a->head_dim, 0);
    be->no_memory = be->no_memory || !q;
    for (size_t j = 0; q && j < a->mask->n_jobs; j++) {
        const ba_train_job *job = &a->mask->job[j];
        for (size_t i = 0; i < job->rows * a->heads; i++) {
            backward(&(query){a, job, i / a->heads, i % a->heads, q}, dout, dq, dk, dv, q + a->head_dim);
        }
    }
}
