/* Operands of training's products in the forms that bf16 units take them in (ba_bf16_product in bf16.h), written from a
 * matrix X [rows, cols] in fp32. What is summed over, the depth, is filled up with zeros to a multiple of
 * BA_PACKING_DEPTH.
 *
 * First operands lie in tiles, [rows or cols / 16, depth / 32, 16, 32]; second ones in strips of columns, pairs of
 * depth side by side: [strips, depth / 2, strip, 2]. Rows and columns behind the last one may hold anything. */
#ifndef BA_TRAIN_FORM_H
#define BA_TRAIN_FORM_H

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
    BA_PACKING_BOTH,   /* BA_PACKING_ROWS, and BA_PACKING_TURNED behind it */
    BA_PACKING_DOWN,   /* X as the second operand */
    BA_PACKING_ACROSS  /* X^T as the second operand */
} ba_packing;

typedef struct ba_packing_job {
    const float *x; /* its row x_row */
    size_t x_row, stride, rows, cols;
    float scale;   /* of X, before it is rounded */
    size_t strip;  /* of second operands: 32 or 64 */
    bool stream;   /* not read soon: it need not pass through the caches */
    uint16_t *out; /* [ba_packing_size], aligned to 64 bytes */
} ba_packing_job;

static inline size_t ba_packing_depth(size_t n) {
    return (n + BA_PACKING_DEPTH - 1) / BA_PACKING_DEPTH * BA_PACKING_DEPTH;
}

/* Elements of a form, with the rows behind the last one that a product may read. */
static inline size_t ba_packing_size(ba_packing form, size_t rows, size_t cols) {
    const size_t behind = BA_PACKING_BLOCK, deep_cols = (rows + behind) * ba_packing_depth(cols),
                 deep_rows = (cols + behind) * ba_packing_depth(rows);
    return form == BA_PACKING_BOTH                                ? deep_cols + deep_rows
           : form == BA_PACKING_TURNED || form == BA_PACKING_DOWN ? deep_rows
                                                                  : deep_cols;
}

/* Writes what comes of rows [first, last) of X; first is a multiple of BA_PACKING_BLOCK, and so is last, or it is `rows`.
 * Only where ba_bf16_has_avx512() says so. */
void ba_packing_write_avx512(ba_packing form, const ba_packing_job *f, size_t first, size_t last);

#endif
