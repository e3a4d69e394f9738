/* Results on their way to memory: to a matrix of reals, or rounded to one of operands. */
#ifndef BA_CUDA_OUT_CUH
#define BA_CUDA_OUT_CUH

#include "bf16.cuh"
#include "device.h"
#include "quad.cuh"

namespace ba {

__device__ __forceinline__ void put(const ba_dev_out &out, size_t row, size_t col, float x) {
    if (out.half) {
        out.half[row * out.stride + col] = round_bf16(x);
    } else {
        out.at[row * out.stride + col] = x;
    }
}

/* Two neighbours, or the first of them. */
__device__ __forceinline__ void put_pair(const ba_dev_out &out, size_t row, size_t col, bool both, float x, float y) {
    if (out.half && both) { /* strides of operands, and the columns of pairs, are even */
        *reinterpret_cast<uint32_t *>(out.half + row * out.stride + col) = round_pair(x, y);
    } else if (out.half) {
        out.half[row * out.stride + col] = round_bf16(x);
    } else {
        put_pair(out.at + row * out.stride + col, both, false, x, y);
    }
}

/* Up to four neighbours that begin at a multiple of four columns. */
__device__ __forceinline__ void put_quad(const ba_dev_out &out, size_t row, size_t col, size_t n, const quad &q) {
    if (!out.half) {
        store_quad(out.at + row * out.stride + col, n, q);
    } else if (n >= 4 && col % 4 == 0) {
        uint2 pairs = make_uint2(round_pair(q.at[0], q.at[1]), round_pair(q.at[2], q.at[3]));
        *reinterpret_cast<uint2 *>(out.half + row * out.stride + col) = pairs;
    } else {
#pragma unroll
        for (size_t i = 0; i < 4; i++) {
            if (i < n) {
                out.half[row * out.stride + col + i] = round_bf16(q.at[i]);
            }
        }
    }
}

} // namespace ba

#endif
