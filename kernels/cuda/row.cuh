/* What kernels over rows share: THREADS columns of a row a block. */
#ifndef BA_CUDA_ROW_CUH
#define BA_CUDA_ROW_CUH

#include "device.h"
#include "overlap.cuh"

namespace ba {

enum { THREADS = 128 };

inline dim3 grid_of(size_t rows, size_t cols) {
    return dim3((unsigned)rows, (unsigned)((cols + THREADS - 1) / THREADS));
}

/* Of threads that have four columns each. */
inline dim3 quad_grid_of(size_t rows, size_t cols) {
    return grid_of(rows, (cols + 3) / 4);
}

__device__ inline size_t column() {
    return (size_t)blockIdx.y * THREADS + threadIdx.x;
}

__device__ inline float *row_of(ba_dev_matrix m, size_t row) {
    return m.at + row * m.stride;
}

} // namespace ba

#endif
