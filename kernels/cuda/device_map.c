#include "device_map.h"

#include <cuda_runtime_api.h>

typedef CUresult encode_tiled(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
                              const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave,
                              CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/* Asked of the driver that is there, so that the program needs none to start. */
static encode_tiled *encoder(void) {
    static void *found;
    enum cudaDriverEntryPointQueryResult result;
    if (!found && (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault,
                                                    &result) != cudaSuccess ||
                   result != cudaDriverEntryPointSuccess)) {
        cudaGetLastError();
        found = NULL;
    }
    encode_tiled *encode;
    __builtin_memcpy(&encode, &found, sizeof encode);
    return encode;
}

bool ba_map_make(CUtensorMap *map, const void *at, const ba_map_shape *shape) {
    static const cuuint32_t every[BA_MAP_DIMS] = {1, 1, 1, 1, 1};
    encode_tiled *encode = encoder();
    void *from;
    __builtin_memcpy(&from, &at, sizeof from); /* the driver only notes the address */
    CUtensorMapDataType type = shape->reals ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    return encode && encode(map, type, (cuuint32_t)shape->dims, from, (const cuuint64_t *)shape->size,
                            (const cuuint64_t *)shape->stride, shape->box, every, CU_TENSOR_MAP_INTERLEAVE_NONE,
                            CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                            CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}
