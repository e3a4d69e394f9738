/* Device memory, and the ways to the device and back. */
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

bool ba_cuda_reserve(ba_gpu *be) {
    return stage_resize(be, FIRST_STAGE) && landing_reserve(be, LANDING);
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
        double *to = dst + row * cols;
        for (size_t i = 0; i < n * cols && there; i++) {
            to[i] = landed[i];
        }
        for (size_t i = 0; i < n * cols && (!there || cuda->fault != cudaSuccess); i++) {
            to[i] = NAN;
        }
    }
}
