/* The row of the backend: opening and closing the device, and every operation by name. */
#include "host.h"

#include "kernels/backends.h"

#include <stdio.h>
#include <stdlib.h>

static void cuda_close(ba_backend *be) {
    ba_gpu *cuda = (ba_gpu *)be;
    if (cuda->stream) {
        ba_cuda_loads_close(cuda);
        ba_cuda_free(cuda, cuda->rounded);
        ba_cuda_free(cuda, cuda->gates);
        ba_cuda_free(cuda, cuda->partial);
        ba_cuda_free(cuda, cuda->scratch);
        for (size_t i = 0; i < BA_CUDA_ROUNDED; i++) {
            ba_cuda_free(cuda, cuda->operand[i].at);
        }
        cudaStreamSynchronize(cuda->stream);
        cudaFreeHost(cuda->stage_host);
        cudaFreeHost(cuda->landing);
        cudaFree(cuda->stage_device);
        cudaStreamDestroy(cuda->stream);
    }
    ba_pool_free(cuda->pool);
    free(cuda->lists.at);
    free(cuda->staged.at);
    free(cuda);
}

/* Freed memory stays with the pool: runs take and give the same sizes all the time. */
static cudaError_t keep_memory(int device) {
    cudaMemPool_t pool;
    uint64_t all = UINT64_MAX;
    cudaError_t status = cudaDeviceGetDefaultMemPool(&pool, device);
    return status == cudaSuccess ? cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all) : status;
}

static int open_device(ba_gpu *be, size_t threads, char err[BA_ERR_LEN]) {
    struct cudaDeviceProp p;
    int n = 0, version = 0;
    cudaError_t status = cudaGetDeviceCount(&n);
    if (status == cudaErrorInsufficientDriver) {
        int built = CUDART_VERSION;
        if (cudaDriverGetVersion(&version) != cudaSuccess || version == 0) {
            return ba_fail(err, "backend cuda: no NVIDIA driver is installed; choose another --backend");
        }
        return ba_fail(
            err,
            "backend cuda: the driver is for CUDA %d.%d, the program was built with %d.%d: update the driver, or "
            "build with an older toolkit",
            version / 1000, version % 1000 / 10, built / 1000, built % 1000 / 10);
    }
    if (status != cudaSuccess || n == 0) {
        cudaGetLastError();
        return ba_fail(err, "backend cuda: no CUDA device: %s; choose another --backend",
                       status != cudaSuccess ? cudaGetErrorString(status) : "none found");
    }
    if ((status = cudaSetDevice(0)) != cudaSuccess || (status = cudaGetDeviceProperties(&p, 0)) != cudaSuccess) {
        return ba_fail(err, "backend cuda: %s", cudaGetErrorString(status));
    }
    if (p.major < 8) {
        return ba_fail(err, "backend cuda: %s has compute capability %d.%d; 8.0 is needed for bf16", p.name, p.major,
                       p.minor);
    }
    if ((status = keep_memory(0)) != cudaSuccess ||
        (status = cudaStreamCreateWithFlags(&be->stream, cudaStreamNonBlocking)) != cudaSuccess) {
        return ba_fail(err, "backend cuda: %s: %s", p.name, cudaGetErrorString(status));
    }
    be->hopper = p.major == 9 && p.minor == 0;
    cudaRuntimeGetVersion(&version);
    snprintf(be->describe, sizeof be->describe, "CUDA %d.%d, own kernels%s, %s (compute capability %d.%d); %zu threads",
             version / 1000, version % 1000 / 10, be->hopper ? " for Hopper" : "", p.name, p.major, p.minor, threads);
    return 0;
}

static int cuda_open(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    ba_gpu *be = calloc(1, sizeof *be);
    if (!be) {
        return ba_fail(err, "backend cuda: out of memory");
    }
    be->base.ops = &ba_cuda;
    be->base.real_size = sizeof(float);
    be->base.weight_size = be->base.kv_size = sizeof(uint16_t);
    if (open_device(be, cfg->threads, err)) {
        cuda_close(&be->base);
        return -1;
    }
    be->pool = ba_pool_new(cfg->threads);
    if (!be->pool || !ba_cuda_reserve(be) || !ba_cuda_loads_open(be)) {
        cuda_close(&be->base);
        return ba_fail(err, "backend cuda: out of memory, or %zu threads cannot be started", cfg->threads);
    }
    *out = &be->base;
    return 0;
}

static void cuda_finish(ba_backend *be) {
    ba_gpu *cuda = (ba_gpu *)be;
    ba_cuda_ok(cuda, cudaStreamSynchronize(cuda->stream));
}

static const char *cuda_describe(const ba_backend *be) {
    return ((const ba_gpu *)be)->describe;
}

const ba_backend_ops ba_cuda = {
    .name = "cuda",
    .summary = "bf16 on an NVIDIA GPU: own kernels",
    .dtype = "bf16",
    .open = cuda_open,
    .close = cuda_close,
    .describe = cuda_describe,
    .buf_new = ba_cuda_buf_new,
    .operand_new = ba_cuda_operand_new,
    .buf_free = ba_cuda_buf_free,
    .upload = ba_cuda_upload,
    .download = ba_cuda_download,
    .makes_weights = true,
    .weight_new = ba_cuda_weight_new,
    .weight_free = ba_cuda_weight_free,
    .weight_bytes = ba_cuda_weight_bytes,
    .freqs_new = ba_cuda_freqs_new,
    .freqs_free = ba_cuda_freqs_free,
    .rot_new = ba_cuda_rot_new,
    .rot_free = ba_cuda_rot_free,
    .rot_fill = ba_cuda_rot_fill,
    .kv_new = ba_cuda_kv_new,
    .kv_free = ba_cuda_kv_free,
    .kv_bytes = ba_cuda_kv_bytes,
    .host_new = ba_cuda_host_new,
    .host_free = ba_cuda_host_free,
    .kv_save = ba_cuda_kv_save,
    .kv_load = ba_cuda_kv_load,
    .kv_loaded = ba_cuda_kv_loaded,
    .kv_write = ba_cuda_kv_write,
    .kv_copy = ba_cuda_kv_copy,
    .kv_read = ba_cuda_kv_read,
    .kv_distance = ba_cuda_kv_distance,
    .kv_shift = ba_cuda_kv_shift,
    .embed = ba_cuda_embed,
    .linear = ba_cuda_linear,
    .gated = ba_cuda_gated,
    .rmsnorm = ba_cuda_rmsnorm,
    .add = ba_cuda_add,
    .glu = ba_cuda_glu,
    .gather = ba_cuda_gather,
    .attention = ba_cuda_attention,
    .key_mass = ba_cuda_key_mass,
    .finish = cuda_finish,
    .device = ba_cuda_device,
    .peak = ba_cuda_peak,
    .fault = ba_cuda_fault,
    .train = &ba_cuda_train,
};
