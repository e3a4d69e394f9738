/* Hopper's copy engine (TMA) and the barriers in shared memory that its copies complete on (sm_90a).
 *
 * A copy moves a box of a matrix to shared memory. Its rows are 128 bytes there, and the 16-byte pieces of row r are at
 * piece ^ (r % 8), so that tensor cores meet all banks; this is the layout that wgmma.cuh describes to them. What is
 * outside of the matrix arrives as zeros and counts as bytes all the same. */
#ifndef BA_CUDA_TMA_CUH
#define BA_CUDA_TMA_CUH

#include <cuda.h>
#include <stdint.h>

namespace ba {

enum { BOX_COLS = 64, BOX_ROW = 128 }; /* bf16 columns of a box, and their bytes */

__device__ __forceinline__ uint32_t shared_at(const void *p) {
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* `count` arrivals, and the bytes that were announced, complete a phase. */
__device__ __forceinline__ void barrier_init(uint64_t *b, uint32_t count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_at(b)), "r"(count) : "memory");
}

/* Makes initialised barriers known to the copy engine and to the other blocks of the cluster. */
__device__ __forceinline__ void barriers_publish() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void barrier_arrive(uint64_t *b) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_at(b)) : "memory");
}

/* Arrives at the same barrier of a block of the cluster. */
__device__ __forceinline__ void barrier_arrive_at(uint64_t *b, uint32_t block) {
    asm volatile("{\n.reg .b32 there;\n"
                 "mapa.shared::cluster.u32 there, %0, %1;\n"
                 "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(shared_at(b)),
                 "r"(block)
                 : "memory");
}

/* Arrives, and announces bytes that copies will bring. */
__device__ __forceinline__ void barrier_expect(uint64_t *b, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_at(b)), "r"(bytes) : "memory");
}

/* Waits for the end of the phase of this parity. */
__device__ __forceinline__ void barrier_wait(uint64_t *b, uint32_t parity) {
    asm volatile("{\n.reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@!done bra again;\n}" ::"r"(shared_at(b)),
                 "r"(parity)
                 : "memory");
}

/* A map in device memory, where another one may have been before. */
__device__ __forceinline__ void renew_map(const CUtensorMap *map) {
    asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(map) : "memory");
}

/* Asks for a map that a copy will need soon. */
__device__ __forceinline__ void prefetch_map(const CUtensorMap *map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/* A box of a stack of matrices: of columns from x, rows from y, matrices from z. */
__device__ __forceinline__ void load_box(void *to, const CUtensorMap *map, uint64_t *b, int x, int y, int z) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, "
                 "%4}], [%5];" ::"r"(shared_at(to)),
                 "l"(map), "r"(x), "r"(y), "r"(z), "r"(shared_at(b))
                 : "memory");
}

/* To the same place of the cluster's blocks in `mask`, where it completes on the same barrier. */
__device__ __forceinline__ void load_box_to(uint16_t mask, void *to, const CUtensorMap *map, uint64_t *b, int x, int y,
                                            int z) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
                 "[%1, {%2, %3, %4}], [%5], %6;" ::"r"(shared_at(to)),
                 "l"(map), "r"(x), "r"(y), "r"(z), "r"(shared_at(b)), "h"(mask)
                 : "memory");
}

/* The same of matrices of two halves, where 8 rows of each take turns: from y of either. */
__device__ __forceinline__ void load_halves(void *to, const CUtensorMap *map, uint64_t *b, int x, int y, int z) {
    asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %3, "
                 "%4, %5}], [%6];" ::"r"(shared_at(to)),
                 "l"(map), "r"(x), "r"(0), "r"(y / 8), "r"(z), "r"(shared_at(b))
                 : "memory");
}

__device__ __forceinline__ void load_halves_to(uint16_t mask, void *to, const CUtensorMap *map, uint64_t *b, int x,
                                               int y, int z) {
    asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
                 "[%1, {%2, %3, %3, %4, %5}], [%6], %7;" ::"r"(shared_at(to)),
                 "l"(map), "r"(x), "r"(0), "r"(y / 8), "r"(z), "r"(shared_at(b)), "h"(mask)
                 : "memory");
}

/* From shared memory to a matrix, where it replaces or is added; rows and columns outside are left out. Copies of a
 * thread form groups. */
__device__ __forceinline__ void store_box(const CUtensorMap *map, const void *from, int x, int y, bool add) {
    if (add) {
        asm volatile(
            "cp.reduce.async.bulk.tensor.3d.global.shared::cta.add.bulk_group [%0, {%1, %2, %3}], [%4];" ::"l"(map),
            "r"(x), "r"(y), "r"(0), "r"(shared_at(from))
            : "memory");
    } else {
        asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%1, %2, %3}], [%4];" ::"l"(map),
                     "r"(x), "r"(y), "r"(0), "r"(shared_at(from))
                     : "memory");
    }
}

__device__ __forceinline__ void stores_commit() {
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/* Waits until at most `pending` of the last groups still read shared memory. */
template <int pending> __device__ __forceinline__ void stores_wait_read() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
}

__device__ __forceinline__ void stores_wait() {
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

__device__ __forceinline__ uint32_t cluster_rank() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

/* All threads of the cluster; what they wrote to memory is not made known by this. */
__device__ __forceinline__ void cluster_wait() {
    asm volatile("barrier.cluster.arrive.relaxed.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

/* Registers of this thread from here on; all warps of four in a row do the same. */
template <int n> __device__ __forceinline__ void more_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(n));
}

template <int n> __device__ __forceinline__ void fewer_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(n));
}

} // namespace ba

#endif
