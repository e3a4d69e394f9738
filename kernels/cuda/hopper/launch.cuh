/* How kernels for Hopper are launched, and the shared memory that they get. */
#ifndef BA_CUDA_HOPPER_LAUNCH_CUH
#define BA_CUDA_HOPPER_LAUNCH_CUH

#include "kernels/cuda/overlap.cuh"
#include "tma.cuh"

#include <cuda_runtime_api.h>

namespace ba {

enum { BOX_SLACK = 1024, SHARED_MOST = 227 * 1024 };

/* Dynamic shared memory begins at a multiple of 16 only; boxes want one of 1024, and there are BOX_SLACK bytes more. */
__device__ __forceinline__ unsigned char *align_boxes(unsigned char *memory) {
    return memory + (1024 - shared_at(memory) % 1024) % 1024;
}

/* A launch that begins while the kernel before it ends. */
struct launch_plan {
    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute attribute[2] = {};

    launch_plan(cudaStream_t stream, unsigned threads, size_t shared, unsigned cluster) {
        attribute[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attribute[0].val.programmaticStreamSerializationAllowed = 1;
        attribute[1].id = cudaLaunchAttributeClusterDimension;
        attribute[1].val.clusterDim.x = cluster;
        attribute[1].val.clusterDim.y = attribute[1].val.clusterDim.z = 1;
        config.blockDim = dim3(threads);
        config.dynamicSmemBytes = shared;
        config.stream = stream;
        config.attrs = attribute;
        config.numAttrs = 2;
    }
};

/* Blocks that the card holds at once, in whole clusters. */
template <typename K> int blocks_at_once(K kernel, launch_plan &plan, int cluster) {
    int n = 0;
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)plan.config.dynamicSmemBytes);
    plan.config.gridDim = dim3((unsigned)cluster);
    cudaOccupancyMaxActiveClusters(&n, kernel, &plan.config);
    return n * cluster;
}

inline int processors() {
    int device = 0, n = 1;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, device);
    return n;
}

} // namespace ba

#endif
