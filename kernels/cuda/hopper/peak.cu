/* The matrix rate of Hopper: products of tiles that stay in shared memory. */
#include "kernels/cuda/device_hopper.h"
#include "launch.cuh"
#include "wgmma.cuh"

namespace {

using namespace ba;

enum { ROWS = 64, COLS = 256, DEPTH = 64, GROUPS = 2, THREADS = 128 * GROUPS, STEPS = 2048 };
enum { A_BYTES = ROWS * BOX_ROW, B_BYTES = COLS * BOX_ROW, SHARED = BOX_SLACK + GROUPS * A_BYTES + B_BYTES };

/* Each of two warpgroups multiplies its 64 rows by 256 columns that both share. */
__global__ __launch_bounds__(THREADS, 1) void multiply_kernel(float *out) {
    extern __shared__ unsigned char memory[];
    unsigned char *boxes = align_boxes(memory);
    for (uint32_t i = threadIdx.x; i < (GROUPS * A_BYTES + B_BYTES) / 4; i += THREADS) {
        uint32_t x = (blockIdx.x * 7919 + i) * 2654435761u; /* random operands: zeros can run faster */
        reinterpret_cast<uint32_t *>(boxes)[i] = (x & 0x807f807fu) | 0x3f003f00u;
    }
    publish_shared();
    __syncthreads();
    uint64_t a = along_rows(boxes + threadIdx.x / 128 * A_BYTES), b = along_rows(boxes + GROUPS * A_BYTES);
    float sums[COLS / 2];
    for (float &sum : sums) {
        sum = 0;
    }
    for (int i = 0; i < STEPS; i++) {
        wgmma_touch(sums);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < DEPTH / 16; k++) {
            wgmma(sums, a + (uint64_t)(k * STEP_ALONG), b + (uint64_t)(k * STEP_ALONG), true);
        }
        wgmma_commit();
        wgmma_wait<1>();
    }
    wgmma_wait<0>();
    wgmma_touch(sums);
    float sum = 0;
    for (float x : sums) {
        sum += x;
    }
    out[blockIdx.x * THREADS + threadIdx.x] = sum;
}

} // namespace

double ba_dev_peak_hopper(cudaStream_t stream, float *out) {
    int blocks = processors();
    cudaFuncSetAttribute(multiply_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED);
    multiply_kernel<<<blocks, THREADS, SHARED, stream>>>(out);
    return 2.0 * ROWS * COLS * DEPTH * STEPS * GROUPS * blocks;
}
