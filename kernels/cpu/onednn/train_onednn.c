/* Tiles of training's products in bf16, by oneDNN within the calling thread. Weights are not packed: oneDNN takes an
 * operand in plain layout, turned or not, at the speed of its own one (measured: 228 against 233 GFLOP/s a core for 256
 * x 192 x 576), so one bf16 copy of a weight serves both directions. A primitive is kept for every shape. */
#include "kernels/cpu/train/train.h"

#ifdef BA_HAVE_DNNL
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

/* Of the OpenMP runtime that oneDNN is linked to: how many threads a parallel region of the calling thread gets. */
void omp_set_num_threads(int n);

enum { N_KEY = 7, SLOTS = 256 };

typedef struct made {
    struct made *next;
    size_t key[N_KEY]; /* m, n, k, strides and turns */
    dnnl_memory_desc_t a, b, c, scratch;
    dnnl_primitive_t primitive;
} made;

typedef struct onednn {
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr; /* work space is ours */
    dnnl_stream_t *stream;      /* [threads] */
    char **scratch;             /* [threads], of scratch_size bytes each */
    size_t threads, scratch_size;
    made *slot[SLOTS]; /* lists by hash of the key */
} onednn;

static void write_key(size_t m, size_t n, size_t k, ba_operand a, ba_operand b, size_t key[N_KEY]) {
    const size_t all[N_KEY] = {m, n, k, a.stride, b.stride, a.turned, b.turned};
    memcpy(key, all, sizeof all);
}

static size_t slot_of(const size_t key[N_KEY]) {
    uint64_t hash = 0;
    for (size_t i = 0; i < N_KEY; i++) {
        hash = (hash + key[i]) * 0x9e3779b97f4a7c15u;
    }
    return hash >> 32 & (SLOTS - 1);
}

static made *find(const onednn *d, const size_t key[N_KEY]) {
    made *m = d->slot[slot_of(key)];
    while (m && memcmp(m->key, key, sizeof m->key) != 0) {
        m = m->next;
    }
    return m;
}

static dnnl_status_t describe(dnnl_memory_desc_t *desc, size_t rows, size_t cols, ba_operand x, dnnl_data_type_t type) {
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    const dnnl_dims_t strides = {x.turned ? 1 : (dnnl_dim_t)x.stride, x.turned ? (dnnl_dim_t)x.stride : 1};
    return dnnl_memory_desc_init_by_strides(desc, 2, dims, type, strides);
}

/* Work space of every thread at least so large. 0, or -1. */
static int reserve(onednn *d, size_t size) {
    for (size_t i = 0; size > d->scratch_size && i < d->threads; i++) {
        free(d->scratch[i]);
        if (!(d->scratch[i] = ba_cpu_alloc(size, 1, 1, 1))) {
            d->scratch_size = 0;
            return -1;
        }
    }
    d->scratch_size = size > d->scratch_size ? size : d->scratch_size;
    return 0;
}

static int make(onednn *d, made *p, size_t m, size_t n, size_t k, ba_operand a, ba_operand b) {
    dnnl_matmul_desc_t product;
    dnnl_primitive_desc_t desc = NULL;
    omp_set_num_threads(1);
    if (describe(&p->a, m, k, a, dnnl_bf16) != dnnl_success || describe(&p->b, k, n, b, dnnl_bf16) != dnnl_success ||
        describe(&p->c, m, n, (ba_operand){NULL, n, false}, dnnl_f32) != dnnl_success ||
        dnnl_matmul_desc_init(&product, &p->a, &p->b, NULL, &p->c) != dnnl_success ||
        dnnl_primitive_desc_create(&desc, &product, d->attr, d->engine, NULL) != dnnl_success) {
        return -1;
    }
    p->scratch = *dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    int rc = reserve(d, dnnl_memory_desc_get_size(&p->scratch));
    if (!rc && dnnl_primitive_create(&p->primitive, desc) != dnnl_success) {
        p->primitive = NULL;
        rc = -1;
    }
    dnnl_primitive_desc_destroy(desc);
    return rc;
}

