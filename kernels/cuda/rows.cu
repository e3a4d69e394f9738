/* Operations that treat each row by itself. */
#include "bf16.cuh"
#include "device.h"

namespace {

using ba::round_bf16;
using ba::wide;

enum { THREADS = 128, WARP = 32 };

dim3 grid_of(size_t rows, size_t cols) {
    return dim3((unsigned)rows, (unsigned)((cols + THREADS - 1) / THREADS));
}

__device__ size_t column() {
    return (size_t)blockIdx.y * THREADS + threadIdx.x;
}

__device__ float *row_of(ba_dev_matrix m, size_t row) {
    return m.at + row * m.stride;
}

__global__ void embed_kernel(const uint16_t *w, size_t w_stride, const int32_t *ids, size_t cols, float scale,
                             ba_dev_matrix out) {
    size_t c = column(), r = blockIdx.x;
    if (c < cols) {
        row_of(out, r)[c] = wide(w[(size_t)ids[r] * w_stride + c]) * scale;
    }
}

/* A block per row and group. Sums go over the threads in a fixed tree. */
__global__ void rmsnorm_kernel(ba_dev_matrix x, size_t cols, const float *gain, float eps, ba_dev_matrix out) {
    const float *from = row_of(x, blockIdx.x) + blockIdx.y * cols;
    float *to = row_of(out, blockIdx.x) + blockIdx.y * cols;
    __shared__ float part[THREADS / WARP];
    float sum = 0;
    for (size_t c = threadIdx.x; c < cols; c += THREADS) {
        sum = fmaf(from[c], from[c], sum);
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
    for (size_t c = threadIdx.x; c < cols; c += THREADS) {
        to[c] = from[c] * factor * gain[c];
    }
}

__global__ void add_kernel(ba_dev_matrix x, ba_dev_matrix y, size_t cols) {
    size_t c = column();
    if (c < cols) {
        row_of(x, blockIdx.x)[c] += row_of(y, blockIdx.x)[c];
    }
}

__global__ void glu_kernel(bool gelu, ba_dev_matrix x, size_t cols, ba_dev_matrix out) {
    size_t c = column();
    if (c >= cols) {
        return;
    }
    float a = row_of(x, blockIdx.x)[c], b = row_of(x, blockIdx.x)[cols + c], y;
    if (gelu) {
        y = 0.5f * a * (1 + tanhf(0.79788456080286535588f * (a + 0.044715f * a * a * a)));
    } else {
        y = a / (1 + expf(-a));
    }
    row_of(out, blockIdx.x)[c] = y * b;
}

__global__ void gather_kernel(ba_dev_matrix src, const size_t *row, size_t cols, ba_dev_matrix dst) {
    size_t c = column();
    if (c < cols) {
        row_of(dst, blockIdx.x)[c] = row_of(src, row[blockIdx.x])[c];
    }
}

__global__ void round_kernel(ba_dev_matrix x, size_t cols, uint16_t *out, size_t out_stride) {
    size_t c = column();
    if (c < out_stride) {
        out[blockIdx.x * out_stride + c] = c < cols ? round_bf16(row_of(x, blockIdx.x)[c]) : 0;
    }
}

__global__ void fill_kernel(ba_dev_matrix out, size_t cols, float value) {
    size_t c = column();
    if (c < cols) {
        row_of(out, blockIdx.x)[c] = value;
    }
}

} // namespace

void ba_dev_embed(cudaStream_t stream, const uint16_t *w, size_t w_stride, const int32_t *ids, size_t n, size_t cols,
                  float scale, ba_dev_matrix out) {
    if (n && cols) {
        embed_kernel<<<grid_of(n, cols), THREADS, 0, stream>>>(w, w_stride, ids, cols, scale, out);
    }
}

void ba_dev_rmsnorm(cudaStream_t stream, ba_dev_matrix x, size_t rows, size_t groups, size_t cols, const float *gain,
                    float eps, ba_dev_matrix out) {
    if (rows && groups) {
        rmsnorm_kernel<<<dim3((unsigned)rows, (unsigned)groups), THREADS, 0, stream>>>(x, cols, gain, eps, out);
    }
}

void ba_dev_add(cudaStream_t stream, ba_dev_matrix x, ba_dev_matrix y, size_t rows, size_t cols) {
    if (rows && cols) {
        add_kernel<<<grid_of(rows, cols), THREADS, 0, stream>>>(x, y, cols);
    }
}

void ba_dev_glu(cudaStream_t stream, bool gelu, ba_dev_matrix x, size_t rows, size_t cols, ba_dev_matrix out) {
    if (rows && cols) {
        glu_kernel<<<grid_of(rows, cols), THREADS, 0, stream>>>(gelu, x, cols, out);
    }
}

void ba_dev_gather(cudaStream_t stream, ba_dev_matrix src, const size_t *row, size_t n, size_t cols,
                   ba_dev_matrix dst) {
    if (n && cols) {
        gather_kernel<<<grid_of(n, cols), THREADS, 0, stream>>>(src, row, cols, dst);
    }
}

void ba_dev_round(cudaStream_t stream, ba_dev_matrix x, size_t rows, size_t cols, uint16_t *out, size_t out_stride) {
    if (rows && cols) {
        round_kernel<<<grid_of(rows, out_stride), THREADS, 0, stream>>>(x, cols, out, out_stride);
    }
}

void ba_dev_fill(cudaStream_t stream, ba_dev_matrix out, size_t rows, size_t cols, float value) {
    if (rows && cols) {
        fill_kernel<<<grid_of(rows, cols), THREADS, 0, stream>>>(out, cols, value);
    }
}
