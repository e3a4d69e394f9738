#include "q8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t ba_q8_bytes(const ba_q8_shape *s) {
    return s->layers * 2 * s->kv_heads * s->head_dim * (sizeof(float) + s->n);
}

/* Values of one layer's K or V, [n, width]. */
static void code_part(const double *x, size_t n, size_t width, unsigned char *scales, int8_t *out) {
    for (size_t c = 0; c < width; c++) {
        double most = 0;
        for (size_t i = 0; i < n; i++) {
            most = fmax(most, fabs(x[i * width + c]));
        }
        float scale = (float)(most / 127);
        memcpy(scales + c * sizeof scale, &scale, sizeof scale);
        for (size_t i = 0; i < n; i++) {
            double q = scale > 0 ? nearbyint(x[i * width + c] / (double)scale) : 0;
            out[i * width + c] = (int8_t)fmax(-127, fmin(127, q));
        }
    }
}

int ba_q8_code(ba_backend *be, const ba_kv *kv, const ba_q8_shape *s, unsigned char *out) {
    size_t width = s->kv_heads * s->head_dim;
    double *x = malloc(s->n * width * sizeof *x);
    if (!x) {
        return -1;
    }
    int8_t *values = (int8_t *)out + s->layers * 2 * width * sizeof(float);
    for (size_t part = 0; part < 2 * s->layers; part++) {
        bool keys = part % 2 == 0;
        be->ops->kv_read(be, kv, part / 2, 0, s->n, keys ? x : NULL, keys ? NULL : x);
        code_part(x, s->n, width, out + part * width * sizeof(float), values + part * s->n * width);
    }
    free(x);
    return 0;
}

static void restore_part(const float *scale, const int8_t *from, size_t n, size_t width, double *x) {
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < width; c++) {
            x[i * width + c] = (double)scale[c] * from[i * width + c];
        }
    }
}

ba_kv *ba_q8_restore(ba_backend *be, const ba_q8_shape *s, const unsigned char *from) {
    const ba_backend_ops *ops = be->ops;
    const ba_counters before = be->count; /* bringing a block back is no work of a run */
    size_t width = s->kv_heads * s->head_dim;
    const int8_t *values = (const int8_t *)from + s->layers * 2 * width * sizeof(float);
    double *x = malloc(s->n * width * sizeof *x);
    float *scale = malloc(width * sizeof *scale);
    ba_buf *part[2] = {ops->buf_new(be, s->n, width), ops->buf_new(be, s->n, width)};
    ba_kv *kv = x && scale && part[0] && part[1] ? ops->kv_new(be, s->layers, s->kv_heads, s->head_dim, s->n) : NULL;
    for (size_t layer = 0; kv && layer < s->layers; layer++) {
        for (size_t p = 0; p < 2; p++) {
            size_t at = 2 * layer + p;
            memcpy(scale, from + at * width * sizeof *scale, width * sizeof *scale); /* any alignment */
            restore_part(scale, values + at * s->n * width, s->n, width, x);
            ops->upload(be, (ba_view){part[p], 0, 0}, s->n, width, x);
        }
        ops->kv_write(be, kv, layer, 0, NULL, s->n, (ba_view){part[0], 0, 0}, (ba_view){part[1], 0, 0}, NULL, 0);
    }
    for (size_t p = 0; p < 2; p++) {
        if (part[p]) {
            ops->buf_free(be, part[p]);
        }
    }
    free(x);
    free(scale);
    be->count = before;
    return kv;
}
