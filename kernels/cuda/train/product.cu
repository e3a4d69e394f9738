/* Products of training: both operands in bf16 and either way round, sums in fp32. */
#include "kernels/cuda/bf16.cuh"
#include "kernels/cuda/device_train.h"
#include "kernels/cuda/quad.cuh"

namespace {

using namespace ba;

enum { WARP = 32, DEPTH = 32, STAGES = 4, JOIN_THREADS = 256, PROCESSORS = 132 };

struct product {
    int m, n, k;
    const uint16_t *a, *b;
    size_t a_stride, b_stride;
    float scale;
    bool add;
    ba_dev_matrix c;
    int splits;     /* parts of k that blocks add up apart */
    float *partial; /* [splits, m, n], if there are several */
};

/* A step of an operand in shared memory: `size` rows of DEPTH elements, or turned, DEPTH rows of `size`. Padded by 8
 * elements, so that the rows of an 8 x 8 tile meet all banks. */
template <bool turned, int size> struct step_room { uint16_t at[turned ? DEPTH : size][(turned ? size : DEPTH) + 8]; };

/* Starts to copy elements [i0, i0 + size) x [k0, k0 + DEPTH); zeros outside of [n, k]. */
template <bool turned, int size, int threads>
__device__ void fetch(step_room<turned, size> &to, const uint16_t *from, size_t stride, int i0, int n, int k0, int k) {
    constexpr int rows = turned ? DEPTH : size, per_row = (turned ? size : DEPTH) / 8;
    int row0 = turned ? k0 : i0, col0 = turned ? i0 : k0, n_rows = turned ? k : n, n_cols = turned ? n : k;
    for (int i = (int)threadIdx.x; i < rows * per_row; i += threads) {
        int r = i / per_row, c = i % per_row * 8, left = n_cols - (col0 + c);
        bool inside = row0 + r < n_rows && left > 0;
        int bytes = inside ? min(left, 8) * (int)sizeof(uint16_t) : 0;
        copy16(&to.at[r][c], inside ? from + (size_t)(row0 + r) * stride + col0 + c : from, bytes);
    }
}

/* Fragment of a [16, 16] at (i, k), and those of two b [16, 8] beside each other. */
template <bool turned, int size>
__device__ void load_a(uint32_t (&a)[4], const step_room<turned, size> &from, int i, int k, int lane) {
    if (turned) {
        load_tiles_transposed(a, &from.at[k + lane / 16 * 8 + lane % 8][i + lane / 8 % 2 * 8]);
    } else {
        load_tiles(a, &from.at[i + lane % 16][k + lane / 16 * 8]);
    }
}

template <bool turned, int size>
__device__ void load_b(uint32_t (&b)[4], const step_room<turned, size> &from, int i, int k, int lane) {
    if (turned) {
        load_tiles_transposed(b, &from.at[k + lane % 16][i + lane / 16 * 8]);
    } else {
        load_tiles(b, &from.at[i + lane / 16 * 8 + lane % 8][k + lane / 8 % 2 * 8]);
    }
}

template <bool a_turned, bool b_turned, int rows, int cols> struct product_room {
    step_room<a_turned, rows> a[STAGES];
    step_room<b_turned, cols> b[STAGES];
};

/* Two neighbours of the result, or of a part of it. */
__device__ void store_pair(const product &p, int row, int col, float x, float y) {
    if (row >= p.m || col >= p.n) {
        return;
    }
    bool whole = p.splits == 1;
    size_t stride = whole ? p.c.stride : (size_t)p.n;
    float *to = (whole ? p.c.at : p.partial + (size_t)blockIdx.z * p.m * p.n) + (size_t)row * stride + col;
    put_pair(to, col + 1 < p.n, whole && p.add, x, y);
}

/* b_turned: b is stored as [k, n]. */
template <bool a_turned, bool b_turned, int rows, int cols, int warps_m, int warps_n>
__global__ void __launch_bounds__(warps_m *warps_n *WARP) product_kernel(product p) {
    constexpr int threads = warps_m * warps_n * WARP;
    constexpr int m_tiles = rows / warps_m / 16, n_tiles = cols / warps_n / 8;
    extern __shared__ __align__(16) unsigned char memory[];
    auto &room = *reinterpret_cast<product_room<a_turned, b_turned, rows, cols> *>(memory);
    int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    int warp_row = warp / warps_n * m_tiles * 16, warp_col = warp % warps_n * n_tiles * 8;
    int row0 = (int)blockIdx.y * rows, col0 = (int)blockIdx.x * cols;
    int all_steps = (p.k + DEPTH - 1) / DEPTH, each = (all_steps + p.splits - 1) / p.splits;
    int step0 = (int)blockIdx.z * each, steps = max(0, min(each, all_steps - step0));
    float c[m_tiles][n_tiles][4] = {};
    auto fetch_step = [&](int step) {
        if (step < steps) {
            fetch<a_turned, rows, threads>(room.a[step % STAGES], p.a, p.a_stride, row0, p.m, (step0 + step) * DEPTH,
                                           p.k);
            fetch<b_turned, cols, threads>(room.b[step % STAGES], p.b, p.b_stride, col0, p.n, (step0 + step) * DEPTH,
                                           p.k);
        }
        copies_commit();
    };
    for (int step = 0; step < STAGES - 1; step++) {
        fetch_step(step);
    }
    for (int step = 0; step < steps; step++) {
        copies_wait<STAGES - 2>();
        __syncthreads();
        fetch_step(step + STAGES - 1);
#pragma unroll
        for (int k = 0; k < DEPTH; k += 16) {
            uint32_t a[m_tiles][4], b[n_tiles / 2][4];
#pragma unroll
            for (int m = 0; m < m_tiles; m++) {
                load_a<a_turned, rows>(a[m], room.a[step % STAGES], warp_row + m * 16, k, lane);
            }
#pragma unroll
            for (int n = 0; n < n_tiles; n += 2) {
                load_b<b_turned, cols>(b[n / 2], room.b[step % STAGES], warp_col + n * 8, k, lane);
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
                store_pair(p, row, col, p.scale * c[m][n][i], p.scale * c[m][n][i + 1]);
            }
        }
    }
}

/* Adds up the parts in order. */
__global__ void join_kernel(product p) {
    size_t i = (size_t)blockIdx.x * JOIN_THREADS + threadIdx.x, size = (size_t)p.m * p.n;
    if (i < size) {
        float *to = p.c.at + i / p.n * p.c.stride + i % p.n, sum = p.partial[i];
        for (int s = 1; s < p.splits; s++) {
            sum += p.partial[s * size + i];
        }
        *to = p.add ? *to + sum : sum;
    }
}

template <bool a_turned, bool b_turned, int rows, int cols, int warps_m, int warps_n>
void launch(cudaStream_t stream, const product &p) {
    auto kernel = product_kernel<a_turned, b_turned, rows, cols, warps_m, warps_n>;
    constexpr int room = (int)sizeof(product_room<a_turned, b_turned, rows, cols>);
    if (room > 48 * 1024) {
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, room);
    }
    dim3 grid((unsigned)((p.n + cols - 1) / cols), (unsigned)((p.m + rows - 1) / rows), (unsigned)p.splits);
    kernel<<<grid, warps_m * warps_n * WARP, room, stream>>>(p);
}

