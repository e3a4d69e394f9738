/* How fast the kernels of every backend are, as a fraction of what the processor can do: attention as full prefill and
 * as a question over a long cache need it, and the matrix products of the default model. Peak and kernels are measured
 * in turns, and the best of each is taken. The fraction is given by wall time, and by processor time, which other load on
 * the machine does not change (nor does a sleeping thread of ours). bench-kernels [--csv] [THREADS] */
#include "kernel_bench.h"
#include "kernels/base/clock.h"
#include "kernels/cpu/bf16/bf16.h"
#include "sim/base/random.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include "kernels/cpu/bf16/amx.h"
#endif

enum { ROUNDS = 12, HEADS = 9, KV_HEADS = 3, DIM = 64, CHAINS = 16, STEPS = 300000, MOST_THREADS = 256 };

static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Moments, then durations: by the clock, and of all processors for this program. */
typedef struct span {
    double wall, busy;
} span;

static span now(void) {
    return (span){ba_now(), processor_seconds()};
}

/* FLOP/s by wall and by processor time; busy: as if all threads had worked all the time. */
static span rate_since(span start, double flops, size_t threads) {
    span end = now();
    return (span){flops / (end.wall - start.wall), flops * (double)threads / (end.busy - start.busy)};
}

static span best_of(span a, span b) {
    return (span){fmax(a.wall, b.wall), fmax(a.busy, b.busy)};
}

/* ---- peak ---- */

typedef struct chain {
    bool bf16;
    double flops, sum; /* sum: keeps the compiler from removing the work */
} chain;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void multiply_f32(chain *c) {
    __m512 sum[CHAINS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
    for (int i = 0; i < CHAINS; i++) {
        sum[i] = a;
    }
    for (int k = 0; k < STEPS; k++) {
        for (int i = 0; i < CHAINS; i++) {
            sum[i] = _mm512_fmadd_ps(sum[i], a, b);
        }
    }
    for (int i = 0; i < CHAINS; i++) {
        c->sum += (double)_mm512_reduce_add_ps(sum[i]);
    }
    c->flops = 2.0 * 16 * CHAINS * STEPS;
}

__attribute__((target("avx512f,avx512bf16"))) static void multiply_bf16(chain *c) {
    __m512 sum[CHAINS];
    __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f80);
    for (int i = 0; i < CHAINS; i++) {
        sum[i] = _mm512_setzero_ps();
    }
    for (int k = 0; k < STEPS; k++) {
        for (int i = 0; i < CHAINS; i++) {
            sum[i] = _mm512_dpbf16_ps(sum[i], a, a);
        }
    }
    for (int i = 0; i < CHAINS; i++) {
        c->sum += (double)_mm512_reduce_add_ps(sum[i]);
    }
    c->flops = 2.0 * 32 * CHAINS * STEPS;
}

/* Four sums in matrix registers, all operands zero. */
__attribute__((target("amx-tile,amx-bf16"))) static void multiply_tiles(chain *c) {
    amx_config whole = amx_whole();
    tile_config(&whole);
    for (int k = 0; k < STEPS; k++) {
        tile_multiply(0, 4, 6);
        tile_multiply(1, 4, 7);
        tile_multiply(2, 5, 6);
        tile_multiply(3, 5, 7);
    }
    tile_release();
    c->flops = 2.0 * AMX_ROWS * AMX_ROWS * AMX_DEPTH * 4 * STEPS;
}
#endif

static void *multiply(void *arg) {
    chain *c = arg;
#if defined(__x86_64__)
    if (c->bf16 && ba_bf16_has_amx()) {
        multiply_tiles(c);
    } else if (c->bf16 && __builtin_cpu_supports("avx512bf16")) {
        multiply_bf16(c);
    } else if (!c->bf16 && __builtin_cpu_supports("avx512f")) {
        multiply_f32(c);
    }
#endif
    return NULL;
}

