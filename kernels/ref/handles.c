/* Memory of the oracle: buffers, weights and rotations. */
#include "kernels/backends.h"
#include "kernels/base/sizes.h"
#include "ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double *ba_ref_scratch(ba_ref_backend *be, size_t n) {
    if (n > be->n_scratch) {
        double *more = realloc(be->scratch, n * sizeof *more);
        if (!more) {
            return NULL;
        }
        be->scratch = more;
        be->n_scratch = n;
    }
    return be->scratch;
}

void *ba_ref_alloc(size_t head, size_t a, size_t b, size_t c, size_t size) {
    size_t n;
    if (!ba_array_bytes(a, b, c, size, &n) || !ba_add_sizes(n, head, &n)) {
        return NULL;
    }
    return calloc(1, n ? n : 1);
}

ba_buf *ba_ref_buf_new(ba_backend *be, size_t rows, size_t cols) {
    (void)be;
    ba_buf *buf = ba_ref_alloc(sizeof *buf, rows, cols, 1, sizeof *buf->at);
    if (buf) {
        buf->cols = cols;
    }
    return buf;
}

void ba_ref_buf_free(ba_backend *be, ba_buf *buf) {
    (void)be;
    free(buf);
}

void ba_ref_upload(ba_backend *be, ba_view dst, size_t rows, size_t cols, const double *src) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        memcpy(ba_ref_row(dst, r), src + r * cols, cols * sizeof *src);
    }
}

void ba_ref_download(ba_backend *be, ba_view src, size_t rows, size_t cols, double *dst) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        memcpy(dst + r * cols, ba_ref_row(src, r), cols * sizeof *dst);
    }
}

void ba_ref_weight_free(ba_backend *be, ba_weight *w) {
    (void)be;
    if (w) {
        free(w->transposed);
        free(w->bias);
        free(w);
    }
}

/* Decodes one source into the columns of the transposed weight that start at out0. */
static void decode_source(ba_weight *w, const ba_weight_src *src, size_t out0, float *row) {
    const ba_dtype_info *type = ba_dtype_get(src->type);
    size_t row_bytes = src->cols / type->block * type->bytes;
    for (size_t r = 0; r < src->rows; r++) {
        size_t from = src->row_order ? src->row_order[r] : r;
        type->decode((const uint8_t *)src->data + from * row_bytes, row, src->cols);
        for (size_t i = 0; i < src->cols; i++) {
            w->transposed[i * w->out + out0 + r] = row[i];
        }
        if (src->bias) {
            w->bias[out0 + r] = src->bias[from];
        }
    }
}

ba_weight *ba_ref_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
    ba_weight shape;
    if (ba_weight_shape(src, n_src, &shape.out, &shape.in, err)) {
        return NULL;
    }
    ba_weight *w = ba_ref_alloc(0, 1, 1, 1, sizeof *w);
    float *row = ba_ref_alloc(0, shape.in, 1, 1, sizeof *row);
    if (w) {
        w->in = shape.in;
        w->out = shape.out;
        w->transposed = ba_ref_alloc(0, w->in, w->out, 1, sizeof *w->transposed);
        w->bias = ba_ref_alloc(0, w->out, 1, 1, sizeof *w->bias);
    }
    if (!w || !row || !w->transposed || !w->bias) {
        ba_ref_weight_free(be, w);
        free(row);
        ba_fail(err, "weight of %zu x %zu: out of memory", shape.out, shape.in);
        return NULL;
    }
    for (size_t s = 0, out0 = 0; s < n_src; out0 += src[s++].rows) {
        decode_source(w, &src[s], out0, row);
    }
    free(row);
    return w;
}

size_t ba_ref_weight_bytes(const ba_weight *w) {
    return w->in * w->out * sizeof *w->transposed + w->out * sizeof *w->bias;
}

ba_freqs *ba_ref_freqs_new(ba_backend *be, const double *freq, size_t half_dim, double magnitude) {
    (void)be;
    ba_freqs *f = ba_ref_alloc(sizeof *f, half_dim, 1, 1, sizeof *f->freq);
    if (f) {
        f->half = half_dim;
        f->magnitude = magnitude;
        memcpy(f->freq, freq, half_dim * sizeof *freq);
    }
    return f;
}

void ba_ref_freqs_free(ba_backend *be, ba_freqs *f) {
    (void)be;
    free(f);
}

ba_rot *ba_ref_rot_new(ba_backend *be, size_t rows, size_t half_dim) {
    (void)be;
    ba_rot *rot = ba_ref_alloc(sizeof *rot, rows, half_dim, 2, sizeof *rot->at);
    if (rot) {
        rot->half = half_dim;
    }
    return rot;
}

void ba_ref_rot_free(ba_backend *be, ba_rot *rot) {
    (void)be;
    free(rot);
}

void ba_ref_rot_fill(ba_backend *be, ba_rot *rot, size_t row0, size_t n, const double *pos, const ba_freqs *f) {
    (void)be;
    for (size_t r = 0; r < n; r++) {
        double *at = rot->at + (row0 + r) * rot->half * 2;
        for (size_t i = 0; i < rot->half; i++) {
            at[2 * i] = cos(pos[r] * f->freq[i]) * f->magnitude;
            at[2 * i + 1] = sin(pos[r] * f->freq[i]) * f->magnitude;
        }
    }
}

void ba_ref_rotate(const double *x, size_t dim, const ba_rot *rot, size_t row, double *out) {
    if (!rot) {
        memmove(out, x, dim * sizeof *out);
        return;
    }
    const double *at = rot->at + row * rot->half * 2;
    for (size_t i = 0; i < rot->half; i++) {
        double a = x[i], b = x[i + rot->half], cosine = at[2 * i], sine = at[2 * i + 1];
        out[i] = a * cosine - b * sine;
        out[i + rot->half] = b * cosine + a * sine;
    }
}
