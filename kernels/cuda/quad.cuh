/* Neighbouring columns of a row at once, four or two: as one access where they lie so, else one by one. */
#ifndef BA_CUDA_QUAD_CUH
#define BA_CUDA_QUAD_CUH

#include <stdint.h>

namespace ba {

struct quad {
    float at[4];
};

/* The first n of four, the others zero. */
__device__ __forceinline__ quad load_quad(const float *from, size_t n) {
    quad q = {};
    if (n >= 4 && (uintptr_t)from % sizeof(float4) == 0) {
        float4 all = *reinterpret_cast<const float4 *>(from);
        return {{all.x, all.y, all.z, all.w}};
    }
#pragma unroll
    for (size_t i = 0; i < 4; i++) {
        q.at[i] = i < n ? from[i] : 0;
    }
    return q;
}

__device__ __forceinline__ void store_quad(float *to, size_t n, const quad &q) {
    if (n >= 4 && (uintptr_t)to % sizeof(float4) == 0) {
        *reinterpret_cast<float4 *>(to) = make_float4(q.at[0], q.at[1], q.at[2], q.at[3]);
        return;
    }
#pragma unroll
    for (size_t i = 0; i < 4; i++) {
        if (i < n) {
            to[i] = q.at[i];
        }
    }
}

/* Sets the first or both of two, or adds to them. */
__device__ __forceinline__ void put_pair(float *to, bool both, bool add, float x, float y) {
    if (both && (uintptr_t)to % sizeof(float2) == 0) {
        float2 *pair = reinterpret_cast<float2 *>(to);
        *pair = add ? make_float2(pair->x + x, pair->y + y) : make_float2(x, y);
        return;
    }
    to[0] = add ? to[0] + x : x;
    if (both) {
        to[1] = add ? to[1] + y : y;
    }
}

} // namespace ba

#endif
