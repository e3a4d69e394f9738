#include "peak.h"

#include "kernels/base/clock.h"

#include "protocol.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    CHAINS = 12, /* independent sums: more than the latency of a multiply-add (4) times the units (2) */
    STEPS = 8000000,
    ROUNDS = 5
};
static const size_t MEMORY = (size_t)256 << 20;

/* The timed loops carry no checks of a sanitizer: they measure the machine. */
#define BARE __attribute__((no_sanitize("address", "undefined", "thread")))

typedef struct part {
    const uint64_t *memory;
    size_t words;
    double result; /* keeps the compiler from removing the work */
    double flops;
} part;

#if defined(__x86_64__)

BARE __attribute__((target("avx512f"))) static void multiply_avx512(part *p) {
    __m512 sum[CHAINS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
    for (size_t c = 0; c < CHAINS; c++) {
        sum[c] = _mm512_set1_ps((float)c);
    }
    for (size_t i = 0; i < STEPS; i++) {
        for (size_t c = 0; c < CHAINS; c++) {
            sum[c] = _mm512_fmadd_ps(sum[c], a, b);
        }
    }
    for (size_t c = 0; c < CHAINS; c++) {
        p->result += (double)_mm512_reduce_add_ps(sum[c]);
    }
    p->flops = 2.0 * 16 * CHAINS * STEPS;
}

BARE __attribute__((target("avx2,fma"))) static void multiply_avx2(part *p) {
    __m256 sum[CHAINS], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
    for (size_t c = 0; c < CHAINS; c++) {
        sum[c] = _mm256_set1_ps((float)c);
    }
    for (size_t i = 0; i < STEPS; i++) {
        for (size_t c = 0; c < CHAINS; c++) {
            sum[c] = _mm256_fmadd_ps(sum[c], a, b);
        }
    }
    for (size_t c = 0; c < CHAINS; c++) {
        float lane[8];
        _mm256_storeu_ps(lane, sum[c]);
        p->result += (double)lane[0];
    }
    p->flops = 2.0 * 8 * CHAINS * STEPS;
}

#endif

/* The plain version: the compiler chooses the instructions. */
BARE static void multiply_plain(part *p) {
    float sum[CHAINS * 4];
    for (size_t c = 0; c < CHAINS * 4; c++) {
        sum[c] = (float)c;
    }
    for (size_t i = 0; i < STEPS; i++) {
        for (size_t c = 0; c < CHAINS * 4; c++) {
            sum[c] = sum[c] * 0.999f + 0.001f;
        }
    }
    for (size_t c = 0; c < CHAINS * 4; c++) {
        p->result += (double)sum[c];
    }
    p->flops = 2.0 * 4 * CHAINS * STEPS;
}

static void *multiply(void *arg) {
    part *p = arg;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        multiply_avx512(p);
        return NULL;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        multiply_avx2(p);
        return NULL;
    }
#endif
    multiply_plain(p);
    return NULL;
}

BARE static void *read_memory(void *arg) {
    part *p = arg;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i + 8 <= p->words; i += 8) {
        for (size_t c = 0; c < 8; c++) {
            sum[c] ^= p->memory[i + c];
        }
    }
    for (size_t c = 0; c < 8; c++) {
        p->result += (double)(sum[c] & 1);
    }
    return NULL;
}

/* Runs all parts in parallel ROUNDS times: seconds of the fastest round, or 0 if a thread cannot be started. */
static double fastest(void *(*work)(void *), part *p, size_t n, pthread_t *thread) {
    double best = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        double start = ba_now();
        size_t started = 1;
        while (started < n && pthread_create(&thread[started], NULL, work, &p[started]) == 0) {
            started++;
        }
        work(&p[0]);
        for (size_t i = 1; i < started; i++) {
            pthread_join(thread[i], NULL);
        }
        double seconds = ba_now() - start;
        if (started < n) {
            return 0;
        }
        best = round == 0 || seconds < best ? seconds : best;
    }
    return best;
}

int ba_peak_of(ba_backend *be, size_t threads, ba_peak *out) {
    out->what = "bf16 products";
    return be->ops->peak ? be->ops->peak(be, &out->flops, &out->bytes) : ba_peak_measure(threads, out);
}

int ba_peak_measure(size_t threads, ba_peak *out) {
    out->what = "fp32";
    part *p = calloc(threads, sizeof *p);
    pthread_t *thread = calloc(threads, sizeof *thread);
    uint64_t *memory = malloc(MEMORY);
    double multiply_s = 0, read_s = 0;
    if (p && thread && memory) {
        memset(memory, 1, MEMORY); /* writing gives every page memory of its own instead of the shared zero page */
        size_t words = MEMORY / sizeof *memory / threads;
        for (size_t i = 0; i < threads; i++) {
            p[i].memory = memory + i * words;
            p[i].words = words;
        }
        multiply_s = fastest(multiply, p, threads, thread);
        read_s = fastest(read_memory, p, threads, thread);
        if (multiply_s > 0 && read_s > 0) {
            out->flops = p[0].flops * (double)threads / multiply_s;
            out->bytes = (double)(words * threads * sizeof *memory) / read_s;
        }
    }
    free(memory);
    free(thread);
    free(p);
    return multiply_s > 0 && read_s > 0 ? 0 : -1;
}

double ba_peak_floor(const ba_peak *peak, double flops, double bytes) {
    double compute = flops / peak->flops, traffic = bytes / peak->bytes;
    return compute > traffic ? compute : traffic;
}
