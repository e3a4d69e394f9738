#include "ref.h"

#include "kernels/backends.h"
#include "kernels/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ref_open(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    (void)cfg; /* one thread is all it uses */
    ba_ref_backend *be = calloc(1, sizeof *be);
    if (!be) {
        return ba_fail(err, "backend ref: out of memory");
    }
    be->base = (ba_backend){
        .ops = &ba_ref, .real_size = sizeof(double), .weight_size = sizeof(float), .kv_size = sizeof(double)};
    *out = &be->base;
    return 0;
}

static void ref_close(ba_backend *be) {
    ba_ref_backend *ref = (ba_ref_backend *)be;
    free(ref->scratch);
    free(ref);
}

static const char *ref_describe(const ba_backend *be) {
    (void)be;
    return "plain C in double precision, one thread";
}

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

/* a * b * c elements of `size` bytes behind `head` bytes; NULL if that overflows or there is no memory. */
static void *alloc(size_t head, size_t a, size_t b, size_t c, size_t size) {
    size_t n;
    if (__builtin_mul_overflow(a, b, &n) || __builtin_mul_overflow(n, c, &n) || __builtin_mul_overflow(n, size, &n) ||
        __builtin_add_overflow(n, head, &n)) {
        return NULL;
    }
    return calloc(1, n ? n : 1);
}

static ba_buf *ref_buf_new(ba_backend *be, size_t rows, size_t cols) {
    (void)be;
    ba_buf *buf = alloc(sizeof *buf, rows, cols, 1, sizeof *buf->at);
    if (buf) {
        buf->cols = cols;
    }
    return buf;
}

static void ref_buf_free(ba_backend *be, ba_buf *buf) {
    (void)be;
    free(buf);
}

static void ref_upload(ba_backend *be, ba_view dst, size_t rows, size_t cols, const double *src) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        memcpy(ba_ref_row(dst, r), src + r * cols, cols * sizeof *src);
    }
}

static void ref_download(ba_backend *be, ba_view src, size_t rows, size_t cols, double *dst) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        memcpy(dst + r * cols, ba_ref_row(src, r), cols * sizeof *dst);
    }
}

