/* Products with packed weights in fp32, by the tile code that attention uses too. */
#include "cpu.h"

#include "kernels/base/sizes.h"
#include "kernels/count.h"

/* Depth that is computed at once: with BA_SUM_ROWS rows of X it stays in the second-level cache. */
enum { DEPTH = 288 };

bool ba_cpu_prepare(const ba_weight *w, bool add, const float *old, size_t old_stride, float *to, size_t to_stride,
                    size_t rows, size_t col, size_t cols) {
    if (!w->bias && (!add || to == old)) {
        return add;
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            float sum = add ? old[r * old_stride + c] : 0;
            to[r * to_stride + c] = w->bias ? sum + w->bias[col + c] : sum;
        }
    }
    return true;
}

/* One product, cut into tiles of BA_KEYS columns and tile_rows rows. */
typedef struct product {
    const ba_cpu *cpu;
    const ba_weight *w;
    ba_view x, out;
    size_t rows, tile_rows, col_tiles;
    bool add;
} product;

static void product_tile(void *arg, size_t index, size_t worker) {
    const product *p = arg;
    size_t row = index / p->col_tiles * p->tile_rows, rows = ba_min_size(p->tile_rows, p->rows - row);
    size_t col = index % p->col_tiles * BA_KEYS, cols = ba_min_size(BA_KEYS, p->w->out - col);
    size_t in = p->w->in, stride = p->out.buf->cols;
    float *sum = p->cpu->sum + worker * BA_SUM_ROWS * BA_KEYS, *out = ba_cpu_row(p->out, row) + col;
    for (size_t d = 0; d < in; d += DEPTH) {
        p->cpu->isa->product(rows, ba_min_size(DEPTH, in - d), ba_cpu_row(p->x, row) + d, p->x.buf->cols,
                             p->w->at + (col * in + d * BA_KEYS), sum, d > 0);
    }
    bool add = ba_cpu_prepare(p->w, p->add, out, stride, out, stride, rows, col, cols);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            out[r * stride + c] = add ? out[r * stride + c] + sum[r * BA_KEYS + c] : sum[r * BA_KEYS + c];
        }
    }
}

/* The tiles may depend on the number of threads, because the sums of a row do not depend on the tiles. */
void ba_cpu_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add, bool stable) {
    enum { FEWEST = 24, TASKS_PER_THREAD = 8 };
    (void)stable; /* always stable */
    ba_cpu *cpu = (ba_cpu *)be;
    product p = {.cpu = cpu, .w = w, .x = x, .out = out, .rows = rows, .tile_rows = BA_SUM_ROWS, .add = add};
    p.col_tiles = (w->out + BA_KEYS - 1) / BA_KEYS;
    size_t wanted = TASKS_PER_THREAD * ba_pool_threads(cpu->pool);
    while (p.tile_rows > FEWEST && (rows + p.tile_rows - 1) / p.tile_rows * p.col_tiles < wanted) {
        p.tile_rows -= FEWEST;
    }
    ba_pool_run(cpu->pool, (rows + p.tile_rows - 1) / p.tile_rows * p.col_tiles, product_tile, &p);
    ba_count_linear(be, rows, w->in, w->out, add);
}
