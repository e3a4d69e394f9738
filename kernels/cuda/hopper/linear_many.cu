/* Products of many rows: tiles of 128 rows of x by `cols` of the weight's, by three warpgroups. The first one only
 * starts copies, up to `slots` steps ahead; each of the others multiplies 64 rows. Two blocks of a cluster have the
 * same columns and fetch half of the weights each, for both. */
#include "linear.cuh"

namespace {

using namespace ba;

enum { WARP = 32, GROUP = 128, THREADS = 3 * GROUP, ROWS = 128, BAND = 2048 };

template <int cols> struct many_room {
    static constexpr int slots = cols == 256 ? 4 : 5;
    uint16_t x[slots][ROWS][BOX_COLS], w[slots][cols][BOX_COLS];
    unsigned char out[2 * GROUP / WARP][2][16][BOX_ROW]; /* of a warp: two boxes of results on their way */
    uint64_t full[slots], empty[slots];
};

/* Rows are cut into bands, and a band goes along all columns before the next: what many blocks read at a time stays in
 * the L2 cache. Clusters are numbered in this order. */
struct place {
    int row, col;
};

__device__ place place_of(int index, int row_tiles, int col_tiles, int tile_rows, int tile_cols) {
    int band_tiles = BAND / tile_rows, band = index / (band_tiles * col_tiles);
    int in_band = index % (band_tiles * col_tiles), height = min(band_tiles, row_tiles - band * band_tiles);
    return {(band * band_tiles + in_band % height) * tile_rows, in_band / height * tile_cols};
}

template <int cols, int blocks, bool gated>
__device__ void fetch_tiles(many_room<cols> &room, const product &p, int row_tiles, int col_tiles) {
    constexpr int slots = many_room<cols>::slots, share = cols / blocks;
    constexpr uint32_t bytes = (ROWS + cols) * BOX_ROW;
    int rank = (int)cluster_rank(), slot = 0, uses = 0;
    wait_for_previous();
    for (int index = (int)blockIdx.x / blocks; index < row_tiles * col_tiles; index += (int)gridDim.x / blocks) {
        place at = place_of(index, row_tiles, col_tiles, ROWS * blocks, cols);
        for (int k = 0; k < p.steps; k++) {
            if (uses > 0) {
                barrier_wait(&room.empty[slot], (uint32_t)(uses - 1) & 1);
            }
            barrier_expect(&room.full[slot], bytes);
            load_box(room.x[slot], &p.x, &room.full[slot], k * BOX_COLS, at.row + rank * ROWS, 0);
            auto *to = room.w[slot][rank * share];
            int from = at.col + rank * share;
            if (gated && blocks > 1) {
                load_halves_to(3, to, &p.w, &room.full[slot], k * BOX_COLS, from / 2, 0);
            } else if (gated) {
                load_halves(to, &p.w, &room.full[slot], k * BOX_COLS, from / 2, 0);
            } else if (blocks > 1) {
                load_box_to(3, to, &p.w, &room.full[slot], k * BOX_COLS, from, 0);
            } else {
                load_box(to, &p.w, &room.full[slot], k * BOX_COLS, from, 0);
            }
            slot = slot + 1 == slots ? 0 : slot + 1;
            uses += slot == 0;
        }
    }
}

/* The sums of a thread: of rows `row` and `row` + 8. */
template <int cols> __device__ void store(const product &p, const float (&c)[cols / 2], int row, int col) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float *to = p.y.at + (size_t)(row + r * 8) * p.y.stride;
#pragma unroll
        for (int i = 0; i < cols / 8; i++) {
            int at = col + i * 8 + (int)threadIdx.x % 4 * 2;
            for (int j = 0; j < 2; j++) {
                if (row + r * 8 < p.rows && at + j < p.out) {
                    float y = finish(p, at + j, c[4 * i + 2 * r + j]);
                    to[at + j] = p.add ? add_reals(to[at + j], y) : y;
                }
            }
        }
    }
}

/* Address of two neighbours of a box: row of 16, byte of 128. */
__device__ unsigned char *place_in(unsigned char (*box)[BOX_ROW], int row, int byte) {
    return box[row] + (byte ^ row % 8 * 16);
}

