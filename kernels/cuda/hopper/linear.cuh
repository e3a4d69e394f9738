/* What the two kernels of products for Hopper share: what they are asked, and what becomes of a sum.
 *
 * Both sum an element over the columns of x in steps of 16, from the left, by one chain of wgmma instructions. It does
 * not matter to a bit whether weights are the rows of the instruction or its columns, nor how wide it is, so a row has
 * the same bits in either kernel and among any others. */
#ifndef BA_CUDA_HOPPER_LINEAR_CUH
#define BA_CUDA_HOPPER_LINEAR_CUH

#include "kernels/cuda/act.cuh"
#include "kernels/cuda/device_hopper.h"
#include "kernels/cuda/device_map.h"
#include "launch.cuh"
#include "kernels/cuda/out.cuh"
#include "wgmma.cuh"

namespace ba {

/* Passed to a kernel by value: maps must be among its parameters. */
struct product {
    CUtensorMap w, x, out_map; /* the last for results that leave by the copy engine */
    const float *bias;
    int steps;     /* of 64 columns */
    int rows, out; /* of y */
    ba_dev_out y;
    bool add, gelu, by_copies; /* by_copies: out_map is good */
};

/* y of a row, from the sum, or from those of gate and unit. */
__device__ __forceinline__ float finish(const product &p, int col, float sum) {
    return p.bias ? sum + p.bias[col] : sum;
}

__device__ __forceinline__ float finish(const product &p, int col, float gate, float unit) {
    return act(p.gelu, finish(p, col, gate)) * finish(p, p.out + col, unit);
}

/* As the copy engine adds, which takes numbers too small for a full mantissa for 0. */
__device__ __forceinline__ float add_reals(float x, float y) {
    float sum;
    asm("add.ftz.f32 %0, %1, %2;" : "=f"(sum) : "f"(x), "f"(y));
    return sum;
}

product product_of(const ba_dev_linear *op);

/* Weights, and rows of x, in boxes of `height` rows and `depth` times 64 columns. With a depth of 1, a box begins at
 * any column x; else at column 64 z, and there are 64 z columns in all. Of gated units, 8 rows of gates and 8 of units
 * take turns. */
bool map_weights(const ba_dev_linear *op, int height, int depth, CUtensorMap *map);
/* boxes: that one copy brings; 1 or depth. */
bool map_rows(const ba_dev_linear *op, int height, int depth, int boxes, CUtensorMap *map);
/* y in boxes of `height` rows of 128 bytes. false: the address or stride of y does not allow copies. */
bool map_results(const ba_dev_linear *op, int height, CUtensorMap *map);

} // namespace ba

#endif
