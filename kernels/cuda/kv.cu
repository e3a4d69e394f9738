/* Keys and values: in and out of bf16, rotated on the way; rotations; distances. */
#include "bf16.cuh"
#include "device.h"
#include "overlap.cuh"

namespace {

using ba::let_next_begin;
using ba::round_bf16;
using ba::wait_for_previous;
using ba::wide;

enum { THREADS = 128, WARP = 32, SHIFT_LANES = 8, SHIFT_WIDE = 64 };

unsigned blocks_of(size_t n) {
    return (unsigned)((n + THREADS - 1) / THREADS);
}

__device__ size_t thread_index() {
    return (size_t)blockIdx.x * THREADS + threadIdx.x;
}

__global__ void rot_kernel(float *rot, size_t n, size_t half, const double *pos, const double *freq, double magnitude) {
    let_next_begin();
    wait_for_previous();
    size_t i = thread_index(), row = i / half, d = i % half;
    if (row < n) {
        double s, c;
        sincos(pos[row] * freq[d], &s, &c);
        rot[row * 2 * half + d] = (float)(c * magnitude);
        rot[row * 2 * half + half + d] = (float)(s * magnitude);
    }
}

/* Index of element 0 of a token of a layer and head. */
__device__ size_t place(const ba_dev_kv &kv, size_t layer, size_t head, size_t token) {
    return layer * kv.layer_step + head * kv.head_step + token * kv.stride;
}

/* Stores the pair (d, d + half) of a key, rotated. */
__device__ void store_pair(uint16_t *key, size_t d, size_t half, float a, float b, const float *rot) {
    float x = a, y = b;
    if (rot) {
        x = a * rot[d] - b * rot[half + d];
        y = b * rot[d] + a * rot[half + d];
    }
    key[d] = round_bf16(x);
    key[d + half] = round_bf16(y);
}

/* A thread per row, head and pair. */
__global__ void write_kernel(ba_dev_kv kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_dev_matrix k,
                             ba_dev_matrix v, const float *rot) {
    let_next_begin();
    wait_for_previous();
    size_t half = (size_t)kv.dim / 2, i = thread_index(), d = i % half, head = i / half % kv.kv_heads;
    size_t row = i / half / kv.kv_heads;
    if (row >= n) {
        return;
    }
    size_t to = place(kv, layer, head, token ? (size_t)token[row] : at + row);
    const float *key = k.at + row * k.stride + head * kv.dim, *value = v.at + row * v.stride + head * kv.dim;
    store_pair(kv.k + to, d, half, key[d], key[d + half], rot ? rot + row * 2 * half : nullptr);
    kv.v[to + d] = round_bf16(value[d]);
    kv.v[to + d + half] = round_bf16(value[d + half]);
}

__global__ void copy_kernel(ba_dev_kv to_kv, size_t at, ba_dev_kv from_kv, size_t first, size_t n, size_t layer,
                            const float *rot) {
    let_next_begin();
    wait_for_previous();
    size_t half = (size_t)to_kv.dim / 2, i = thread_index(), d = i % half, head = i / half % to_kv.kv_heads;
    size_t row = i / half / to_kv.kv_heads;
    if (row >= n) {
        return;
    }
    size_t to = place(to_kv, layer, head, at + row), from = place(from_kv, layer, head, first + row);
    store_pair(to_kv.k + to, d, half, wide(from_kv.k[from + d]), wide(from_kv.k[from + d + half]),
               rot ? rot + row * 2 * half : nullptr);
    to_kv.v[to + d] = from_kv.v[from + d];
    to_kv.v[to + d + half] = from_kv.v[from + d + half];
}

/* A warp per token. */
__global__ void distance_kernel(bool keys, ba_dev_kv a, size_t first_a, ba_dev_kv b, size_t first_b, size_t n,
                                size_t layer, double *out) {
    size_t row = thread_index() / WARP, lane = threadIdx.x % WARP;
    if (row >= n) {
        return;
    }
    const uint16_t *x = keys ? a.k : a.v, *y = keys ? b.k : b.v;
    double sum = 0;
    for (size_t i = lane; i < (size_t)a.kv_heads * a.dim; i += WARP) {
        size_t head = i / a.dim, d = i % a.dim;
        double e = (double)wide(x[place(a, layer, head, first_a + row) + d]) -
                   (double)wide(y[place(b, layer, head, first_b + row) + d]);
        sum += e * e;
    }
    for (int step = WARP / 2; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
    }
    if (lane == 0) {
        out[row] = sum;
    }
}

/* A block per KV head and span. A thread has a dimension of every SHIFT_LANES-th token. */
__global__ void __launch_bounds__(SHIFT_LANES *SHIFT_WIDE)
    shift_kernel(bool keys, const ba_dev_kv_span *spans, size_t layer, const double *from, const double *to) {
    __shared__ double sums[SHIFT_LANES][SHIFT_WIDE];
    const ba_dev_kv_span s = spans[blockIdx.y];
    size_t head = blockIdx.x, lane = threadIdx.x / SHIFT_WIDE, column = threadIdx.x % SHIFT_WIDE;
    uint16_t *now = (keys ? s.kv.k : s.kv.v) + place(s.kv, layer, head, s.first);
    const uint16_t *before = (keys ? s.old.k : s.old.v) + place(s.old, layer, head, s.first);
    for (size_t d0 = 0; d0 < (size_t)s.kv.dim; d0 += SHIFT_WIDE) {
        size_t d = d0 + column;
        double mean = 0;
        for (size_t i = lane; d < (size_t)s.kv.dim && i < s.n; i += SHIFT_LANES) {
            if (from[s.at + i] != 0) {
                mean += from[s.at + i] *
                        ((double)wide(now[i * s.kv.stride + d]) - (double)wide(before[i * s.old.stride + d]));
            }
        }
        __syncthreads();
        sums[lane][column] = mean;
        __syncthreads();
        mean = 0;
        for (int i = 0; i < SHIFT_LANES; i++) {
            mean += sums[i][column];
        }
        for (size_t i = lane; d < (size_t)s.kv.dim && i < s.n; i += SHIFT_LANES) {
            if (to[s.at + i] != 0) {
                uint16_t *x = now + i * s.kv.stride + d;
                *x = round_bf16((float)((double)wide(*x) + to[s.at + i] * mean));
            }
        }
    }
}

} // namespace

