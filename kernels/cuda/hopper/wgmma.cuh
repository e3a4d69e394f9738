/* Hopper's matrix instruction (sm_90a): a warpgroup, four warps in a row, multiplies 64 rows of a by n columns of b and
 * adds to sums in its registers; a and b are in shared memory, in the layout of tma.cuh, and a may be in registers.
 *
 * One instruction takes 16 steps of the depth. The sums of thread 32 w + 4 g + t (w: warp of the four) are of rows
 * 16 w + g (sums 4 i and 4 i + 1) and 8 more (4 i + 2, 4 i + 3), columns 8 i + 2 t and one more.
 *
 * Instructions run asynchronously: between `fence` and `wait` its registers belong to them. */
#ifndef BA_CUDA_WGMMA_CUH
#define BA_CUDA_WGMMA_CUH

#include "tma.cuh"

namespace ba {

/* Rows of 64 adjacent elements; the depth goes along the rows. A step of 16 is `step` further. */
__device__ __forceinline__ uint64_t along_rows(const void *at) {
    constexpr uint64_t eight_rows = 8 * BOX_ROW >> 4, swizzle = (uint64_t)1 << 62;
    return (shared_at(at) & 0x3ffff) >> 4 | (uint64_t)1 << 16 | eight_rows << 32 | swizzle;
}

/* The depth goes down the rows, 16 rows a step; columns 64 and up follow `next` bytes later. */
__device__ __forceinline__ uint64_t down_rows(const void *at, uint32_t next) {
    constexpr uint64_t eight_rows = 8 * BOX_ROW >> 4, swizzle = (uint64_t)1 << 62;
    return (shared_at(at) & 0x3ffff) >> 4 | (uint64_t)(next >> 4) << 16 | eight_rows << 32 | swizzle;
}

enum { STEP_ALONG = 32 >> 4, STEP_DOWN = 16 * BOX_ROW >> 4 }; /* what a step of 16 adds to either */

__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/* Waits until at most `pending` of the last groups are under way. */
template <int pending> __device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

/* Tells the compiler that registers changed while instructions ran. */
template <int n> __device__ __forceinline__ void wgmma_touch(float (&c)[n]) {
#pragma unroll
    for (int i = 0; i < n; i++) {
        asm volatile("" : "+f"(c[i])::"memory");
    }
}

/* The same of registers that instructions read: until here they are not free for anything else. */
template <int n> __device__ __forceinline__ void wgmma_touch(uint32_t (&a)[n]) {
#pragma unroll
    for (int i = 0; i < n; i++) {
        asm volatile("" : "+r"(a[i])::"memory");
    }
}

/* Shared memory that threads wrote, for instructions and copies to read. */
__device__ __forceinline__ void publish_shared() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

#define BA_R4  "%0, %1, %2, %3"
#define BA_R8  BA_R4 ", %4, %5, %6, %7"
#define BA_R16 BA_R8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define BA_R32 BA_R16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define BA_R64                                                                                                         \
    BA_R32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, "    \
           "%52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define BA_R128                                                                                                        \
    BA_R64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, "    \
           "%84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, "  \
           "%104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, "    \
           "%121, %122, %123, %124, %125, %126, %127"
#define BA_C4(c, i)   "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define BA_C8(c, i)   BA_C4(c, i), BA_C4(c, i + 4)
#define BA_C16(c, i)  BA_C8(c, i), BA_C8(c, i + 8)
#define BA_C32(c, i)  BA_C16(c, i), BA_C16(c, i + 16)
#define BA_C64(c, i)  BA_C32(c, i), BA_C32(c, i + 32)
#define BA_C128(c, i) BA_C64(c, i), BA_C64(c, i + 64)

/* c (+)= a b, where the depth goes along the rows of both; add: else the sums begin anew. */
#define BA_WGMMA(n, sums, a_at, b_at, add_at)                                                                          \
    __device__ __forceinline__ void wgmma(float(&c)[sums], uint64_t a, uint64_t b, bool add) {                         \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, " add_at ", 0;\n"                                           \
                     "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" BA_R##sums "}, " a_at ", " b_at      \
                                                                                             ", add, 1, 1, 0, 0;\n}"   \
                     : BA_C##sums(c, 0)                                                                                \
                     : "l"(a), "l"(b), "r"((int)add));                                                                 \
    }

BA_WGMMA(8, 4, "%4", "%5", "%6")
BA_WGMMA(16, 8, "%8", "%9", "%10")
BA_WGMMA(32, 16, "%16", "%17", "%18")
BA_WGMMA(64, 32, "%32", "%33", "%34")
BA_WGMMA(128, 64, "%64", "%65", "%66")
BA_WGMMA(256, 128, "%128", "%129", "%130")

/* The same with a in registers, 16 columns of it, and b whose depth goes down its rows. Of a: rows g and g + 8,
 * columns 2 t and one more, then the same 8 columns further. */
#define BA_WGMMA_DOWN(n, sums, a0, a1, a2, a3, b_at, add_at)                                                           \
    __device__ __forceinline__ void wgmma_down(float(&c)[sums], const uint32_t *a, uint64_t b, bool add) {             \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, " add_at ", 0;\n"                                           \
                     "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" BA_R##sums                           \
                     "}, {" a0 ", " a1 ", " a2 ", " a3 "}, " b_at ", add, 1, 1, 1;\n}"                                 \
                     : BA_C##sums(c, 0)                                                                                \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add));                             \
    }

BA_WGMMA_DOWN(64, 32, "%32", "%33", "%34", "%35", "%36", "%37")
BA_WGMMA_DOWN(128, 64, "%64", "%65", "%66", "%67", "%68", "%69")

} // namespace ba

#endif
