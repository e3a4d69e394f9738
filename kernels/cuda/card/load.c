/* Keys and values between the card and the machine's memory.
 *
 * What is loaded travels on a stream of its own, one layer after the other over all KV of a batch, one layer ahead of the
 * operations: layer l + 1 is under way while layer l computes. A batch begins with the first load after operations have
 * begun to read the last one, which is then sent in full: copies on one stream arrive in order, so that a layer of the
 * younger batch is never there before the older batch. */
#include "kernels/cuda/host.h"

#include <stdlib.h>

bool ba_cuda_loads_open(ba_gpu *be) {
    ba_cuda_loads *l = &be->loads;
    return ba_cuda_ok(be, cudaStreamCreateWithFlags(&l->down, cudaStreamNonBlocking)) &&
           ba_cuda_ok(be, cudaStreamCreateWithFlags(&l->up, cudaStreamNonBlocking)) &&
           ba_cuda_ok(be, cudaEventCreateWithFlags(&l->ready, cudaEventDisableTiming)) &&
           ba_cuda_ok(be, cudaEventCreate(&l->begin)) && ba_cuda_ok(be, cudaEventCreate(&l->end));
}

void ba_cuda_loads_close(ba_gpu *be) {
    ba_cuda_loads *l = &be->loads;
    for (size_t i = 0; i < l->n_event; i++) {
        cudaEventDestroy(l->arrived[i]);
    }
    const cudaEvent_t event[] = {l->ready, l->begin, l->end};
    for (size_t i = 0; i < sizeof event / sizeof *event; i++) {
        if (event[i]) {
            cudaEventDestroy(event[i]);
        }
    }
    const cudaStream_t stream[] = {l->down, l->up};
    for (size_t i = 0; i < sizeof stream / sizeof *stream; i++) {
        if (stream[i]) {
            cudaStreamDestroy(stream[i]);
        }
    }
    free(l->arrived);
    free(l->at);
}

/* Any thread; the device is chosen for each of them. */
static bool choose(const ba_gpu *be) {
    return cudaSetDevice(be->device) == cudaSuccess;
}

void *ba_cuda_host_new(ba_backend *be, size_t bytes) {
    void *at;
    if (!choose((const ba_gpu *)be) || cudaHostAlloc(&at, bytes ? bytes : 1, cudaHostAllocPortable) != cudaSuccess) {
        cudaGetLastError();
        return NULL;
    }
    return at;
}

void ba_cuda_host_free(ba_backend *be, void *at) {
    if (at && choose((const ba_gpu *)be)) {
        cudaFreeHost(at);
    }
}

int ba_cuda_kv_save(ba_backend *be, const ba_kv *kv, void *to) {
    const ba_gpu *cuda = (const ba_gpu *)be;
    const cudaStream_t up = cuda->loads.up;
    const size_t bytes = 2 * kv->part * sizeof *kv->on.k;
    return choose(cuda) && cudaMemcpyAsync(to, kv->on.k, bytes, cudaMemcpyDeviceToHost, up) == cudaSuccess &&
                   cudaStreamSynchronize(up) == cudaSuccess
               ? 0
               : -1;
}

/* Events of at least so many layers. */
static bool reserve_events(ba_gpu *be, size_t layers) {
    ba_cuda_loads *l = &be->loads;
    if (layers <= l->n_event) {
        return true;
    }
    cudaEvent_t *more = realloc(l->arrived, layers * sizeof *more);
    if (!more) {
        return false;
    }
    l->arrived = more;
    while (l->n_event < layers && ba_cuda_ok(be, cudaEventCreateWithFlags(&more[l->n_event], cudaEventDisableTiming))) {
        l->n_event++;
    }
    return l->n_event == layers;
}

/* One layer of one KV: its keys, then its values. */
static void send(ba_gpu *be, const struct ba_cuda_load *load, size_t layer) {
    const ba_kv *kv = load->kv;
    const size_t step = kv->on.layer_step, size = sizeof *kv->on.k;
    for (size_t part = 0; part < 2 && layer < kv->layers; part++) {
        ba_cuda_ok(be, cudaMemcpyAsync((part ? kv->on.v : kv->on.k) + layer * step,
                                       load->from + (part * kv->part + layer * step) * size, step * size,
                                       cudaMemcpyHostToDevice, be->loads.down));
    }
}

/* The memory was allocated in the order of the other stream. */
static void begin(ba_gpu *be) {
    ba_cuda_loads *l = &be->loads;
    ba_cuda_ok(be, cudaEventRecord(l->ready, be->stream));
    ba_cuda_ok(be, cudaStreamWaitEvent(l->down, l->ready, 0));
    if (!l->timing) {
        ba_cuda_ok(be, cudaEventRecord(l->begin, l->down));
        l->timing = true;
    }
}

/* Layers of the batch up to this one, without it, set out. */
static void send_to(ba_gpu *be, size_t end) {
    ba_cuda_loads *l = &be->loads;
    end = end < l->layers ? end : l->layers;
    if (l->sent == 0 && end) {
        begin(be);
    }
    for (; l->sent < end; l->sent++) {
        for (size_t i = l->first; i < l->n; i++) {
            send(be, &l->at[i], l->sent);
        }
        ba_cuda_ok(be, cudaEventRecord(l->arrived[l->sent], l->down));
        ba_cuda_ok(be, cudaEventRecord(l->end, l->down));
    }
}

int ba_cuda_kv_load(ba_backend *be, ba_kv *kv, const void *from) {
    ba_gpu *cuda = (ba_gpu *)be;
    ba_cuda_loads *l = &cuda->loads;
    if (l->sent) {
        send_to(cuda, l->layers);
        l->first = l->n;
        l->layers = l->sent = 0;
    }
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct ba_cuda_load *more = realloc(l->at, room * sizeof *more);
        if (!more) {
            return -1;
        }
        l->at = more;
        l->room = room;
    }
    if (!reserve_events(cuda, kv->layers)) {
        return -1;
    }
    l->at[l->n++] = (struct ba_cuda_load){kv, from};
    l->layers = kv->layers > l->layers ? kv->layers : l->layers;
    return 0;
}

void ba_cuda_await(ba_gpu *be, size_t layer) {
    ba_cuda_loads *l = &be->loads;
    if (l->n && l->layers) {
        send_to(be, layer + 1);
        const size_t last = layer < l->layers ? layer : l->layers - 1;
        ba_cuda_ok(be, cudaStreamWaitEvent(be->stream, l->arrived[last], 0));
    }
}

void ba_cuda_send_next(ba_gpu *be, size_t layer) {
    if (be->loads.n) {
        send_to(be, layer + 2);
    }
}

double ba_cuda_kv_loaded(ba_backend *be) {
    ba_gpu *cuda = (ba_gpu *)be;
    ba_cuda_loads *l = &cuda->loads;
    float ms = 0;
    if (!l->n) {
        return 0;
    }
    send_to(cuda, l->layers);
    if (l->timing && ba_cuda_ok(cuda, cudaEventSynchronize(l->end))) {
        ba_cuda_ok(cuda, cudaEventElapsedTime(&ms, l->begin, l->end));
    }
    l->n = l->first = l->layers = l->sent = 0;
    l->timing = false;
    return 1e-3 * (double)ms;
}

void ba_cuda_loads_forget(ba_gpu *be, const ba_kv *kv) {
    const ba_cuda_loads *l = &be->loads;
    for (size_t i = 0; i < l->n; i++) {
        if (l->at[i].kv == kv) {
            ba_cuda_kv_loaded(&be->base);
            return;
        }
    }
}
