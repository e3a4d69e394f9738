/* Products with weights on any card: tiles by the tensor cores, or a warp per element where one row is all there is.
 *
 * Every element is the sum over the columns of x in steps of 16, from the left, by one chain of mma instructions,
 * in any tile: so tiles may be chosen by the number of rows, and a row's bits do not depend on it. */
#include "bf16.cuh"
#include "device.h"
#include "device_hopper.h"
#include "quad.cuh"

namespace {

using namespace ba;

enum { WARP = 32 };

/* Shared memory of a tile: `stages` steps of `depth` columns of rows of x and of w. Rows are padded so that the loads
 * of a warp meet all banks once. */
template <int rows, int cols, int depth, int stages> struct tile_room {
    uint16_t x[stages][rows][depth + 8], w[stages][cols][depth + 8];
};

/* Copies columns [k, k + depth) of rows [row0, ..) to shared memory; zeros outside of [rows, cols]. from: of 16-byte
 * aligned rows. */
template <int tile_rows, int depth, int threads>
__device__ void fetch(uint16_t (*to)[depth + 8], const uint16_t *from, size_t stride, int row0, int rows, int k,
                      int cols) {
    constexpr int each = 16 / (int)sizeof *from, per_row = depth / each;
    for (int i = (int)threadIdx.x; i < tile_rows * per_row; i += threads) {
        int r = i / per_row, c = i % per_row * each, left = cols - (k + c);
        bool inside = row0 + r < rows && left > 0;
        int bytes = inside ? (left < each ? left : each) * (int)sizeof *from : 0;
        copy16(&to[r][c], inside ? from + (size_t)(row0 + r) * stride + k + c : from, bytes);
    }
}

/* Two neighbours of the result. */
__device__ void store_pair(const ba_dev_linear &op, int row, int col, float x, float y) {
    if (row >= (int)op.rows || col >= (int)op.out) {
        return;
    }
    bool both = col + 1 < (int)op.out;
    float *to = op.y.at + (size_t)row * op.y.stride + col;
    if (op.bias) {
        x += op.bias[col];
        y += both ? op.bias[col + 1] : 0;
    }
    put_pair(to, both, op.add, x, y);
}

template <int rows, int cols, int warps_m, int warps_n, int depth, int stages>
__global__ void __launch_bounds__(warps_m *warps_n *WARP) tile_kernel(ba_dev_linear op) {
    constexpr int threads = warps_m * warps_n * WARP;
    constexpr int m_tiles = rows / warps_m / 16, n_tiles = cols / warps_n / 8;
    extern __shared__ __align__(16) unsigned char memory[];
    auto &room = *reinterpret_cast<tile_room<rows, cols, depth, stages> *>(memory);
    int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    int warp_row = warp / warps_n * m_tiles * 16, warp_col = warp % warps_n * n_tiles * 8;
    int row0 = (int)blockIdx.y * rows, col0 = (int)blockIdx.x * cols;
    int in = (int)op.in, steps = (in + depth - 1) / depth;
    float c[m_tiles][n_tiles][4] = {};
    auto fetch_step = [&](int step) {
        if (step < steps) {
            fetch<rows, depth, threads>(room.x[step % stages], op.x, op.x_stride, row0, (int)op.rows, step * depth, in);
            fetch<cols, depth, threads>(room.w[step % stages], op.w, op.w_stride, col0, (int)op.out, step * depth, in);
        }
        copies_commit();
    };
    for (int step = 0; step < stages - 1; step++) {
        fetch_step(step);
    }
    for (int step = 0; step < steps; step++) {
        copies_wait<stages - 2>();
        __syncthreads();
        fetch_step(step + stages - 1);
        const auto *xs = room.x[step % stages];
        const auto *ws = room.w[step % stages];
#pragma unroll
        for (int k = 0; k < depth; k += 16) {
            uint32_t a[m_tiles][4], b[(n_tiles + 1) / 2][4];
#pragma unroll
            for (int m = 0; m < m_tiles; m++) {
                load_tiles(a[m], &xs[warp_row + m * 16 + lane % 16][k + lane / 16 * 8]);
            }
#pragma unroll
            for (int n = 0; n < n_tiles; n += 2) {
                int pair = n + 1 < n_tiles ? lane / 16 * 8 : 0;
                load_tiles(b[n / 2], &ws[warp_col + n * 8 + pair + lane % 8][k + lane / 8 % 2 * 8]);
            }
#pragma unroll
            for (int m = 0; m < m_tiles; m++) {
#pragma unroll
                for (int n = 0; n < n_tiles; n++) {
                    mma(c[m][n], a[m], b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]);
                }
            }
        }
    }
    copies_wait<0>();
#pragma unroll
    for (int m = 0; m < m_tiles; m++) {
#pragma unroll
        for (int n = 0; n < n_tiles; n++) {
#pragma unroll
            for (int i = 0; i < 4; i += 2) {
                int row = row0 + warp_row + m * 16 + lane / 4 + i / 2 * 8;
                int col = col0 + warp_col + n * 8 + lane % 4 * 2;
                store_pair(op, row, col, c[m][n][i], c[m][n][i + 1]);
            }
        }
    }
}

