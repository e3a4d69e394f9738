/* Inside of the backend "ref", the oracle: everything in double, row-major, one thread, no libraries, every operation
 * written as its formula. Only files of this folder may include this. */
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
    float *transposed; /* [in, out]: decoded weights are exact in fp32 */
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

/* a * b * c zeroed elements of `size` bytes after `head` bytes; NULL if that overflows or there is no memory. */
void *ba_ref_alloc(size_t head, size_t a, size_t b, size_t c, size_t size);

/* Operations of the table, as documented in backend.h. */
ba_buf *ba_ref_buf_new(ba_backend *be, size_t rows, size_t cols);
void ba_ref_buf_free(ba_backend *be, ba_buf *buf);
void ba_ref_upload(ba_backend *be, ba_view dst, size_t rows, size_t cols, const double *src);
void ba_ref_download(ba_backend *be, ba_view src, size_t rows, size_t cols, double *dst);
void ba_ref_weight_free(ba_backend *be, ba_weight *w);
ba_weight *ba_ref_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]);
size_t ba_ref_weight_bytes(const ba_weight *w);
ba_freqs *ba_ref_freqs_new(ba_backend *be, const double *freq, size_t half_dim, double magnitude);
void ba_ref_freqs_free(ba_backend *be, ba_freqs *f);
ba_rot *ba_ref_rot_new(ba_backend *be, size_t rows, size_t half_dim);
void ba_ref_rot_free(ba_backend *be, ba_rot *rot);
void ba_ref_rot_fill(ba_backend *be, ba_rot *rot, size_t row0, size_t n, const double *pos, const ba_freqs *f);
void ba_ref_kv_free(ba_backend *be, ba_kv *kv);
ba_kv *ba_ref_kv_new(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity);
size_t ba_ref_kv_bytes(const ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity);
void ba_ref_kv_parts(ba_backend *be, ba_kv *kv, void *part[2], size_t bytes[2]);
ba_kv *ba_ref_kv_view(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity,
                      const void *bytes);
void ba_ref_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                     ba_view v, const ba_rot *rot, size_t rot_row);
void ba_ref_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                    const ba_rot *rot, size_t rot_row);
void ba_ref_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v);
void ba_ref_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                        size_t first_b, size_t n, double *out);
void ba_ref_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out);
void ba_ref_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add, bool stable);
void ba_ref_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_buf *gain, double eps,
                    ba_view out);
void ba_ref_add(ba_backend *be, ba_view x, ba_view y, size_t rows, size_t cols);
void ba_ref_glu(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out);
void ba_ref_gather(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst);
void ba_ref_attention(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                      const ba_attn_job *job, size_t n_jobs, ba_view q, ba_view out);
void ba_ref_kv_shift(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                     const double *from, const double *to);
void ba_ref_key_mass(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                     const ba_attn_job *job, ba_view q, bool mean_query, double *out);

#endif
