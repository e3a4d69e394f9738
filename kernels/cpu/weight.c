/* Weights in fp32: decoded, stacked and packed, and single rows of them. */
#include "cpu.h"

#include "kernels/backends.h"
#include "kernels/base/sizes.h"
#include "kernels/count.h"

#include <stdlib.h>

/* Element (row, 0) of a weight; the elements of a row are weight_step apart. */
static float *weight_row(const ba_weight *w, size_t row) {
    return w->at + (w->packed ? row / BA_KEYS * w->in * BA_KEYS + row % BA_KEYS : row * w->in);
}

static size_t weight_step(const ba_weight *w) {
    return w->packed ? BA_KEYS : 1;
}

typedef struct decoding {
    ba_weight *w;
    const ba_weight_src *src;
    size_t out0;
} decoding;

static void decode_rows(const void *arg, size_t first, size_t last) {
    enum { PIECE = 256 }; /* a multiple of every block */
    const decoding *d = arg;
    const ba_dtype_info *type = ba_dtype_get(d->src->type);
    size_t in = d->w->in, row_bytes = in / type->block * type->bytes, step = weight_step(d->w);
    for (size_t r = first; r < last; r++) {
        size_t from = d->src->row_order ? d->src->row_order[r] : r;
        const uint8_t *data = (const uint8_t *)d->src->data + from * row_bytes;
        float *to = weight_row(d->w, d->out0 + r), piece[PIECE];
        for (size_t i = 0; i < in; i += PIECE) {
            size_t n = ba_min_size(PIECE, in - i);
            type->decode(data + i / type->block * type->bytes, piece, n);
            for (size_t k = 0; k < n; k++) {
                to[(i + k) * step] = piece[k];
            }
        }
    }
}

int ba_cpu_weight_bias(ba_weight *w, const ba_weight_src *src, size_t n_src) {
    bool bias = false;
    for (size_t s = 0; s < n_src; s++) {
        bias = bias || src[s].bias;
    }
    w->bias = bias ? ba_cpu_alloc(w->out, 1, 1, sizeof *w->bias) : NULL;
    for (size_t s = 0, out0 = 0; w->bias && s < n_src; out0 += src[s++].rows) {
        for (size_t r = 0; src[s].bias && r < src[s].rows; r++) {
            w->bias[out0 + r] = src[s].bias[src[s].row_order ? src[s].row_order[r] : r];
        }
    }
    return bias && !w->bias ? -1 : 0;
}

ba_weight *ba_cpu_weight_as(ba_cpu *cpu, const ba_weight_src *src, size_t n_src, bool packed, char err[BA_ERR_LEN]) {
    size_t in, out;
    int status = -1;
    if (ba_weight_shape(src, n_src, &out, &in, err)) {
        return NULL;
    }
    ba_weight *w = malloc(sizeof *w);
    if (w) {
        size_t tiles = out / BA_KEYS + (out % BA_KEYS != 0);
        float *at = packed ? ba_cpu_alloc(tiles, in, BA_KEYS, sizeof *at) : ba_cpu_alloc(out, in, 1, sizeof *at);
        *w = (ba_weight){in, out, packed, at, NULL};
        status = ba_cpu_weight_bias(w, src, n_src);
    }
    if (!w || !w->at || status) {
        ba_cpu_weight_free(&cpu->base, w);
        ba_fail(err, "weight of %zu x %zu: out of memory", out, in);
        return NULL;
    }
    for (size_t s = 0, out0 = 0; s < n_src; out0 += src[s++].rows) {
        decoding d = {w, &src[s], out0};
        ba_cpu_for(cpu, src[s].rows, in, decode_rows, &d);
    }
    return w;
}

ba_weight *ba_cpu_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
    return ba_cpu_weight_as((ba_cpu *)be, src, n_src, true, err);
}

void ba_cpu_weight_free(ba_backend *be, ba_weight *w) {
    (void)be;
    if (w) {
        free(w->at);
        free(w->bias);
        free(w);
    }
}

size_t ba_cpu_weight_bytes(const ba_weight *w) {
    size_t rows = w->packed ? (w->out + BA_KEYS - 1) / BA_KEYS * BA_KEYS : w->out;
    return (w->in * rows + (w->bias ? w->out : 0)) * sizeof *w->at;
}

typedef struct lookup {
    const ba_weight *w;
    const int32_t *ids;
    float scale;
    ba_embed_row row;
    ba_view out;
} lookup;

static void embed_rows(const void *arg, size_t first, size_t last) {
    const lookup *l = arg;
    for (size_t r = first; r < last; r++) {
        l->row(l->w, (size_t)l->ids[r], l->scale, ba_cpu_row(l->out, r));
    }
}

void ba_cpu_embed_by(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out,
                     ba_embed_row row) {
    lookup l = {w, ids, (float)scale, row, out};
    ba_cpu_for((ba_cpu *)be, n, w->in, embed_rows, &l);
    ba_count_embed(be, n, w->in);
}

static void embed_row(const ba_weight *w, size_t id, float scale, float *restrict out) {
    size_t step = weight_step(w);
    const float *restrict from = weight_row(w, id);
    for (size_t i = 0; i < w->in; i++) {
        out[i] = from[i * step] * scale;
    }
}

void ba_cpu_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out) {
    ba_cpu_embed_by(be, w, ids, n, scale, out, embed_row);
}
