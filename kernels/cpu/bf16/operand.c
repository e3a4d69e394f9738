/* Buffers of the bf16 backend, and activations as the bf16 operand of a product. */
#include "bf16.h"
#include "kernels/base/sizes.h"

#include <stdlib.h>

ba_buf *ba_bf16_buf_new(ba_backend *be, size_t rows, size_t cols) {
    ba_bf16 *bf16 = (ba_bf16 *)be;
    size_t padded, n;
    if (!ba_add_sizes(rows, BA_PAD_ROWS, &padded) || !ba_multiply_sizes(padded, cols, &n)) {
        return NULL;
    }
    n += padded; /* rows of an odd depth are padded to pairs */
    if (n > bf16->n_x) {
        uint16_t *x = ba_cpu_alloc(n, 1, 1, sizeof *x);
        if (!x) {
            return NULL;
        }
        free(bf16->x);
        bf16->x = x;
        bf16->n_x = n;
    }
    return ba_cpu_buf_new(be, rows, cols);
}

/* Rows of an odd length would need padding; they are rounded before every product instead. */
ba_buf *ba_bf16_operand_new(ba_backend *be, size_t rows, size_t cols) {
    return cols % 2 ? ba_bf16_buf_new(be, rows, cols) : ba_cpu_buf_as(rows, cols, true);
}

typedef struct rounding {
    const ba_bf16 *be;
    ba_view x;
    size_t cols, depth;
} rounding;

static void round_some(const void *arg, size_t first, size_t last) {
    const rounding *r = arg;
    for (size_t i = first; i < last; i++) {
        uint16_t *to = r->be->x + i * r->depth;
        r->be->cpu.round(ba_cpu_row(r->x, i), r->cols, to);
        if (r->depth > r->cols) {
            to[r->cols] = 0;
        }
    }
}

const uint16_t *ba_bf16_operand(ba_bf16 *be, ba_view x, size_t rows, size_t cols, size_t depth) {
    if (x.buf->half) {
        return ba_cpu_half_row(x, 0);
    }
    rounding r = {be, x, cols, depth};
    ba_cpu_for(&be->cpu, rows, cols, round_some, &r);
    return be->x;
}