/* Lets a warp's box leave: to row `row`, column `col` of y. */
__device__ void send(const product &p, const void *from, int row, int col) {
    publish_shared();
    __syncwarp();
    if (threadIdx.x % WARP == 0) {
        store_box(&p.out_map, from, col, row, p.add);
        stores_commit();
    }
}

/* Waits until the box before the last one has left. */
__device__ void make_room() {
    if (threadIdx.x % WARP == 0) {
        stores_wait_read<1>();
    }
    __syncwarp();
}

/* The 16 rows of a warp, from `row`, by way of shared memory, from where whole lines leave while the next tile begins.
 */
template <int cols>
__device__ void send_tile(unsigned char (*out)[16][BOX_ROW], const product &p, const float (&c)[cols / 2], int row,
                          int col) {
    int local = (int)threadIdx.x % WARP / 4, pair = (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int box = 0; box < cols / 32; box++) {
        make_room();
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int at = col + box * 32 + i * 8 + pair;
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const float *sum = c + box * 16 + i * 4 + 2 * r;
                auto *to = place_in(out[box % 2], local + r * 8, (i * 8 + pair) * (int)sizeof(float));
                *reinterpret_cast<float2 *>(to) =
                    make_float2(at < p.out ? finish(p, at, sum[0]) : 0, at + 1 < p.out ? finish(p, at + 1, sum[1]) : 0);
            }
        }
        send(p, out[box % 2], row, col + box * 32);
    }
}

/* Of columns, 8 are gates and the next 8 their units. To operands: 64 columns a box; to reals: 32. */
template <int cols, typename T>
__device__ void send_gated(unsigned char (*out)[16][BOX_ROW], const product &p, const float (&c)[cols / 2], int row,
                           int col) {
    constexpr int width = BOX_ROW / (int)sizeof(T), parts = width / 8;
    int local = (int)threadIdx.x % WARP / 4, pair = (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int box = 0; box < cols / 2 / width; box++) {
        make_room();
#pragma unroll
        for (int i = 0; i < parts; i++) {
            int at = col / 2 + box * width + i * 8 + pair;
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const float *gate = c + (box * parts + i) * 8 + 2 * r, *unit = gate + 4;
                float x = 0, y = 0;
                if (at < p.out) { /* a multiple of 8 */
                    x = finish(p, at, gate[0], unit[0]);
                    y = finish(p, at + 1, gate[1], unit[1]);
                }
                auto *place = place_in(out[box % 2], local + r * 8, (i * 8 + pair) * (int)sizeof(T));
                if constexpr (sizeof(T) == 2) {
                    *reinterpret_cast<uint32_t *>(place) = round_pair(x, y);
                } else {
                    *reinterpret_cast<float2 *>(place) = make_float2(x, y);
                }
            }
        }
        send(p, out[box % 2], row, col / 2 + box * width);
    }
}

template <int cols, int blocks, bool gated>
__device__ void multiply_tiles(many_room<cols> &room, const product &p, int row_tiles, int col_tiles) {
    constexpr int slots = many_room<cols>::slots;
    int warp = (int)threadIdx.x / WARP - GROUP / WARP, group = warp / 4, lane = (int)threadIdx.x % WARP, slot = 0;
    int row = (int)cluster_rank() * ROWS + warp * 16;
    auto *out = room.out[warp];
    uint32_t parity = 0;
    float c[cols / 2];
    wait_for_previous();
    auto release = [&](int which) {
        if (lane < blocks) {
            barrier_arrive_at(&room.empty[which], (uint32_t)lane);
        }
    };
    for (int index = (int)blockIdx.x / blocks; index < row_tiles * col_tiles; index += (int)gridDim.x / blocks) {
        place at = place_of(index, row_tiles, col_tiles, ROWS * blocks, cols);
        int last = 0;
        for (int k = 0; k < p.steps; k++) {
            barrier_wait(&room.full[slot], parity);
            uint64_t a = along_rows(room.x[slot][group * 64]), b = along_rows(room.w[slot]);
            wgmma_fence();
#pragma unroll
            for (int i = 0; i < BOX_COLS / 16; i++) {
                wgmma(c, a + i * STEP_ALONG, b + i * STEP_ALONG, k > 0 || i > 0);
            }
            wgmma_commit();
            wgmma_wait<1>();
            if (k > 0) {
                release(last);
            }
            last = slot;
            slot = slot + 1 == slots ? 0 : slot + 1;
            parity ^= slot == 0;
        }
        wgmma_wait<0>();
        wgmma_touch(c);
        release(last);
        if constexpr (gated) {
            if (p.y.half) {
                send_gated<cols, uint16_t>(out, p, c, at.row + row, at.col);
            } else {
                send_gated<cols, float>(out, p, c, at.row + row, at.col);
            }
        } else if (p.by_copies) {
            send_tile<cols>(out, p, c, at.row + row, at.col);
        } else {
            store<cols>(p, c, at.row + row + lane / 4, at.col);
        }
    }
    stores_wait();
}

