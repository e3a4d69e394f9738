/* Operands of training's products in the layouts that the bf16 kernels read (ba_bf16_product in bf16.h), written from a
 * matrix X [rows, cols] in fp32. The depth, the dimension that is summed over, is padded with zeros to a multiple of
 * BA_PACKING_DEPTH.
 *
 * First operands are in tiles, [rows or cols / 16, depth / 32, 16, 32]; second operands in strips of columns, with
 * pairs of depth side by side: [strips, depth / 2, strip, 2]. Rows and columns after the last one are undefined. */
#ifndef BA_PACKING_H
#define BA_PACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BA_PACKING_DEPTH = 32,
    BA_PACKING_BLOCK = 64 /* rows of X that are written together, by one thread */
};

typedef enum ba_packing {
    BA_PACKING_ROWS,   /* X as the first operand */
    BA_PACKING_TURNED, /* X^T as the first operand */
    BA_PACKING_BOTH,   /* BA_PACKING_ROWS, followed by BA_PACKING_TURNED */
    BA_PACKING_DOWN,   /* X as the second operand */
    BA_PACKING_ACROSS  /* X^T as the second operand */
} ba_packing;

typedef struct ba_packing_job {
    const float *x; /* row x_row of X */
    size_t x_row, stride, rows, cols;
    float scale;   /* multiplies X before it is rounded */
    size_t strip;  /* of second operands: 32 or 64 */
    bool stream;   /* out is not read soon, so it bypasses the caches */
    uint16_t *out; /* [ba_packing_size], aligned to 64 bytes */
} ba_packing_job;

static inline size_t ba_packing_depth(size_t n) {
    return (n + BA_PACKING_DEPTH - 1) / BA_PACKING_DEPTH * BA_PACKING_DEPTH;
}

/* Elements of a packed matrix, with the rows after the last one that a product may read. */
static inline size_t ba_packing_size(ba_packing packing, size_t rows, size_t cols) {
    const size_t padding = BA_PACKING_BLOCK, deep_cols = (rows + padding) * ba_packing_depth(cols),
                 deep_rows = (cols + padding) * ba_packing_depth(rows);
    return packing == BA_PACKING_BOTH                                   ? deep_cols + deep_rows
           : packing == BA_PACKING_TURNED || packing == BA_PACKING_DOWN ? deep_rows
                                                                        : deep_cols;
}

/* Writes the part that follows from rows [first, last) of X. first is a multiple of BA_PACKING_BLOCK; so is last,
 * unless it is `rows`. For processors where ba_bf16_has_avx512() holds. */
void ba_packing_write_avx512(ba_packing packing, const ba_packing_job *f, size_t first, size_t last);

#endif