/* FLOP/s of all threads together; 0 where the instructions are not there. */
static span peak_once(bool bf16, size_t threads) {
    pthread_t thread[MOST_THREADS];
    chain c[MOST_THREADS] = {{0}};
    span start = now();
    size_t started = 1;
    for (c[0].bf16 = bf16; started < threads; started++) {
        c[started].bf16 = bf16;
        if (pthread_create(&thread[started], NULL, multiply, &c[started])) {
            break;
        }
    }
    multiply(&c[0]);
    for (size_t i = 1; i < started; i++) {
        pthread_join(thread[i], NULL);
    }
    return rate_since(start, c[0].flops * (double)started, started);
}

/* ---- kernels ---- */

static const bench_job jobs[] = {
    {"attention 2K x 2K, causal", 2048, 2048, true, 0, 0},    {"attention 50 x 8K", 50, 8192, false, 0, 0},
    {"attention 50 x 32K", 50, 32768, false, 0, 0},           {"product 1024 x 576 x 960", 1024, 0, false, 576, 960},
    {"product 1024 x 576 x 3072", 1024, 0, false, 576, 3072}, {"product 1024 x 1536 x 576", 1024, 0, false, 1536, 576},
    {"product 50 x 576 x 960", 50, 0, false, 576, 960},       {"product 50 x 576 x 3072", 50, 0, false, 576, 3072},
    {"product 50 x 1536 x 576", 50, 0, false, 1536, 576},
};

typedef struct scene {
    ba_backend *be;
    const bench_job *job;
    ba_buf *x, *out, *k, *v;
    ba_weight *w;
    ba_kv *kv;
    ba_freqs *freqs;
    ba_rot *rot;
    int32_t *hi;
} scene;

static void fill(ba_backend *be, ba_buf *buf, size_t rows, size_t cols) {
    double *x = bench_checked(malloc(rows * cols * sizeof *x));
    uint64_t seed = 1;
    for (size_t i = 0; i < rows * cols; i++) {
        x[i] = 2 * ba_random_real(&seed) - 1;
    }
    be->ops->upload(be, (ba_view){buf, 0, 0}, rows, cols, x);
    free(x);
}

static void open_attention(scene *s) {
    const ba_backend_ops *ops = s->be->ops;
    size_t rows = s->job->rows, keys = s->job->keys;
    double freq[DIM / 2], *pos = bench_checked(calloc(keys, sizeof *pos));
    for (size_t i = 0; i < DIM / 2; i++) {
        freq[i] = pow(1e4, -2.0 * (double)i / DIM);
    }
    s->freqs = bench_checked(ops->freqs_new(s->be, freq, DIM / 2, 1));
    s->rot = bench_checked(ops->rot_new(s->be, keys, DIM / 2));
    ops->rot_fill(s->be, s->rot, 0, keys, pos, s->freqs);
    free(pos);
    s->x = bench_checked(ops->buf_new(s->be, rows, HEADS * DIM));
    s->out = bench_checked(ops->buf_new(s->be, rows, HEADS * DIM));
    s->k = bench_checked(ops->buf_new(s->be, keys, KV_HEADS * DIM));
    s->kv = bench_checked(ops->kv_new(s->be, 1, KV_HEADS, DIM, keys));
    fill(s->be, s->x, rows, HEADS * DIM);
    fill(s->be, s->k, keys, KV_HEADS * DIM);
    ops->kv_write(s->be, s->kv, 0, 0, NULL, keys, (ba_view){s->k, 0, 0}, (ba_view){s->k, 0, 0}, s->rot, 0);
    s->hi = bench_checked(malloc(rows * sizeof *s->hi));
    for (size_t r = 0; r < rows; r++) {
        s->hi[r] = (int32_t)(s->job->causal ? r + 1 : keys);
    }
}

static void open_product(scene *s) {
    const ba_backend_ops *ops = s->be->ops;
    size_t in = s->job->in, out = s->job->out;
    char err[BA_ERR_LEN];
    float *w = bench_checked(malloc(in * out * sizeof *w));
    for (size_t i = 0; i < in * out; i++) {
        w[i] = (float)(i % 97) / 97 - 0.5f;
    }
    const ba_weight_src src = {.type = BA_F32, .rows = out, .cols = in, .data = w};
    s->w = ops->weight_new(s->be, &src, 1, err);
    free(w);
    if (!s->w) {
        bench_die(err);
    }
    s->x = bench_checked(ops->buf_new(s->be, s->job->rows, in));
    s->out = bench_checked(ops->buf_new(s->be, s->job->rows, out));
    fill(s->be, s->x, s->job->rows, in);
}

