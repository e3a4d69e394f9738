#include "linear.cuh"

namespace ba {

product product_of(const ba_dev_linear *op) {
    product p = {};
    p.bias = op->bias;
    p.steps = (int)((op->in + BOX_COLS - 1) / BOX_COLS);
    p.rows = (int)op->rows;
    p.out = (int)op->out;
    p.y = op->y;
    p.add = op->add;
    p.gelu = op->glu == BA_DEV_GELU;
    return p;
}

constexpr uint64_t STEP = BOX_COLS, STEP_BYTES = BOX_ROW;

static bool map_matrix(const uint16_t *at, size_t stride, size_t rows, size_t cols, int height, int depth, int boxes,
                       CUtensorMap *map) {
    uint64_t across = depth == 1 ? cols : STEP, steps = depth == 1 ? 1 : cols / STEP;
    ba_map_shape shape = {3,
                          {across, rows, steps},
                          {stride * sizeof *at, STEP_BYTES},
                          {BOX_COLS, (uint32_t)height, (uint32_t)boxes},
                          false};
    return (uintptr_t)at % 16 == 0 && stride % 8 == 0 && ba_map_make(map, at, &shape);
}

bool map_weights(const ba_dev_linear *op, int height, int depth, CUtensorMap *map) {
    if (op->glu == BA_DEV_NO_GLU) {
        return map_matrix(op->w, op->w_stride, op->out, op->in, height, depth, depth, map);
    }
    uint64_t row = op->w_stride * sizeof *op->w;
    uint64_t across = depth == 1 ? op->in : STEP, steps = depth == 1 ? 1 : op->in / STEP;
    ba_map_shape shape = {5,
                          {across, 8, 2, op->out / 8, steps},
                          {row, row * op->out, row * 8, STEP_BYTES},
                          {BOX_COLS, 8, 2, (uint32_t)height / 16, (uint32_t)depth},
                          false};
    return op->out % 8 == 0 && op->w_stride % 8 == 0 && ba_map_make(map, op->w, &shape);
}

bool map_rows(const ba_dev_linear *op, int height, int depth, int boxes, CUtensorMap *map) {
    return map_matrix(op->x, op->x_stride, op->rows, op->in, height, depth, boxes, map);
}

bool map_results(const ba_dev_linear *op, int height, CUtensorMap *map) {
    bool half = op->y.half;
    const void *at = half ? (const void *)op->y.half : op->y.at;
    uint32_t size = half ? sizeof *op->y.half : sizeof *op->y.at;
    ba_map_shape shape = {
        3, {op->out, op->rows, 1}, {op->y.stride * size, STEP_BYTES}, {BOX_ROW / size, (uint32_t)height, 1}, !half};
    /* Copies write 16 bytes at least. */
    bool whole = (uintptr_t)at % 16 == 0 && op->y.stride * size % 16 == 0 && op->out * size % 16 == 0;
    return whole && ba_map_make(map, at, &shape);
}

} // namespace ba