static void ref_weight_free(ba_backend *be, ba_weight *w) {
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

static ba_weight *ref_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
    ba_weight shape;
    if (ba_weight_shape(src, n_src, &shape.out, &shape.in, err)) {
        return NULL;
    }
    ba_weight *w = alloc(0, 1, 1, 1, sizeof *w);
    float *row = alloc(0, shape.in, 1, 1, sizeof *row);
    if (w) {
        w->in = shape.in;
        w->out = shape.out;
        w->transposed = alloc(0, w->in, w->out, 1, sizeof *w->transposed);
        w->bias = alloc(0, w->out, 1, 1, sizeof *w->bias);
    }
    if (!w || !row || !w->transposed || !w->bias) {
        ref_weight_free(be, w);
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

static size_t ref_weight_bytes(const ba_weight *w) {
    return w->in * w->out * sizeof *w->transposed + w->out * sizeof *w->bias;
}

static ba_freqs *ref_freqs_new(ba_backend *be, const double *freq, size_t half_dim, double magnitude) {
    (void)be;
    ba_freqs *f = alloc(sizeof *f, half_dim, 1, 1, sizeof *f->freq);
    if (f) {
        f->half = half_dim;
        f->magnitude = magnitude;
        memcpy(f->freq, freq, half_dim * sizeof *freq);
    }
    return f;
}

static void ref_freqs_free(ba_backend *be, ba_freqs *f) {
    (void)be;
    free(f);
}

static ba_rot *ref_rot_new(ba_backend *be, size_t rows, size_t half_dim) {
    (void)be;
    ba_rot *rot = alloc(sizeof *rot, rows, half_dim, 2, sizeof *rot->at);
    if (rot) {
        rot->half = half_dim;
    }
    return rot;
}

static void ref_rot_free(ba_backend *be, ba_rot *rot) {
    (void)be;
    free(rot);
}

static void ref_rot_fill(ba_backend *be, ba_rot *rot, size_t row0, size_t n, const double *pos, const ba_freqs *f) {
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

static void ref_kv_free(ba_backend *be, ba_kv *kv) {
    (void)be;
    if (kv && !kv->borrowed) {
        free(kv->k);
        free(kv->v);
    }
    free(kv);
}

static ba_kv *ref_kv_new(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity) {
    ba_kv *kv = alloc(0, 1, 1, 1, sizeof *kv);
    size_t tokens;
    if (!kv || __builtin_mul_overflow(layers, kv_heads, &tokens)) {
        free(kv);
        return NULL;
    }
    *kv = (ba_kv){layers, kv_heads, head_dim, capacity, NULL, NULL, false};
    kv->k = alloc(0, tokens, capacity, head_dim, sizeof *kv->k);
    kv->v = alloc(0, tokens, capacity, head_dim, sizeof *kv->v);
    if (!kv->k || !kv->v) {
        ref_kv_free(be, kv);
        return NULL;
    }
    return kv;
}

static size_t ref_kv_bytes(const ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity) {
    return 2 * layers * kv_heads * head_dim * capacity * be->kv_size;
}

static void ref_kv_parts(ba_backend *be, ba_kv *kv, void *part[2], size_t bytes[2]) {
    part[0] = kv->k;
    part[1] = kv->v;
    bytes[0] = bytes[1] = kv->layers * kv->kv_heads * kv->dim * kv->capacity * be->kv_size;
}

static ba_kv *ref_kv_view(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity,
                          const void *bytes) {
    ba_kv *kv = alloc(0, 1, 1, 1, sizeof *kv);
    (void)be;
    if (kv) {
        double *k = (void *)bytes; /* never written: the engine writes to KV that it made */
        *kv = (ba_kv){layers, kv_heads, head_dim, capacity, k, k + layers * kv_heads * head_dim * capacity, true};
    }
    return kv;
}

static void ref_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                         ba_view v, const ba_rot *rot, size_t rot_row) {
    for (size_t i = 0; i < n; i++) {
        for (size_t h = 0; h < kv->kv_heads; h++) {
            size_t to = ba_ref_token(kv, layer, h, token ? (size_t)token[i] : at + i);
            ba_ref_rotate(ba_ref_row(k, i) + h * kv->dim, kv->dim, rot, rot_row + i, kv->k + to);
            memcpy(kv->v + to, ba_ref_row(v, i) + h * kv->dim, kv->dim * sizeof *kv->v);
        }
    }
    ba_count_kv_write(be, 2 * n * kv->kv_heads * kv->dim);
}

static void ref_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                        const ba_rot *rot, size_t rot_row) {
    for (size_t h = 0; h < src->kv_heads; h++) {
        for (size_t i = 0; i < n; i++) {
            size_t from = ba_ref_token(src, layer, h, first + i), to = ba_ref_token(dst, layer, h, at + i);
            ba_ref_rotate(src->k + from, src->dim, rot, rot_row + i, dst->k + to);
            memcpy(dst->v + to, src->v + from, src->dim * sizeof *src->v);
        }
    }
    ba_count_kv_copy(be, 2 * n * src->kv_heads * src->dim);
}

static void ref_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v) {
    (void)be;
    for (size_t i = 0; i < n; i++) {
        for (size_t h = 0; h < kv->kv_heads; h++) {
            size_t from = ba_ref_token(kv, layer, h, first + i), to = (i * kv->kv_heads + h) * kv->dim;
            if (k) {
                memcpy(k + to, kv->k + from, kv->dim * sizeof *k);
            }
            if (v) {
                memcpy(v + to, kv->v + from, kv->dim * sizeof *v);
            }
        }
    }
}

static void ref_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a,
                            const ba_kv *b, size_t first_b, size_t n, double *out) {
    (void)be;
    const double *from_a = part == BA_KV_K ? a->k : a->v, *from_b = part == BA_KV_K ? b->k : b->v;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t h = 0; h < a->kv_heads; h++) {
            const double *x = from_a + ba_ref_token(a, layer, h, first_a + i);
            const double *y = from_b + ba_ref_token(b, layer, h, first_b + i);
            for (size_t d = 0; d < a->dim; d++) {
                sum += (x[d] - y[d]) * (x[d] - y[d]);
            }
        }
        out[i] = sum;
    }
}