static int onednn_prepare(void *state, size_t m, size_t n, size_t k, ba_operand a, ba_operand b) {
    onednn *d = state;
    size_t key[N_KEY];
    write_key(m, n, k, a, b, key);
    if (find(d, key)) {
        return 0;
    }
    made *p = calloc(1, sizeof *p);
    if (!p || make(d, p, m, n, k, a, b)) {
        free(p);
        return -1;
    }
    memcpy(p->key, key, sizeof key);
    p->next = d->slot[slot_of(key)];
    d->slot[slot_of(key)] = p;
    return 0;
}

static int onednn_tile(const void *state, size_t worker, size_t m, size_t n, size_t k, ba_operand a, ba_operand b,
                       float *c) {
    enum { ARGS = 4 };
    const onednn *d = state;
    size_t key[N_KEY];
    write_key(m, n, k, a, b, key);
    const made *p = find(d, key);
    if (!p) {
        return -1;
    }
    const dnnl_memory_desc_t *desc[ARGS] = {&p->a, &p->b, &p->c, &p->scratch};
    union {
        const void *from;
        void *to;
    } const at[ARGS] = {{.from = a.at}, {.from = b.at}, {.to = c}, {.to = d->scratch[worker]}};
    dnnl_exec_arg_t arg[ARGS] = {
        {DNNL_ARG_SRC, NULL}, {DNNL_ARG_WEIGHTS, NULL}, {DNNL_ARG_DST, NULL}, {DNNL_ARG_SCRATCHPAD, NULL}};
    int rc = 0;
    for (size_t i = 0; i < ARGS && !rc; i++) {
        rc = dnnl_memory_create(&arg[i].memory, desc[i], d->engine, at[i].to) == dnnl_success ? 0 : -1;
    }
    if (!rc) {
        omp_set_num_threads(1);
        bool ran = dnnl_primitive_execute(p->primitive, d->stream[worker], ARGS, arg) == dnnl_success;
        rc = ran && dnnl_stream_wait(d->stream[worker]) == dnnl_success ? 0 : -1;
    }
    for (size_t i = 0; i < ARGS; i++) {
        if (arg[i].memory) {
            dnnl_memory_destroy(arg[i].memory);
        }
    }
    return rc;
}

static void onednn_close(void *state) {
    onednn *d = state;
    for (size_t i = 0; i < SLOTS; i++) {
        for (made *p = d->slot[i], *next; p; p = next) {
            next = p->next;
            dnnl_primitive_destroy(p->primitive);
            free(p);
        }
    }
    for (size_t i = 0; i < d->threads; i++) {
        if (d->stream && d->stream[i]) {
            dnnl_stream_destroy(d->stream[i]);
        }
        if (d->scratch) {
            free(d->scratch[i]);
        }
    }
    if (d->attr) {
        dnnl_primitive_attr_destroy(d->attr);
    }
    if (d->engine) {
        dnnl_engine_destroy(d->engine);
    }
    free(d->stream);
    free(d->scratch);
    free(d);
}

static int onednn_open(size_t threads, void **state, char err[BA_ERR_LEN]) {
    onednn *d = calloc(1, sizeof *d);
    if (!d) {
        return ba_fail(err, "out of memory");
    }
    d->threads = threads;
    d->stream = calloc(threads, sizeof *d->stream);
    d->scratch = calloc(threads, sizeof *d->scratch);
    bool ready = d->stream && d->scratch && dnnl_primitive_attr_create(&d->attr) == dnnl_success &&
                 dnnl_primitive_attr_set_scratchpad_mode(d->attr, dnnl_scratchpad_mode_user) == dnnl_success &&
                 dnnl_engine_create(&d->engine, dnnl_cpu, 0) == dnnl_success;
    for (size_t i = 0; ready && i < threads; i++) {
        ready = dnnl_stream_create(&d->stream[i], d->engine, dnnl_stream_default_flags) == dnnl_success;
    }
    if (!ready || reserve(d, 64)) {
        onednn_close(d);
        return ba_fail(err, "oneDNN cannot be started for training, or memory is out");
    }
    *state = d;
    return 0;
}

const ba_train_product ba_train_product_onednn = {.half = true,
                                                  .attention = &ba_train_multiply_openblas,
                                                  .copy_size = ba_train_half_size,
                                                  .renew = ba_train_half_renew,
                                                  .open = onednn_open,
                                                  .close = onednn_close,
                                                  .prepare = onednn_prepare,
                                                  .tile = onednn_tile};
#endif
