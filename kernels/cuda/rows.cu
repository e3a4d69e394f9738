/* Operations that treat each row by itself. */
#include "act.cuh"
#include "bf16.cuh"
#include "device.h"
#include "kernels/base/random_weight.h"
#include "out.cuh"
#include "quad.cuh"
#include "row.cuh"

namespace {

using namespace ba;

enum { WARP = 32 };

__global__ void embed_kernel(const uint16_t *w, size_t w_stride, const int32_t *ids, size_t cols, float scale,
                             ba_dev_matrix out) {
    let_next_begin();
    wait_for_previous();
    size_t c = column(), r = blockIdx.x;
    if (c < cols) {
        row_of(out, r)[c] = wide(w[(size_t)ids[r] * w_stride + c]) * scale;
    }
}

/* The first HELD quads of a thread are asked for together and held in registers: with few rows, it is the latency of one
 * access after the other that takes the time. */
enum { HELD = 8 };

__device__ __forceinline__ void hold(quad (&held)[HELD], const float *from, size_t cols) {
#pragma unroll
    for (int k = 0; k < HELD; k++) {
        size_t c = 4 * (threadIdx.x + k * THREADS);
        held[k] = c < cols ? load_quad(from + c, cols - c) : quad{};
    }
}

__device__ __forceinline__ float add_squares(float sum, const quad &q) {
    for (int i = 0; i < 4; i++) {
        sum = fmaf(q.at[i], q.at[i], sum);
    }
    return sum;
}

__device__ __forceinline__ quad scale_quad(const quad &q, float factor, const quad &gain) {
    quad y;
    for (int i = 0; i < 4; i++) {
        y.at[i] = q.at[i] * factor * gain.at[i];
    }
    return y;
}

/* A block per row and group. Sums go over the threads in a fixed tree. */
__global__ void rmsnorm_kernel(ba_dev_matrix x, size_t cols, const float *gain, float eps, ba_dev_out out) {
    enum { REST = 4 * THREADS * HELD };
    quad held[HELD], gains[HELD];
    let_next_begin();
    hold(gains, gain, cols); /* these no kernel writes */
    wait_for_previous();
    size_t first = blockIdx.y * cols;
    const float *from = row_of(x, blockIdx.x) + first;
    __shared__ float part[THREADS / WARP];
    float sum = 0;
    hold(held, from, cols);
#pragma unroll
    for (int k = 0; k < HELD; k++) {
        sum = add_squares(sum, held[k]); /* zeros past the end change nothing */
    }
    for (size_t c = REST + 4 * threadIdx.x; c < cols; c += 4 * THREADS) {
        sum = add_squares(sum, load_quad(from + c, cols - c));
    }
    for (int step = WARP / 2; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
    }
    if (threadIdx.x % WARP == 0) {
        part[threadIdx.x / WARP] = sum;
    }
    __syncthreads();
    sum = (part[0] + part[1]) + (part[2] + part[3]);
    float factor = 1 / sqrtf(sum / (float)cols + eps);
#pragma unroll
    for (int k = 0; k < HELD; k++) {
        size_t c = 4 * (threadIdx.x + k * THREADS);
        if (c < cols) {
            put_quad(out, blockIdx.x, first + c, cols - c, scale_quad(held[k], factor, gains[k]));
        }
    }
    for (size_t c = REST + 4 * threadIdx.x; c < cols; c += 4 * THREADS) {
        quad q = load_quad(from + c, cols - c), g = load_quad(gain + c, cols - c);
        put_quad(out, blockIdx.x, first + c, cols - c, scale_quad(q, factor, g));
    }
}

__global__ void add_kernel(ba_dev_matrix x, ba_dev_matrix y, size_t cols) {
    let_next_begin();
    wait_for_previous();
    size_t c = 4 * column();
    if (c < cols) {
        float *to = row_of(x, blockIdx.x) + c;
        quad a = load_quad(to, cols - c), b = load_quad(row_of(y, blockIdx.x) + c, cols - c);
        for (int i = 0; i < 4; i++) {
            a.at[i] += b.at[i];
        }
        store_quad(to, cols - c, a);
    }
}

__global__ void gate_kernel(bool gelu, ba_dev_matrix x, size_t cols, ba_dev_out out) {
    let_next_begin();
    wait_for_previous();
    size_t c = 4 * column();
    if (c < cols) {
        const float *from = row_of(x, blockIdx.x) + c;
        quad gate = load_quad(from, cols - c), up = load_quad(from + cols, cols - c);
        for (int i = 0; i < 4; i++) {
            gate.at[i] = act(gelu, gate.at[i]) * up.at[i];
        }
        put_quad(out, blockIdx.x, c, cols - c, gate);
    }
}

__global__ void gather_kernel(ba_dev_matrix src, const size_t *row, size_t cols, ba_dev_matrix dst) {
    let_next_begin();
    wait_for_previous();
    size_t c = 4 * column();
    if (c < cols) {
        store_quad(row_of(dst, blockIdx.x) + c, cols - c, load_quad(row_of(src, row[blockIdx.x]) + c, cols - c));
    }
}

__global__ void round_kernel(ba_dev_matrix x, size_t cols, uint16_t *out, size_t out_stride) {
    let_next_begin();
    wait_for_previous();
    size_t c = 4 * column(); /* out_stride is a multiple of 8 */
    if (c < out_stride) {
        quad q = load_quad(row_of(x, blockIdx.x) + c, c < cols ? cols - c : 0);
        uint2 pairs = make_uint2(ba::round_pair(q.at[0], q.at[1]), ba::round_pair(q.at[2], q.at[3]));
        *reinterpret_cast<uint2 *>(out + blockIdx.x * out_stride + c) = pairs;
    }
}

__global__ void fill_kernel(ba_dev_out out, size_t cols, float value) {
    let_next_begin();
    wait_for_previous();
    size_t c = 4 * column();
    if (c < cols) {
        put_quad(out, blockIdx.x, c, cols - c, {{value, value, value, value}});
    }
}

__global__ void make_weight_kernel(uint16_t *w, size_t rows, size_t cols, size_t stride, uint64_t seed, float scale) {
    let_next_begin();
    wait_for_previous();
    size_t c = column();
    for (size_t r = blockIdx.x; c < stride && r < rows; r += gridDim.x) {
        w[r * stride + c] = c < cols ? round_bf16(ba_random_weight(seed, r * cols + c, scale)) : 0;
    }
}

} // namespace

