/* Kernels that begin while the one before them in the stream ends (programmatic dependent launch), so that what a
 * launch costs is not waited for. It is for Hopper alone, for which the program has code of its own: code for other
 * cards does not wait, so there the kernels follow each other. */
#ifndef BA_CUDA_OVERLAP_CUH
#define BA_CUDA_OVERLAP_CUH

#include <cuda_runtime_api.h>

namespace ba {

/* Lets the next kernel of the stream begin as soon as there is room for it, if it was launched so. */
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* Waits until the kernels before this one have ended: before that, nothing that they write may be read, and nothing
 * written at all. */
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

inline bool can_overlap() {
    static const bool can = [] {
        int device = 0, major = 0, minor = 0;
        cudaGetDevice(&device);
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
        return major == 9 && minor == 0;
    }();
    return can;
}

/* The kernel calls the two above, the second one before it touches memory. */
template <typename... P, typename... A>
void launch_overlapping(cudaStream_t stream, dim3 grid, unsigned threads, void (*kernel)(P...), A... args) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = can_overlap() ? 1 : 0;
    cudaLaunchKernelEx(&config, kernel, P(args)...);
}

} // namespace ba

#endif
