/* oneDNN's products as this backend calls them, kept by shape. */
#include "kernels/backends.h"

#ifdef BA_HAVE_DNNL
#include "onednn_inside.h"

#include <stdlib.h>

/* Of the OpenMP runtime that oneDNN is linked to: how many threads a parallel region of the calling thread gets. */
void omp_set_num_threads(int n);

static dnnl_memory_desc_t matrix(size_t rows, size_t cols, dnnl_data_type_t type, dnnl_format_tag_t layout) {
    dnnl_memory_desc_t desc = {0};
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    if (dnnl_memory_desc_init_by_tag(&desc, 2, dims, type, layout) != dnnl_success) {
        desc.ndims = 0; /* which no primitive takes */
    }
    return desc;
}

static size_t primitive_rows(size_t index) {
    return index ? index * BA_DNN_UNIT_ROWS : 1;
}

size_t ba_dnn_index(size_t rows) {
    return rows == 1 ? 0 : (rows + BA_DNN_UNIT_ROWS - 1) / BA_DNN_UNIT_ROWS;
}

/* Work space of the caller's: the library's own would belong to the thread that made the primitive. 0, or -1. */
static int reserve_scratch(ba_dnn *be, size_t size) {
    for (size_t i = 0; i < be->threads && size > be->scratch_size; i++) {
        free(be->scratch[i]);
        be->scratch[i] = ba_cpu_alloc(size, 1, 1, 1);
    }
    for (size_t i = 0; i < be->threads; i++) {
        if (!be->scratch[i]) {
            be->scratch_size = 0;
            return -1;
        }
    }
    be->scratch_size = size > be->scratch_size ? size : be->scratch_size;
    return 0;
}

int ba_dnn_make(ba_dnn *be, ba_dnn_shape *s, size_t index) {
    size_t rows = primitive_rows(index);
    bool first = s->panel.ndims == 0;
    dnnl_memory_desc_t x = matrix(rows, s->in, dnnl_bf16, dnnl_ab), out = matrix(rows, s->cols, dnnl_f32, dnnl_ab);
    dnnl_memory_desc_t w = first ? matrix(s->in, s->cols, dnnl_bf16, dnnl_format_tag_any) : s->panel;
    dnnl_matmul_desc_t product;
    dnnl_primitive_desc_t desc = NULL;
    omp_set_num_threads(1);
    if (dnnl_matmul_desc_init(&product, &x, &w, NULL, &out) != dnnl_success ||
        dnnl_primitive_desc_create(&desc, &product, be->attr, be->engine, NULL) != dnnl_success) {
        return -1;
    }
    if (first) {
        s->panel = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
        s->panel_size = dnnl_memory_desc_get_size(&s->panel) / sizeof(uint16_t);
    }
    s->scratch[index] = *dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    bool known = s->panel.format_kind == dnnl_blocked && s->panel.extra.flags == 0 && s->panel.offset0 == 0;
    int status = known ? reserve_scratch(be, dnnl_memory_desc_get_size(&s->scratch[index])) : -1;
    if (status == 0) {
        status = dnnl_primitive_create(&s->made[index], desc) == dnnl_success ? 0 : -1;
    }
    dnnl_primitive_desc_destroy(desc);
    return status;
}

void ba_dnn_shape_free(ba_dnn_shape *s) {
    for (size_t i = 0; i < BA_DNN_PRIMITIVES; i++) {
        if (s->made[i]) {
            dnnl_primitive_destroy(s->made[i]);
        }
    }
    free(s);
}

ba_dnn_shape *ba_dnn_find_shape(ba_dnn *be, size_t in, size_t cols) {
    for (ba_dnn_shape *s = be->shapes; s; s = s->next) {
        if (s->in == in && s->cols == cols) {
            return s;
        }
    }
    ba_dnn_shape *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->in = in;
    s->cols = cols;
    if (ba_dnn_make(be, s, BA_DNN_PRIMITIVES - 1)) {
        ba_dnn_shape_free(s);
        return NULL;
    }
    s->next = be->shapes;
    be->shapes = s;
    return s;
}

int ba_dnn_run(const ba_dnn *be, const ba_dnn_shape *s, size_t index, size_t worker, const uint16_t *x,
               const uint16_t *panel, float *out) {
    enum { ARGS = 4 };
    size_t rows = primitive_rows(index);
    dnnl_memory_desc_t desc[ARGS] = {matrix(rows, s->in, dnnl_bf16, dnnl_ab), s->panel,
                                     matrix(rows, s->cols, dnnl_f32, dnnl_ab), s->scratch[index]};
    union {
        const void *from;
        void *to;
    } const at[ARGS] = {{.from = x},
                        {.from = panel},
                        {.to = out},
                        {.to = be->scratch[worker]}}; /* the library takes what it reads without const */
    dnnl_exec_arg_t arg[ARGS] = {
        {DNNL_ARG_SRC, NULL}, {DNNL_ARG_WEIGHTS, NULL}, {DNNL_ARG_DST, NULL}, {DNNL_ARG_SCRATCHPAD, NULL}};
    int status = s->made[index] ? 0 : -1;
    for (size_t i = 0; i < ARGS && status == 0; i++) {
        status = dnnl_memory_create(&arg[i].memory, &desc[i], be->engine, at[i].to) == dnnl_success ? 0 : -1;
    }
    if (status == 0) {
        omp_set_num_threads(1);
        bool ran = dnnl_primitive_execute(s->made[index], be->stream[worker], ARGS, arg) == dnnl_success;
        status = ran && dnnl_stream_wait(be->stream[worker]) == dnnl_success ? 0 : -1;
    }
    for (size_t i = 0; i < ARGS; i++) {
        if (arg[i].memory) {
            dnnl_memory_destroy(arg[i].memory);
        }
    }
    return status;
}
#endif