void ba_dev_rot_fill(cudaStream_t stream, float *rot, size_t n, size_t half, const double *pos, const double *freq,
                     double magnitude) {
    if (n && half) {
        ba::launch_overlapping(stream, dim3(blocks_of(n * half)), THREADS, rot_kernel, rot, n, half, pos, freq,
                               magnitude);
    }
}

void ba_dev_kv_write(cudaStream_t stream, const ba_dev_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n,
                     ba_dev_matrix k, ba_dev_matrix v, const float *rot) {
    if (n) {
        size_t pairs = n * (size_t)kv->kv_heads * (size_t)kv->dim / 2;
        ba::launch_overlapping(stream, dim3(blocks_of(pairs)), THREADS, write_kernel, *kv, layer, at, token, n, k, v,
                               rot);
    }
}

void ba_dev_kv_copy(cudaStream_t stream, const ba_dev_kv *to, size_t at, const ba_dev_kv *from, size_t first, size_t n,
                    size_t layer, const float *rot) {
    if (n) {
        size_t pairs = n * (size_t)to->kv_heads * (size_t)to->dim / 2;
        ba::launch_overlapping(stream, dim3(blocks_of(pairs)), THREADS, copy_kernel, *to, at, *from, first, n, layer,
                               rot);
    }
}

void ba_dev_kv_distance(cudaStream_t stream, bool keys, const ba_dev_kv *a, size_t first_a, const ba_dev_kv *b,
                        size_t first_b, size_t n, size_t layer, double *out) {
    if (n) {
        distance_kernel<<<blocks_of(n * WARP), THREADS, 0, stream>>>(keys, *a, first_a, *b, first_b, n, layer, out);
    }
}

void ba_dev_kv_shift(cudaStream_t stream, bool keys, const ba_dev_kv_span *span, size_t n_span, int kv_heads,
                     size_t layer, const double *from, const double *to) {
    if (n_span) {
        shift_kernel<<<dim3((unsigned)kv_heads, (unsigned)n_span), SHIFT_LANES * SHIFT_WIDE, 0, stream>>>(
            keys, span, layer, from, to);
    }
}