static void scene_close(scene *s) {
    const ba_backend_ops *ops = s->be->ops;
    ops->buf_free(s->be, s->x);
    ops->buf_free(s->be, s->out);
    if (s->job->keys) {
        ops->buf_free(s->be, s->k);
        ops->kv_free(s->be, s->kv);
        ops->rot_free(s->be, s->rot);
        ops->freqs_free(s->be, s->freqs);
        free(s->hi);
    } else {
        ops->weight_free(s->be, s->w);
    }
}

/* One call; FLOPs by the kernels' own count. */
static span run_once(const scene *s, size_t threads) {
    const ba_backend_ops *ops = s->be->ops;
    ba_view x = {s->x, 0, 0}, out = {s->out, 0, 0};
    const ba_kv_segment seg = {.kv = s->kv, .n = s->job->keys, .hi = s->hi, .score_scale = 1};
    const ba_attn_job attend = {.rows = s->job->rows, .seg = &seg, .n_seg = 1};
    uint64_t before = s->be->count.flops_exact;
    span start = now();
    if (s->job->keys) {
        ops->attention(s->be, 0, HEADS, 1 / sqrt(DIM), s->rot, &attend, 1, x, out);
    } else {
        ops->linear(s->be, s->w, x, s->job->rows, out, false, true);
    }
    return rate_since(start, (double)(s->be->count.flops_exact - before), threads);
}

static void time_job(ba_backend *be, const bench_job *j, size_t threads, bool csv) {
    scene s = {.be = be, .job = j};
    bool bf16 = be->kv_size == 2;
    span best = {0}, peak = {0};
    if (j->keys) {
        open_attention(&s);
    } else {
        open_product(&s);
    }
    be->count = (ba_counters){0};
    for (size_t i = 0; i < ROUNDS; i++) {
        peak = best_of(peak, peak_once(bf16, threads));
        best = best_of(best, run_once(&s, threads));
    }
    scene_close(&s);
    if (csv) {
        double calls = ROUNDS, bytes = (double)(be->count.bytes_read + be->count.bytes_written);
        bench_print_row(be, j, (double)be->count.flops_exact / calls, bytes / calls,
                        (bench_rates){best.wall, peak.wall, best.busy, peak.busy});
        return;
    }
    printf("%8s/%-5s %-28s %8.1f GFLOP/s", be->ops->name, be->ops->dtype, j->name, best.wall / 1e9);
    if (peak.wall > 0) {
        printf("  %4.2f of peak %.0f; by processor time %4.2f of %.0f", best.wall / peak.wall, peak.wall / 1e9,
               best.busy / peak.busy, peak.busy / 1e9);
    }
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    bool csv = argc > 1 && !strcmp(argv[1], "--csv");
    const char *threads = argc > 1 + csv ? argv[1 + csv] : NULL;
    long given = threads ? strtol(threads, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
    if (given < 1 || given > MOST_THREADS) {
        bench_die("usage: bench-kernels [--csv] [THREADS]");
    }
    if (csv) {
        bench_print_head();
    }
    for (size_t i = 0; ba_backend_at(i); i++) {
        char err[BA_ERR_LEN];
        const ba_backend_config cfg = {.threads = (size_t)given};
        const ba_backend_ops *ops = ba_backend_at(i);
        ba_backend *be = NULL;
        if (!strcmp(ops->name, "ref")) {
            continue; /* the reference is not made to be fast */
        }
        if (ops->open(&cfg, &be, err)) {
            fprintf(stderr, "%s/%s: skipped: %s\n", ops->name, ops->dtype, err);
            continue;
        }
        if (!csv) {
            printf("%s/%s: %s\n", ops->name, ops->dtype, be->ops->describe(be));
        }
        for (size_t j = 0; j < sizeof jobs / sizeof *jobs; j++) {
            time_job(be, &jobs[j], cfg.threads, csv);
        }
        ba_backend_close(be);
    }
    return 0;
}