void ba_dev_embed(cudaStream_t stream, const uint16_t *w, size_t w_stride, const int32_t *ids, size_t n, size_t cols,
                  float scale, ba_dev_matrix out) {
    if (n && cols) {
        launch_overlapping(stream, grid_of(n, cols), THREADS, embed_kernel, w, w_stride, ids, cols, scale, out);
    }
}

void ba_dev_rmsnorm(cudaStream_t stream, ba_dev_matrix x, size_t rows, size_t groups, size_t cols, const float *gain,
                    float eps, ba_dev_out out) {
    if (rows && groups) {
        launch_overlapping(stream, dim3((unsigned)rows, (unsigned)groups), THREADS, rmsnorm_kernel, x, cols, gain, eps,
                           out);
    }
}

void ba_dev_add(cudaStream_t stream, ba_dev_matrix x, ba_dev_matrix y, size_t rows, size_t cols) {
    if (rows && cols) {
        launch_overlapping(stream, quad_grid_of(rows, cols), THREADS, add_kernel, x, y, cols);
    }
}

void ba_dev_gate(cudaStream_t stream, ba_dev_glu glu, ba_dev_matrix x, size_t rows, size_t cols, ba_dev_out out) {
    if (rows && cols) {
        launch_overlapping(stream, quad_grid_of(rows, cols), THREADS, gate_kernel, glu == BA_DEV_GELU, x, cols, out);
    }
}

void ba_dev_gather(cudaStream_t stream, ba_dev_matrix src, const size_t *row, size_t n, size_t cols,
                   ba_dev_matrix dst) {
    if (n && cols) {
        launch_overlapping(stream, quad_grid_of(n, cols), THREADS, gather_kernel, src, row, cols, dst);
    }
}

void ba_dev_round(cudaStream_t stream, ba_dev_matrix x, size_t rows, size_t cols, uint16_t *out, size_t out_stride) {
    if (rows && cols) {
        launch_overlapping(stream, quad_grid_of(rows, out_stride), THREADS, round_kernel, x, cols, out, out_stride);
    }
}

void ba_dev_fill(cudaStream_t stream, ba_dev_out out, size_t rows, size_t cols, float value) {
    if (rows && cols) {
        launch_overlapping(stream, quad_grid_of(rows, cols), THREADS, fill_kernel, out, cols, value);
    }
}

void ba_dev_make_weight(cudaStream_t stream, uint16_t *w, size_t rows, size_t cols, size_t stride, uint64_t seed,
                        float scale) {
    if (rows && cols) {
        launch_overlapping(stream, grid_of(rows, stride), THREADS, make_weight_kernel, w, rows, cols, stride, seed,
                           scale);
    }
}
