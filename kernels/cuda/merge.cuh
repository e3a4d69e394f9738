/* The merge of partial states of a row of attention, in their order. */
#ifndef BA_CUDA_MERGE_CUH
#define BA_CUDA_MERGE_CUH

#include "out.cuh"
#include "segments.cuh"

namespace ba {

enum { LANES = 32 };

/* A lane's share of a row's state: dimensions lane, lane + 32, .., n at most. */
template <int n> struct merged { float m, l, o[n]; };

template <int n> __device__ inline void merge(merged<n> &into, float m, float l, const float *o, int dim, int lane) {
    float most = fmaxf(into.m, m), a = exp2f(into.m - most), b = exp2f(m - most);
#pragma unroll
    for (int i = 0; i < n; i++) {
        if (i * LANES + lane < dim) {
            into.o[i] = into.o[i] * a + o[i] * b;
        }
    }
    into.l = into.l * a + l * b;
    into.m = most;
}

template <int n> __device__ inline void clear(merged<n> &s) {
    s.m = NO_SCORE;
    s.l = 0;
#pragma unroll
    for (int i = 0; i < n; i++) {
        s.o[i] = 0;
    }
}

/* Adds a finished group to everything; of group 0 as it is, of the others as one key whose score is the scaled
 * log-sum-exp. */
template <int n>
__device__ inline void merge_group(merged<n> &all, merged<n> &group, int index, const float *scale, int dim, int lane) {
    if (group.l == 0) {
        return;
    }
    if (index > 0) {
        for (int i = 0; i < n; i++) {
            group.o[i] /= group.l;
        }
        group.m = scale[index - 1] * (group.m + log2f(group.l));
        group.l = 1;
    }
    merge(all, group.m, group.l, group.o, dim, lane);
    clear(group);
}

/* A row's result, normalised. */
template <int n>
__device__ inline void put_merged(const ba_dev_attention &a, const merged<n> &all, int row, int head, int lane) {
    float factor = all.l == 0 ? 0 : 1 / all.l;
#pragma unroll
    for (int i = 0; i < n; i++) {
        if (i * LANES + lane < a.dim) {
            put(a.out, (size_t)row, (size_t)head * a.dim + i * LANES + lane, all.o[i] * factor);
        }
    }
}

} // namespace ba

#endif
