/* Operations of training whose results are only multiplied: norms, gated units, and the gradients of gated units. The
 * results of a few rows stay in the cache in fp32 and are packed from there (packing.h), without a buffer in fp32. The
 * bits are those of the way through such a buffer. */
#include "kernels/base/sizes.h"
#include "kernels/cpu/bf16/bf16.h"
#include "packing.h"
#include "train.h"

#include <stdlib.h>

ba_buf *ba_train_bf16_operand_new(ba_backend *be, size_t rows, size_t cols) {
    (void)be;
    const size_t padding = BA_PACKING_BLOCK + BA_PACKING_DEPTH;
    size_t most_rows, most_cols, n;
    if (!ba_add_sizes(rows, padding, &most_rows) || !ba_add_sizes(cols, padding, &most_cols) ||
        !ba_array_bytes(most_rows, most_cols, 1, 1, &n)) {
        return NULL;
    }
    ba_buf *buf = calloc(1, sizeof *buf);
    if (!buf) {
        return NULL;
    }
    buf->cols = cols;
    /* The second packing is BA_PACKING_DOWN or BA_PACKING_TURNED; both have the same size. */
    buf->packing = ba_cpu_alloc(ba_packing_size(BA_PACKING_BOTH, rows, cols), 1, 1, sizeof *buf->packing);
    if (!buf->packing) {
        free(buf);
        return NULL;
    }
    return buf;
}

/* One operation, by blocks of rows. */
typedef struct making {
    const ba_cpu *cpu;
    size_t strip, rows, cols;
    ba_view x, dout;
    const float *gain;
    float eps;
    ba_act act;
    uint16_t *out, *out_up; /* packings of the result, or of both gradients */
    float *space;           /* [threads, 2, BA_PACKING_BLOCK, cols] */
} making;

static float *space_of(const making *m, size_t worker) {
    return m->space + worker * 2 * BA_PACKING_BLOCK * m->cols;
}

static size_t end_of(const making *m, size_t first) {
    return m->rows - first < BA_PACKING_BLOCK ? m->rows : first + BA_PACKING_BLOCK;
}

/* The job that packs x, rows of the result from `first` on. */
static ba_packing_job packing_of(const making *m, const float *x, size_t first, uint16_t *out) {
    return (ba_packing_job){.x = x,
                            .x_row = first,
                            .stride = m->cols,
                            .rows = m->rows,
                            .cols = m->cols,
                            .scale = 1,
                            .strip = m->strip,
                            .stream = true,
                            .out = out};
}

static void write_x(const making *m, const float *x, size_t first, size_t end) {
    ba_packing_job to = packing_of(m, x, first, m->out);
    ba_packing_write_avx512(BA_PACKING_ROWS, &to, first, end);
    to.out += ba_packing_size(BA_PACKING_ROWS, m->rows, m->cols);
    ba_packing_write_avx512(BA_PACKING_DOWN, &to, first, end);
}

static void write_dout(const making *m, const float *dout, size_t first, size_t end, uint16_t *out) {
    const ba_packing_job to = packing_of(m, dout, first, out);
    ba_packing_write_avx512(BA_PACKING_BOTH, &to, first, end);
}

static void norm_block(void *arg, size_t block, size_t worker) {
    const making *m = arg;
    const ba_isa *isa = m->cpu->isa;
    size_t first = block * BA_PACKING_BLOCK, end = end_of(m, first);
    float *out = space_of(m, worker);
    for (size_t r = first; r < end; r++) {
        const float *x = ba_cpu_row(m->x, r);
        isa->scale(x, m->cols, isa->rms_factor(x, m->cols, m->eps), m->gain, out + (r - first) * m->cols);
    }
    write_x(m, out, first, end);
}

static void glu_block(void *arg, size_t block, size_t worker) {
    const making *m = arg;
    size_t first = block * BA_PACKING_BLOCK, end = end_of(m, first);
    float *out = space_of(m, worker);
    for (size_t r = first; r < end; r++) {
        const float *gate = ba_cpu_row(m->x, r);
        m->cpu->isa->glu(m->act, gate, gate + m->cols, m->cols, out + (r - first) * m->cols);
    }
    write_x(m, out, first, end);
}

static void glu_back_block(void *arg, size_t block, size_t worker) {
    const making *m = arg;
    size_t first = block * BA_PACKING_BLOCK, end = end_of(m, first);
    float *dgate = space_of(m, worker), *dup = dgate + BA_PACKING_BLOCK * m->cols;
    for (size_t r = first; r < end; r++) {
        const float *gate = ba_cpu_row(m->x, r);
        size_t at = (r - first) * m->cols;
        m->cpu->train->lanes->glu_back(m->act, gate, gate + m->cols, ba_cpu_row(m->dout, r), m->cols, dgate + at,
                                       dup + at);
    }
    write_dout(m, dgate, first, end, m->out);
    write_dout(m, dup, first, end, m->out_up);
}

static void make(ba_backend *be, making *m, void (*block)(void *arg, size_t block, size_t worker)) {
    ba_cpu *cpu = (ba_cpu *)be;
    m->cpu = cpu;
    m->strip = ((const ba_bf16 *)be)->strip;
    m->space = ba_train_space(be, cpu->train->threads * 2 * BA_PACKING_BLOCK * m->cols);
    if (m->space) {
        ba_pool_run(cpu->pool, (m->rows + BA_PACKING_BLOCK - 1) / BA_PACKING_BLOCK, block, m);
    }
}

void ba_train_bf16_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_param *gain,
                           double eps, ba_view out) {
    if (!out.buf->packing) {
        ba_train_rmsnorm(be, x, rows, groups, cols, gain, eps, out);
        return;
    }
    making m = {.x = x, .rows = rows, .cols = cols, .gain = gain->value, .eps = (float)eps, .out = out.buf->packing};
    make(be, &m, norm_block);
}

void ba_train_bf16_glu(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out) {
    if (!out.buf->packing) {
        be->ops->glu(be, act, x, rows, cols, out);
        return;
    }
    making m = {.x = x, .rows = rows, .cols = cols, .act = act, .out = out.buf->packing};
    make(be, &m, glu_block);
}

void ba_train_bf16_glu_back(ba_backend *be, ba_act act, ba_view x, ba_view dout, size_t rows, size_t cols,
                            ba_view dgate, ba_view dup) {
    if (!dgate.buf->packing) {
        ba_train_glu_back(be, act, x, dout, rows, cols, dgate, dup);
        return;
    }
    making m = {.x = x, .dout = dout, .rows = rows, .cols = cols, .act = act, .out = dgate.buf->packing};
    m.out_up = dup.buf->packing;
    make(be, &m, glu_back_block);
}
