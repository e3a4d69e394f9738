/* Products with weights. Tiles by the tensor cores, or a warp per element where one row is all there is.
 *
 * Every element is the sum over the columns of x in steps of 16, from the left, by one chain of mma instructions,
 * whatever the tile it lies in: so tiles may be chosen by the number of rows, and a row's bits do not depend on it. */
#include "bf16.cuh"
#include "device.h"
#include "quad.cuh"

namespace {

using namespace ba;

enum { WARP = 32 };

/* Shared memory of a tile: `stages` steps of `depth` columns of rows of x and of w. Rows are padded so that the loads
 * of a warp meet all banks once: by 8 elements in either type. */
template <typename X, int rows, int cols, int depth, int stages> struct tile_room {
    X x[stages][rows][depth + 8];
    uint16_t w[stages][cols][depth + 8];
};

/* Fragment of rows [row, row + 16), columns [k, k + 16). */
template <int stride> __device__ void load_x(uint32_t (&a)[4], const float (*x)[stride], int row, int k, int lane) {
    int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; i++) {
        float2 pair = *reinterpret_cast<const float2 *>(&x[row + g + i % 2 * 8][k + 2 * t + i / 2 * 8]);
        a[i] = round_pair(pair.x, pair.y);
    }
}

template <int stride> __device__ void load_x(uint32_t (&a)[4], const uint16_t (*x)[stride], int row, int k, int lane) {
    load_tiles(a, &x[row + lane % 16][k + lane / 16 * 8]);
}

/* Copies columns [k, k + depth) of rows [row0, ..) to shared memory; zeros outside of [rows, cols]. from: of 16-byte
 * aligned rows. */
template <typename T, int tile_rows, int depth, int threads>
__device__ void fetch(T (*to)[depth + 8], const T *from, size_t stride, int row0, int rows, int k, int cols) {
    constexpr int each = 16 / (int)sizeof(T), per_row = depth / each;
    for (int i = (int)threadIdx.x; i < tile_rows * per_row; i += threads) {
        int r = i / per_row, c = i % per_row * each, left = cols - (k + c);
        bool inside = row0 + r < rows && left > 0;
        int bytes = inside ? (left < each ? left : each) * (int)sizeof(T) : 0;
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

/* X: float, rounded on the way to the tensor cores, or uint16_t, rounded already. */
template <typename X, int rows, int cols, int warps_m, int warps_n, int depth, int stages>
__global__ void __launch_bounds__(warps_m *warps_n *WARP) tile_kernel(const X *x, size_t x_stride, ba_dev_linear op) {
    constexpr int threads = warps_m * warps_n * WARP;
    constexpr int m_tiles = rows / warps_m / 16, n_tiles = cols / warps_n / 8;
    extern __shared__ __align__(16) unsigned char memory[];
    auto &room = *reinterpret_cast<tile_room<X, rows, cols, depth, stages> *>(memory);
    int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    int warp_row = warp / warps_n * m_tiles * 16, warp_col = warp % warps_n * n_tiles * 8;
    int row0 = (int)blockIdx.y * rows, col0 = (int)blockIdx.x * cols;
    int in = (int)op.in, steps = (in + depth - 1) / depth;
    float c[m_tiles][n_tiles][4] = {};
    auto fetch_step = [&](int step) {
        if (step < steps) {
            fetch<X, rows, depth, threads>(room.x[step % stages], x, x_stride, row0, (int)op.rows, step * depth, in);
            fetch<uint16_t, cols, depth, threads>(room.w[step % stages], op.w, op.w_stride, col0, (int)op.out,
                                                  step * depth, in);
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
                load_x<depth + 8>(a[m], xs, warp_row + m * 16, k, lane);
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

template <typename X, int rows, int cols, int warps_m, int warps_n, int depth, int stages>
void launch(cudaStream_t stream, const X *x, size_t x_stride, const ba_dev_linear *op) {
    auto kernel = tile_kernel<X, rows, cols, warps_m, warps_n, depth, stages>;
    constexpr int room = (int)sizeof(tile_room<X, rows, cols, depth, stages>);
    if (room > 48 * 1024) {
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, room);
    }
    dim3 grid((unsigned)((op->out + cols - 1) / cols), (unsigned)((op->rows + rows - 1) / rows));
    kernel<<<grid, warps_m * warps_n * WARP, room, stream>>>(x, x_stride, *op);
}

/* Rows of x that copy16 may not read (views at odd places) are rounded first, however few. */
bool aligned(ba_dev_matrix x) {
    return x.stride % 4 == 0 && (uintptr_t)x.at % 16 == 0;
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
        uint4 eight = *reinterpret_cast<const uint4 *>(w + i);
        uint32_t pair[4] = {eight.x, eight.y, eight.z, eight.w};
        if (i + 8 <= op.in) {
            const float4 *x = reinterpret_cast<const float4 *>(op.x.at + i);
            float4 low = x[0], high = x[1];
            sum = fmaf(low.x, wide_low(pair[0]), sum);
            sum = fmaf(low.y, wide_high(pair[0]), sum);
            sum = fmaf(low.z, wide_low(pair[1]), sum);
            sum = fmaf(low.w, wide_high(pair[1]), sum);
            sum = fmaf(high.x, wide_low(pair[2]), sum);
            sum = fmaf(high.y, wide_high(pair[2]), sum);
            sum = fmaf(high.z, wide_low(pair[3]), sum);
            sum = fmaf(high.w, wide_high(pair[3]), sum);
        } else {
            for (size_t k = 0; i + k < op.in; k++) {
                sum = fmaf(op.x.at[i + k], k % 2 ? wide_high(pair[k / 2]) : wide_low(pair[k / 2]), sum);
            }
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

} // namespace

void ba_dev_linear_stable(cudaStream_t stream, const ba_dev_linear *op) {
    enum { WIDE = 128, SMALL = 64, PROCESSORS = 132 };
    if (!op->rows) {
        return;
    }
    if (op->rows <= BA_DEV_FEW_ROWS && aligned(op->x)) {
        if (op->rows <= 16) {
            launch<float, 16, 32, 1, 4, 64, 4>(stream, op->x.at, op->x.stride, op);
        } else {
            launch<float, 32, 32, 2, 2, 64, 4>(stream, op->x.at, op->x.stride, op);
        }
        return;
    }
    ba_dev_round(stream, op->x, op->rows, op->in, op->rounded, op->w_stride);
    size_t wide_tiles = (op->rows + WIDE - 1) / WIDE * ((op->out + WIDE - 1) / WIDE);
    if (wide_tiles >= PROCESSORS) {
        launch<uint16_t, WIDE, WIDE, 2, 4, 32, 4>(stream, op->rounded, op->w_stride, op);
    } else {
        launch<uint16_t, SMALL, SMALL, 2, 2, 32, 4>(stream, op->rounded, op->w_stride, op);
    }
}

void ba_dev_linear_row(cudaStream_t stream, const ba_dev_linear *op) {
    enum { WARPS = 4 };
    if (!aligned(op->x)) {
        ba_dev_linear_stable(stream, op);
        return;
    }
    row_kernel<<<(unsigned)((op->out + WARPS - 1) / WARPS), WARPS * WARP, 0, stream>>>(*op);
}
