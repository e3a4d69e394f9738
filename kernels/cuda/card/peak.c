/* The rates that the card reaches at best, for the least time of any work. */
#include "kernels/cuda/host.h"

enum { ROUNDS = 7 };
static const size_t TRAFFIC = (size_t)1 << 30; /* far more than any cache */

/* What is timed: enqueues the work, and returns how much it is. */
typedef double (*work)(ba_gpu *be, char *memory);

static double multiply(ba_gpu *be, char *memory) {
    return be->hopper ? ba_dev_peak_hopper(be->stream, (float *)memory) : ba_dev_peak(be->stream, (float *)memory);
}

static double copy(ba_gpu *be, char *memory) {
    ba_cuda_ok(be, cudaMemcpyAsync(memory + TRAFFIC, memory, TRAFFIC, cudaMemcpyDeviceToDevice, be->stream));
    return 2 * (double)TRAFFIC;
}

static double read_only(ba_gpu *be, char *memory) {
    ba_dev_read(be->stream, memory, 2 * TRAFFIC);
    return 2 * (double)TRAFFIC;
}

/* The best rate of some rounds, after one that warms up. */
static double best_rate(ba_gpu *be, work w, char *memory) {
    cudaEvent_t begin, end;
    double best = 0;
    if (!ba_cuda_ok(be, cudaEventCreate(&begin)) || !ba_cuda_ok(be, cudaEventCreate(&end))) {
        return 0;
    }
    for (int i = 0; i <= ROUNDS; i++) {
        float ms = 0;
        cudaEventRecord(begin, be->stream);
        double amount = w(be, memory);
        cudaEventRecord(end, be->stream);
        ba_cuda_launched(be);
        if (ba_cuda_ok(be, cudaEventSynchronize(end)) && ba_cuda_ok(be, cudaEventElapsedTime(&ms, begin, end)) && i) {
            double rate = amount / (1e-3 * (double)ms);
            best = rate > best ? rate : best;
        }
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return best;
}

int ba_cuda_peak(ba_backend *be, double *flops, double *bytes) {
    ba_gpu *cuda = (ba_gpu *)be;
    char *memory = ba_cuda_alloc(cuda, 2 * TRAFFIC, 1, 1, 1);
    if (!memory) {
        return -1;
    }
    ba_cuda_ok(cuda, cudaMemsetAsync(memory, 0x3b, 2 * TRAFFIC, cuda->stream));
    double copied = best_rate(cuda, copy, memory), read = best_rate(cuda, read_only, memory);
    *bytes = copied > read ? copied : read;
    *flops = best_rate(cuda, multiply, memory);
    ba_cuda_free(cuda, memory);
    return *flops > 0 && *bytes > 0 ? 0 : -1;
}