static void ref_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out) {
    for (size_t r = 0; r < n; r++) {
        double *to = ba_ref_row(out, r);
        for (size_t i = 0; i < w->in; i++) {
            to[i] = w->transposed[i * w->out + (size_t)ids[r]] * scale;
        }
    }
    ba_count_embed(be, n, w->in);
}

static void ref_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add, bool stable) {
    (void)stable; /* always is */
    for (size_t r = 0; r < rows; r++) {
        double *to = ba_ref_row(out, r);
        for (size_t o = 0; o < w->out; o++) {
            to[o] = (add ? to[o] : 0) + w->bias[o];
        }
    }
    for (size_t i = 0; i < w->in; i++) {
        const float *column = w->transposed + i * w->out;
        for (size_t r = 0; r < rows; r++) {
            double *restrict to = ba_ref_row(out, r);
            double factor = ba_ref_row(x, r)[i];
            for (size_t o = 0; o < w->out; o++) {
                to[o] += factor * column[o];
            }
        }
    }
    ba_count_linear(be, rows, w->in, w->out, add);
}

static void ref_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_buf *gain,
                        double eps, ba_view out) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        for (size_t g = 0; g < groups; g++) {
            const double *from = ba_ref_row(x, r) + g * cols;
            double *to = ba_ref_row(out, r) + g * cols;
            double sum = 0;
            for (size_t i = 0; i < cols; i++) {
                sum += from[i] * from[i];
            }
            double factor = 1 / sqrt(sum / (double)cols + eps);
            for (size_t i = 0; i < cols; i++) {
                to[i] = from[i] * factor * gain->at[i];
            }
        }
    }
}

static void ref_add(ba_backend *be, ba_view x, ba_view y, size_t rows, size_t cols) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        double *to = ba_ref_row(x, r);
        const double *from = ba_ref_row(y, r);
        for (size_t i = 0; i < cols; i++) {
            to[i] += from[i];
        }
    }
}

static double activate(ba_act act, double x) {
    if (act == BA_ACT_SILU) {
        return x / (1 + exp(-x));
    }
    double inner = 0.79788456080286535588 * (x + 0.044715 * x * x * x); /* sqrt(2 / pi) */
    return 0.5 * x * (1 + tanh(inner));
}

static void ref_glu(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out) {
    (void)be;
    for (size_t r = 0; r < rows; r++) {
        const double *gate = ba_ref_row(x, r), *up = gate + cols;
        double *to = ba_ref_row(out, r);
        for (size_t i = 0; i < cols; i++) {
            to[i] = activate(act, gate[i]) * up[i];
        }
    }
}

static void ref_gather(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst) {
    (void)be;
    for (size_t i = 0; i < n; i++) {
        memmove(ba_ref_row(dst, i), ba_ref_row(src, row[i]), cols * sizeof(double));
    }
}

const ba_backend_ops ba_ref = {
    .name = "ref",
    .summary = "the oracle: plain C in double precision, one thread",
    .dtype = "f64",
    .open = ref_open,
    .close = ref_close,
    .describe = ref_describe,
    .buf_new = ref_buf_new,
    .operand_new = ref_buf_new,
    .buf_free = ref_buf_free,
    .upload = ref_upload,
    .download = ref_download,
    .weight_new = ref_weight_new,
    .weight_free = ref_weight_free,
    .weight_bytes = ref_weight_bytes,
    .freqs_new = ref_freqs_new,
    .freqs_free = ref_freqs_free,
    .rot_new = ref_rot_new,
    .rot_free = ref_rot_free,
    .rot_fill = ref_rot_fill,
    .kv_new = ref_kv_new,
    .kv_free = ref_kv_free,
    .kv_bytes = ref_kv_bytes,
    .kv_parts = ref_kv_parts,
    .kv_view = ref_kv_view,
    .kv_write = ref_kv_write,
    .kv_copy = ref_kv_copy,
    .kv_read = ref_kv_read,
    .kv_distance = ref_kv_distance,
    .embed = ref_embed,
    .linear = ref_linear,
    .rmsnorm = ref_rmsnorm,
    .add = ref_add,
    .glu = ref_glu,
    .gather = ref_gather,
    .attention = ba_ref_attention,
    .train = &ba_train_ref,
};
