/* Weights in panels, in the layout that oneDNN chose. */
#include "kernels/backends.h"

#ifdef BA_HAVE_DNNL
#include "onednn_inside.h"

#include <stdlib.h>

enum { MANY = 2048 }; /* columns from which on panels are wide */

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Where index x of dimension dim lies: offsets of both dimensions add up. Blocks are listed from outer to inner. */
static size_t offset_of(const dnnl_memory_desc_t *desc, int dim, size_t x) {
    const dnnl_blocking_desc_t *b = &desc->format_desc.blocking;
    size_t offset = 0, step = 1;
    for (int i = b->inner_nblks; i-- > 0;) {
        size_t block = (size_t)b->inner_blks[i];
        if (b->inner_idxs[i] == dim) {
            offset += x % block * step;
            x /= block;
        }
        step *= block;
    }
    return offset + x * (size_t)b->strides[dim];
}

void ba_dnn_weight_free(ba_backend *be, ba_weight *weight) {
    if (weight) {
        ba_dnn_weight *w = (ba_dnn_weight *)weight;
        free(w->own);
        free(w->row);
        free(w->col);
        ba_cpu_weight_free(be, weight);
    }
}

size_t ba_dnn_panels(const ba_dnn_weight *w) {
    return (w->base.out + w->shape->cols - 1) / w->shape->cols;
}

static void pack_panels(const void *arg, size_t first, size_t last) {
    const ba_dnn_weight *w = arg;
    for (size_t o = first * w->shape->cols; o < min_size(last * w->shape->cols, w->base.out); o++) {
        uint16_t *to = w->own + o / w->shape->cols * w->shape->panel_size + w->col[o % w->shape->cols];
        const float *from = w->base.at + o * w->base.in;
        for (size_t i = 0; i < w->base.in; i++) {
            to[w->row[i]] = ba_bf16_round(from[i]);
        }
    }
}

/* Shape of the panels, and where in them an element lies, of a weight whose sizes are set. */
static int lay_out(ba_dnn *be, ba_dnn_weight *w, char err[BA_ERR_LEN]) {
    size_t in = w->base.in, out = w->base.out;
    w->shape = ba_dnn_find_shape(be, in, out < MANY ? BA_DNN_NARROW : BA_DNN_WIDE);
    if (!w->shape) {
        return ba_fail(err, "weight of %zu x %zu: oneDNN has no bf16 product for it, or memory is out", out, in);
    }
    w->row = ba_cpu_alloc(in, 1, 1, sizeof *w->row);
    w->col = ba_cpu_alloc(w->shape->cols, 1, 1, sizeof *w->col);
    if (!w->row || !w->col) {
        return ba_fail(err, "weight of %zu x %zu: out of memory", out, in);
    }
    for (size_t i = 0; i < in; i++) {
        w->row[i] = offset_of(&w->shape->panel, 0, i);
    }
    for (size_t o = 0; o < w->shape->cols; o++) {
        w->col[o] = offset_of(&w->shape->panel, 1, o);
    }
    return 0;
}

static int pack(ba_dnn *be, ba_dnn_weight *w, char err[BA_ERR_LEN]) {
    if (lay_out(be, w, err)) {
        return -1;
    }
    w->packed = w->own = ba_cpu_alloc(ba_dnn_panels(w), w->shape->panel_size, 1, sizeof *w->own);
    if (!w->own) {
        return ba_fail(err, "weight of %zu x %zu: out of memory", w->base.out, w->base.in);
    }
    ba_cpu_for(&be->bf16.cpu, ba_dnn_panels(w), w->base.in * w->shape->cols, pack_panels, w);
    return 0;
}

ba_weight *ba_dnn_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]) {
    ba_dnn_weight *w = ba_cpu_alloc(1, 1, 1, sizeof *w);
    ba_weight *wide = w ? ba_cpu_weight_as((ba_cpu *)be, src, n_src, false, err) : NULL;
    if (!w) {
        ba_fail(err, "weight: out of memory");
    }
    if (!wide) {
        free(w);
        return NULL;
    }
    w->base = *wide;
    free(wide);
    if (pack((ba_dnn *)be, w, err)) {
        ba_dnn_weight_free(be, &w->base);
        return NULL;
    }
    free(w->base.at);
    w->base.at = NULL;
    return &w->base;
}

const char *ba_dnn_packing(const ba_backend *be) {
    return ((const ba_dnn *)be)->packing;
}

/* FNV-1a over the places of all elements: oneDNN may choose other ones on another processor. */
static uint64_t layout_of(const ba_dnn_weight *w) {
    const struct {
        const size_t *at;
        size_t n;
    } part[] = {{w->row, w->base.in}, {w->col, w->shape->cols}, {&w->shape->panel_size, 1}};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t p = 0; p < sizeof part / sizeof *part; p++) {
        for (size_t i = 0; i < part[p].n; i++) {
            hash = (hash ^ part[p].at[i]) * UINT64_C(0x100000001b3);
        }
    }
    return hash;
}

ba_packed_view ba_dnn_weight_packed(const ba_weight *weight) {
    const ba_dnn_weight *w = (const ba_dnn_weight *)weight;
    return (ba_packed_view){w->packed, ba_dnn_panels(w) * w->shape->panel_size * sizeof *w->packed, layout_of(w)};
}

ba_weight *ba_dnn_weight_mapped(ba_backend *be, const ba_weight_src *src, size_t n_src, ba_packed_view packed) {
    char unused[BA_ERR_LEN];
    ba_dnn_weight *w = ba_cpu_alloc(1, 1, 1, sizeof *w);
    if (!w) {
        return NULL;
    }
    if (ba_weight_shape(src, n_src, &w->base.out, &w->base.in, unused) == 0 &&
        ba_cpu_weight_bias(&w->base, src, n_src) == 0 && lay_out((ba_dnn *)be, w, unused) == 0) {
        ba_packed_view expected = ba_dnn_weight_packed(&w->base);
        if (expected.size == packed.size && expected.layout == packed.layout) {
            w->packed = packed.data;
            return &w->base;
        }
    }
    ba_dnn_weight_free(be, &w->base);
    return NULL;
}

size_t ba_dnn_weight_bytes(const ba_weight *weight) {
    const ba_dnn_weight *w = (const ba_dnn_weight *)weight;
    return ba_dnn_panels(w) * w->shape->panel_size * sizeof *w->packed +
           (weight->bias ? weight->out * sizeof(float) : 0);
}

static void embed_row(const ba_weight *weight, size_t id, float scale, float *restrict out) {
    const ba_dnn_weight *w = (const ba_dnn_weight *)weight;
    const uint16_t *from = w->packed + id / w->shape->cols * w->shape->panel_size + w->col[id % w->shape->cols];
    for (size_t i = 0; i < weight->in; i++) {
        out[i] = ba_bf16_wide(from[w->row[i]]) * scale;
    }
}

void ba_dnn_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out) {
    ba_cpu_embed_by(be, w, ids, n, scale, out, embed_row);
}
#endif
