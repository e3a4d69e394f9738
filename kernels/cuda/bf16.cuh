/* bf16 on the device: rounding, and the instructions that move and multiply tiles of it (sm_80 and later). */
#ifndef BA_CUDA_BF16_CUH
#define BA_CUDA_BF16_CUH

#include <cuda_bf16.h>
#include <stdint.h>

namespace ba {

__device__ __forceinline__ uint16_t round_bf16(float x) {
    return __bfloat16_as_ushort(__float2bfloat16_rn(x));
}

__device__ __forceinline__ float wide(uint16_t x) {
    return __uint_as_float((uint32_t)x << 16);
}

/* Two neighbours, in the order of memory. */
__device__ __forceinline__ uint32_t round_pair(float low, float high) {
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&pair);
}

__device__ __forceinline__ float wide_low(uint32_t pair) {
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float wide_high(uint32_t pair) {
    return __uint_as_float(pair & 0xffff0000u);
}

/* c[16, 8] += a[16, 16] b[16, 8]. Of lane l = 4 g + t: a holds rows g and g + 8, columns 2 t, 2 t + 1 and 8 more; b
 * column g, the same; c rows g and g + 8, columns 2 t and 2 t + 1. */
__device__ __forceinline__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Four 8 x 8 tiles in shared memory; lanes 8 i .. 8 i + 7 give the rows of tile i. */
__device__ __forceinline__ void load_tiles(uint32_t (&r)[4], const void *row) {
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

__device__ __forceinline__ void load_tiles_transposed(uint32_t (&r)[4], const void *row) {
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/* Starts a copy of 16 bytes to shared memory, of which the last 16 - bytes are zeros. */
__device__ __forceinline__ void copy16(void *to, const void *from, int bytes) {
    uint32_t at = (uint32_t)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes) : "memory");
}

__device__ __forceinline__ void copies_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until at most `pending` of the last groups are under way. */
template <int pending> __device__ __forceinline__ void copies_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

} // namespace ba

#endif