/* Large tiles where they fill the GPU; narrow ones for factors of low rank. */
enum tiling { LARGE, NARROW, FLAT, MEDIUM };

int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

tiling tiling_of(int m, int n) {
    if (ceil_div(m, 128) * ceil_div(n, 128) >= PROCESSORS) {
        return LARGE;
    }
    return n <= 16 ? NARROW : m <= 16 ? FLAT : MEDIUM;
}

/* Long sums of few tiles, as gradients are, are cut so that all processors have something to do. */
int splits_of(int m, int n, int k) {
    enum { FEWEST_STEPS = 8 };
    static const int rows[] = {128, 64, 16, 64}, cols[] = {128, 16, 64, 64};
    tiling t = tiling_of(m, n);
    int tiles = ceil_div(m, rows[t]) * ceil_div(n, cols[t]), most = ceil_div(k, DEPTH) / FEWEST_STEPS;
    int splits = 2 * PROCESSORS / tiles < most ? 2 * PROCESSORS / tiles : most;
    return splits > 1 ? splits : 1;
}

template <bool a_turned, bool b_turned> void choose(cudaStream_t stream, const product &p) {
    switch (tiling_of(p.m, p.n)) {
    case LARGE:
        return launch<a_turned, b_turned, 128, 128, 2, 4>(stream, p);
    case NARROW:
        return launch<a_turned, b_turned, 64, 16, 4, 1>(stream, p);
    case FLAT:
        return launch<a_turned, b_turned, 16, 64, 1, 4>(stream, p);
    case MEDIUM:
        return launch<a_turned, b_turned, 64, 64, 2, 2>(stream, p);
    }
}

} // namespace

size_t ba_dev_product_floats(size_t m, size_t n, size_t k) {
    size_t splits = (size_t)splits_of((int)m, (int)n, (int)k);
    return splits > 1 ? splits * m * n : 0;
}

void ba_dev_product(cudaStream_t stream, size_t m, size_t n, size_t k, ba_dev_operand a, ba_dev_operand b, float scale,
                    bool add, ba_dev_matrix c, float *partial) {
    if (!m || !n) {
        return;
    }
    product p = {(int)m, (int)n, (int)k, a.at, b.at, a.stride, b.stride, scale, add, c, 1, partial};
    p.splits = splits_of(p.m, p.n, p.k);
    if (a.turned) {
        b.turned ? choose<true, false>(stream, p) : choose<true, true>(stream, p);
    } else {
        b.turned ? choose<false, false>(stream, p) : choose<false, true>(stream, p);
    }
    if (p.splits > 1) {
        join_kernel<<<(unsigned)((m * n + JOIN_THREADS - 1) / JOIN_THREADS), JOIN_THREADS, 0, stream>>>(p);
    }
}
