/* Inside of the backend "ref", the oracle: everything in double, row-major, one thread, no libraries. Files: ref.c
 * (memory and row operations), ref_attention.c. Nothing outside these two may include this. */
#ifndef BA_REF_H
#define BA_REF_H

#include "kernels/backend.h"

typedef struct ba_ref_backend {
    ba_backend base;
    double *scratch; /* grow-only, see ba_ref_scratch */
    size_t n_scratch;
} ba_ref_backend;

struct ba_buf {
    size_t cols;
    double at[]; /* [rows, cols] */
};

struct ba_weight {
    size_t in, out;
    float *transposed; /* [in, out]: decoded weights are exactly representable in fp32 */
    double *bias;      /* [out] or NULL */
};

struct ba_freqs {
    size_t half;
    double magnitude;
    double freq[]; /* [half] */
};

struct ba_rot {
    size_t half;
    double at[]; /* [rows, half, 2]: cos, sin */
};

struct ba_kv {
    size_t layers, kv_heads, dim, capacity;
    double *k, *v; /* [layers, kv_heads, capacity, dim] */
    bool borrowed; /* k and v are the caller's */
};

/* First element of a view's row r. */
static inline double *ba_ref_row(ba_view view, size_t r) {
    return view.buf->at + (view.row0 + r) * view.buf->cols + view.col0;
}

static inline size_t ba_ref_token(const ba_kv *kv, size_t layer, size_t head, size_t token) {
    return ((layer * kv->kv_heads + head) * kv->capacity + token) * kv->dim;
}

/* Rotates one head: pair (i, i + half) by the angle of row `row`. rot NULL: a copy. In place is allowed. */
void ba_ref_rotate(const double *x, size_t dim, const ba_rot *rot, size_t row, double *out);

/* n doubles, valid until the next call; NULL if out of memory. */
double *ba_ref_scratch(ba_ref_backend *be, size_t n);

void ba_ref_attention(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                      const ba_attn_job *job, size_t n_jobs, ba_view q, ba_view out);

#endif
