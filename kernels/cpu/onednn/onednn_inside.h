/* Inside of the backend "onednn" (onednn.c), shared by onednn*.c. */
#ifndef BA_ONEDNN_INSIDE_H
#define BA_ONEDNN_INSIDE_H

#include "kernels/cpu/bf16/bf16.h"

#include <oneapi/dnnl/dnnl.h>

enum {
    BA_DNN_UNIT_ROWS = 8,
    BA_DNN_TILE_ROWS = 256,                                     /* the most */
    BA_DNN_NARROW = 64,                                         /* columns of a panel */
    BA_DNN_WIDE = 128,                                          /* where there are many */
    BA_DNN_PRIMITIVES = BA_DNN_TILE_ROWS / BA_DNN_UNIT_ROWS + 1 /* for one row, then for each number of units */
};

/* Products of one depth and panel width. */
typedef struct ba_dnn_shape {
    struct ba_dnn_shape *next;
    size_t in, cols;
    dnnl_memory_desc_t panel;                 /* in the layout that oneDNN chose */
    size_t panel_size;                        /* elements */
    dnnl_primitive_t made[BA_DNN_PRIMITIVES]; /* NULL: not needed so far */
    dnnl_memory_desc_t scratch[BA_DNN_PRIMITIVES];
} ba_dnn_shape;

typedef struct ba_dnn {
    ba_bf16 bf16;
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr; /* work space is ours */
    dnnl_stream_t *stream;      /* [threads] */
    char **scratch;             /* [threads]: what primitives work in, [scratch_size] bytes each */
    size_t scratch_size;
    size_t threads;
    ba_dnn_shape *shapes; /* list; freed with the backend */
    float *sum;           /* [threads, BA_DNN_TILE_ROWS, BA_DNN_WIDE] */
    bool rows_apart;
    char describe[192], packing[64];
} ba_dnn;

typedef struct ba_dnn_weight {
    ba_weight base; /* sizes and bias */
    ba_dnn_shape *shape;
    const uint16_t *packed; /* [panels, shape->panel_size] */
    uint16_t *own;          /* the same if it is ours, NULL if it is a file's */
    size_t *row, *col;      /* [in], [shape->cols]: element (i, o) of a panel lies at row[i] + col[o] */
} ba_dnn_weight;

/* onednn_primitive.c: the shape of that depth and width, made if need be; NULL: oneDNN cannot. */
ba_dnn_shape *ba_dnn_find_shape(ba_dnn *be, size_t in, size_t cols);
void ba_dnn_shape_free(ba_dnn_shape *s);
/* Index of the primitive for so many rows. */
size_t ba_dnn_index(size_t rows);
/* Makes a primitive of a shape; at its first, oneDNN chooses the layout of the panels. 0, or -1. */
int ba_dnn_make(ba_dnn *be, ba_dnn_shape *s, size_t index);
/* out [rows of the primitive, s->cols] = x panel, within the calling thread. 0, or -1. */
int ba_dnn_run(const ba_dnn *be, const ba_dnn_shape *s, size_t index, size_t worker, const uint16_t *x,
               const uint16_t *panel, float *out);

/* onednn_probe.c: finds out be->rows_apart. 0, or -1: it cannot be done. */
int ba_dnn_probe_rows(ba_dnn *be);

/* onednn_weight.c: how many panels a weight has, and operations of the table. */
size_t ba_dnn_panels(const ba_dnn_weight *w);
ba_weight *ba_dnn_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]);
void ba_dnn_weight_free(ba_backend *be, ba_weight *weight);
size_t ba_dnn_weight_bytes(const ba_weight *weight);
const char *ba_dnn_packing(const ba_backend *be);
ba_packed_view ba_dnn_weight_packed(const ba_weight *weight);
ba_weight *ba_dnn_weight_mapped(ba_backend *be, const ba_weight_src *src, size_t n_src, ba_packed_view packed);
void ba_dnn_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out);

#endif
