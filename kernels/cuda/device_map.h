/* Descriptions of matrices for Hopper's copy engine (tma.cuh). */
#ifndef BA_CUDA_DEVICE_MAP_H
#define BA_CUDA_DEVICE_MAP_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BA_MAP_DIMS = 5 };

/* bf16, or reals, at `at`, a multiple of 16: size and box in elements, innermost first; stride[i]: bytes from one
 * element of dimension i + 1 to the next, multiples of 16. The inner box is 128 bytes. */
typedef struct ba_map_shape {
    int dims;
    uint64_t size[BA_MAP_DIMS], stride[BA_MAP_DIMS - 1];
    uint32_t box[BA_MAP_DIMS];
    bool reals;
} ba_map_shape;

/* false: the driver does not know such matrices. */
bool ba_map_make(CUtensorMap *map, const void *at, const ba_map_shape *shape);

#ifdef __cplusplus
}
#endif

#endif
