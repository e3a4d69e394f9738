/* Opening, device memory, and the ways to the device and back. */
#include "host.h"

#include "kernels/backends.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ba_cuda_ok(ba_gpu *be, cudaError_t status) {
    if (status != cudaSuccess) {
        be->base.no_memory = true;
        if (be->fault == cudaSuccess && status != cudaErrorMemoryAllocation) {
            be->fault = status;
            size_t used = strlen(be->describe);
            snprintf(be->describe + used, sizeof be->describe - used, "; failed: %s", cudaGetErrorString(status));
        }
    }
    return status == cudaSuccess;
}

void ba_cuda_launched(ba_gpu *be) {
    ba_cuda_ok(be, cudaGetLastError());
    ba_cuda_forget(be);
}

void ba_cuda_forget(ba_gpu *be) {
    for (size_t i = 0; i < BA_CUDA_ROUNDED; i++) {
        be->operand[i].of.at = NULL;
    }
}

void *ba_cuda_alloc(ba_gpu *be, size_t a, size_t b, size_t c, size_t size) {
    size_t n;
    void *at;
    if (__builtin_mul_overflow(a, b, &n) || __builtin_mul_overflow(n, c, &n) || __builtin_mul_overflow(n, size, &n) ||
        n > SIZE_MAX / 2) {
        return NULL;
    }
    if (cudaMallocAsync(&at, n ? n : 1, be->stream) != cudaSuccess) {
        cudaGetLastError(); /* forgotten: the caller knows */
        return NULL;
    }
    return at;
}

void ba_cuda_free(ba_gpu *be, void *at) {
    if (at) {
        ba_cuda_ok(be, cudaFreeAsync(at, be->stream));
    }
}

void *ba_cuda_grow(ba_gpu *be, void *at, size_t *have, size_t bytes) {
    if (bytes <= *have && at) {
        return at;
    }
    ba_cuda_free(be, at);
    at = ba_cuda_alloc(be, bytes, 1, 1, 1);
    *have = at ? bytes : 0;
    return at;
}

/* ---- to the device and back ---- */

enum { FIRST_STAGE = 8 << 20, LANDING = 16 << 20, STAGE_ALIGN = 128 };

static void wait(ba_gpu *be) {
    ba_cuda_ok(be, cudaStreamSynchronize(be->stream));
    be->stage_used = 0;
    be->staged_at = NULL;
}

static bool stage_resize(ba_gpu *be, size_t size) {
    cudaFreeHost(be->stage_host);
    cudaFree(be->stage_device);
    be->stage_host = be->stage_device = NULL;
    be->stage_size = 0;
    if (cudaMallocHost((void **)&be->stage_host, size) != cudaSuccess ||
        cudaMalloc((void **)&be->stage_device, size) != cudaSuccess) {
        cudaGetLastError();
        return false;
    }
    be->stage_size = size;
    return true;
}

void *ba_cuda_stage_room(ba_gpu *be, size_t n, void **twin) {
    n = (n + STAGE_ALIGN - 1) / STAGE_ALIGN * STAGE_ALIGN;
    if (n > be->stage_size - be->stage_used) {
        wait(be);
    }
    if (n > be->stage_size && !stage_resize(be, 2 * n)) {
        be->base.no_memory = true;
        return NULL;
    }
    void *room = be->stage_host + be->stage_used;
    *twin = be->stage_device + be->stage_used;
    be->stage_used += n;
    return room;
}

const void *ba_cuda_stage(ba_gpu *be, const void *from, size_t n) {
    void *twin, *room = ba_cuda_stage_room(be, n, &twin);
    if (!room) {
        return NULL;
    }
    memcpy(room, from, n);
    ba_cuda_ok(be, cudaMemcpyAsync(twin, room, n, cudaMemcpyHostToDevice, be->stream));
    return twin;
}

static bool landing_reserve(ba_gpu *be, size_t n) {
    if (n <= be->landing_size) {
        return true;
    }
    cudaFreeHost(be->landing);
    be->landing_size = 0;
    be->landing = NULL;
    if (cudaMallocHost((void **)&be->landing, n) != cudaSuccess) {
        cudaGetLastError();
        be->base.no_memory = true;
        return false;
    }
    be->landing_size = n;
    return true;
}

const void *ba_cuda_land(ba_gpu *be, const void *from, size_t n) {
    if (!landing_reserve(be, n)) {
        return NULL;
    }
    ba_cuda_ok(be, cudaMemcpyAsync(be->landing, from, n, cudaMemcpyDeviceToHost, be->stream));
    wait(be);
    return be->fault == cudaSuccess ? be->landing : NULL;
}

void ba_cuda_upload(ba_backend *be, ba_view dst, size_t rows, size_t cols, const double *src) {
    ba_gpu *cuda = (ba_gpu *)be;
    size_t each = cols ? FIRST_STAGE / 2 / (cols * sizeof(float)) + 1 : rows;
    for (size_t row = 0; row < rows; row += each, dst.row0 += each) {
        size_t n = rows - row < each ? rows - row : each;
        void *twin;
        float *room = ba_cuda_stage_room(cuda, n * cols * sizeof *room, &twin);
        for (size_t i = 0; room && i < n * cols; i++) {
            room[i] = (float)src[row * cols + i];
        }
        ba_dev_matrix to = ba_cuda_matrix(dst);
        if (room && cols) {
            ba_cuda_ok(cuda, cudaMemcpy2DAsync(to.at, to.stride * sizeof(float), room, cols * sizeof(float),
                                               cols * sizeof(float), n, cudaMemcpyHostToDevice, cuda->stream));
        }
    }
    ba_cuda_forget(cuda);
}

void ba_cuda_download(ba_backend *be, ba_view src, size_t rows, size_t cols, double *dst) {
    ba_gpu *cuda = (ba_gpu *)be;
    size_t each = cols ? LANDING / (cols * sizeof(float)) + 1 : rows;
    for (size_t row = 0; row < rows; row += each, src.row0 += each) {
        size_t n = rows - row < each ? rows - row : each;
        ba_dev_matrix from = ba_cuda_matrix(src);
        bool there = landing_reserve(cuda, n * cols * sizeof(float));
        if (there && cols) {
            ba_cuda_ok(cuda,
                       cudaMemcpy2DAsync(cuda->landing, cols * sizeof(float), from.at, from.stride * sizeof(float),
                                         cols * sizeof(float), n, cudaMemcpyDeviceToHost, cuda->stream));
            wait(cuda);
        }
        const float *landed = (const float *)cuda->landing;
        there = there && cuda->fault == cudaSuccess;
        for (size_t i = 0; i < n * cols; i++) {
            dst[row * cols + i] = there ? landed[i] : NAN;
        }
    }
}

/* ---- open, close ---- */

static void cuda_close(ba_backend *be) {
    ba_gpu *cuda = (ba_gpu *)be;
    if (cuda->stream) {
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
    if (!be->pool || !stage_resize(be, FIRST_STAGE) || !landing_reserve(be, LANDING)) {
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
    .kv_write = ba_cuda_kv_write,
    .kv_copy = ba_cuda_kv_copy,
    .kv_read = ba_cuda_kv_read,
    .kv_distance = ba_cuda_kv_distance,
    .embed = ba_cuda_embed,
    .linear = ba_cuda_linear,
    .gated = ba_cuda_gated,
    .rmsnorm = ba_cuda_rmsnorm,
    .add = ba_cuda_add,
    .glu = ba_cuda_glu,
    .gather = ba_cuda_gather,
    .attention = ba_cuda_attention,
    .finish = cuda_finish,
    .train = &ba_cuda_train,
};