template <int cols, int blocks, bool gated>
__global__ void __launch_bounds__(THREADS, 1) many_kernel(const __grid_constant__ product p) {
    extern __shared__ unsigned char memory[];
    auto &room = *reinterpret_cast<many_room<cols> *>(align_boxes(memory));
    int row_tiles = (p.rows + ROWS * blocks - 1) / (ROWS * blocks);
    int col_tiles = ((gated ? 2 : 1) * p.out + cols - 1) / cols;
    if (threadIdx.x == 0) {
        for (int i = 0; i < many_room<cols>::slots; i++) {
            barrier_init(&room.full[i], 1);
            barrier_init(&room.empty[i], 2 * GROUP / WARP * blocks);
        }
        barriers_publish();
    }
    cluster_wait();
    let_next_begin();
    if (threadIdx.x < GROUP) {
        fewer_registers<40>();
        if (threadIdx.x == 0) {
            fetch_tiles<cols, blocks, gated>(room, p, row_tiles, col_tiles);
        }
    } else {
        more_registers<232>();
        multiply_tiles<cols, blocks, gated>(room, p, row_tiles, col_tiles);
    }
    __syncwarp();
    cluster_wait(); /* the other block may still copy to this one's memory, and arrive at its barriers */
}

template <int cols, int blocks, bool gated> bool launch(cudaStream_t stream, const ba_dev_linear *op) {
    auto kernel = many_kernel<cols, blocks, gated>;
    launch_plan plan(stream, THREADS, sizeof(many_room<cols>) + BOX_SLACK, blocks);
    static const int most = blocks_at_once(kernel, plan, blocks);
    product p = product_of(op);
    p.by_copies = map_results(op, 16, &p.out_map);
    if (!map_weights(op, cols / blocks, 1, &p.w) || !map_rows(op, ROWS, 1, 1, &p.x) || (gated && !p.by_copies)) {
        return false;
    }
    size_t row_tiles = (op->rows + ROWS * blocks - 1) / (ROWS * blocks);
    size_t tiles = row_tiles * (((gated ? 2 : 1) * op->out + cols - 1) / cols);
    plan.config.gridDim = dim3((unsigned)(tiles * blocks < (size_t)most ? tiles * blocks : (size_t)most));
    cudaLaunchKernelEx(&plan.config, kernel, p);
    return true;
}

/* Time of a tiling, in units of 128 x 128 tiles one after the other. */
size_t rounds(const ba_dev_linear *op, size_t rows, size_t cols, size_t at_once) {
    size_t out = op->out * (op->glu == BA_DEV_NO_GLU ? 1 : 2);
    size_t tiles = ((op->rows + rows - 1) / rows) * ((out + cols - 1) / cols);
    return (tiles + at_once - 1) / at_once * (cols / 128);
}

template <bool gated> bool choose(cudaStream_t stream, const ba_dev_linear *op) {
    enum { PAIRS = 66 };
    /* Narrow tiles read more for each product: they must save more than a tenth. */
    if (10 * rounds(op, 2 * ROWS, 256, PAIRS) <= 11 * rounds(op, ROWS, 128, 2 * PAIRS)) {
        return launch<256, 2, gated>(stream, op);
    }
    return launch<128, 1, gated>(stream, op);
}

} // namespace

bool ba_dev_linear_many(cudaStream_t stream, const ba_dev_linear *op) {
    return op->glu == BA_DEV_NO_GLU ? choose<false>(stream, op) : choose<true>(stream, op);
}