template <int rows, int cols, int warps_m, int warps_n, int depth, int stages>
void launch(cudaStream_t stream, const ba_dev_linear *op) {
    auto kernel = tile_kernel<rows, cols, warps_m, warps_n, depth, stages>;
    constexpr int room = (int)sizeof(tile_room<rows, cols, depth, stages>);
    if (room > 48 * 1024) {
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, room);
    }
    dim3 grid((unsigned)((op->out + cols - 1) / cols), (unsigned)((op->rows + rows - 1) / rows));
    kernel<<<grid, warps_m * warps_n * WARP, room, stream>>>(*op);
}

/* A warp per element, 8 columns a lane and step. */
__global__ void row_kernel(ba_dev_linear op) {
    size_t col = (size_t)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (col >= op.out) {
        return;
    }
    const uint16_t *w = op.w + col * op.w_stride;
    float sum = 0;
#pragma unroll 4
    for (size_t i = lane * 8; i < op.in; i += WARP * 8) {
        uint4 of_w = *reinterpret_cast<const uint4 *>(w + i), of_x = *reinterpret_cast<const uint4 *>(op.x + i);
        uint32_t a[4] = {of_w.x, of_w.y, of_w.z, of_w.w}, b[4] = {of_x.x, of_x.y, of_x.z, of_x.w};
#pragma unroll
        for (size_t k = 0; k < 8 && i + k < op.in; k++) {
            sum = fmaf(k % 2 ? wide_high(a[k / 2]) : wide_low(a[k / 2]),
                       k % 2 ? wide_high(b[k / 2]) : wide_low(b[k / 2]), sum);
        }
    }
    for (int step = WARP / 2; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
    }
    if (lane == 0) {
        sum = op.bias ? sum + op.bias[col] : sum;
        op.y.at[col] = op.add ? op.y.at[col] + sum : sum;
    }
}

void tiles_of_any_card(cudaStream_t stream, const ba_dev_linear *op) {
    enum { WIDE = 128, SMALL = 64, PROCESSORS = 132 };
    size_t wide_tiles = (op->rows + WIDE - 1) / WIDE * ((op->out + WIDE - 1) / WIDE);
    if (op->rows <= 16) {
        launch<16, 32, 1, 4, 64, 4>(stream, op);
    } else if (op->rows <= 64) {
        launch<32, 32, 2, 2, 64, 4>(stream, op);
    } else if (wide_tiles >= PROCESSORS) {
        launch<WIDE, WIDE, 2, 4, 32, 4>(stream, op);
    } else {
        launch<SMALL, SMALL, 2, 2, 32, 4>(stream, op);
    }
}

} // namespace

bool ba_dev_linear_stable(cudaStream_t stream, const ba_dev_linear *op, bool hopper) {
    if (!op->rows) {
        return true;
    }
    if (hopper && (op->rows <= BA_DEV_HOPPER_FEW ? ba_dev_linear_few : ba_dev_linear_many)(stream, op)) {
        return true;
    }
    if (op->glu == BA_DEV_NO_GLU) {
        tiles_of_any_card(stream, op);
    }
    return op->glu == BA_DEV_NO_GLU;
}

void ba_dev_linear_row(cudaStream_t stream, const ba_dev_linear *op) {
    enum { WARPS = 4 };
    row_kernel<<<(unsigned)((op->out + WARPS - 1) / WARPS), WARPS * WARP, 0, stream>>>(*op);
}
