/* How fast the kernels of a device are at the sizes of an 8B model: rows of the same columns as bench-kernels, and the
 * device's own peaks, measured in the same run. Weights take turns, so that they come from memory. A sample is many calls
 * in a row, from the first's begin to the end of the last; the best sample is taken.
 *
 *   bench-device BACKEND kernels|machine        CSV: the tables that plots/roofline.gp draws */
#include "kernel_bench.h"
#include "kernels/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7, TURNS = 4, HEADS = 32, KV_HEADS = 8, DIM = 128, HIDDEN = 4096, FF = 14336, FEW = 50 };
static const double SAMPLE_FLOPS = 4e12; /* some milliseconds of the fastest device */

static const bench_job jobs[] = {
    {"product 50 x 4096 x 6144", FEW, 0, false, HIDDEN, 6144},
    {"product 50 x 4096 x 4096", FEW, 0, false, HIDDEN, HIDDEN},
    {"product 50 x 4096 x 28672", FEW, 0, false, HIDDEN, 2 * FF},
    {"product 50 x 14336 x 4096", FEW, 0, false, FF, HIDDEN},
    {"product 2048 x 4096 x 6144", 2048, 0, false, HIDDEN, 6144},
    {"product 2048 x 4096 x 28672", 2048, 0, false, HIDDEN, 2 * FF},
    {"product 2048 x 14336 x 4096", 2048, 0, false, FF, HIDDEN},
    {"product 8192 x 4096 x 6144", 8192, 0, false, HIDDEN, 6144},
    {"product 8192 x 4096 x 28672", 8192, 0, false, HIDDEN, 2 * FF},
    {"product 8192 x 14336 x 4096", 8192, 0, false, FF, HIDDEN},
    {"attention 8K x 8K, causal", 8192, 8192, true, 0, 0},
    {"attention 32K x 32K, causal", 32768, 32768, true, 0, 0},
    {"attention 50 x 8K", FEW, 8192, false, 0, 0},
    {"attention 50 x 32K", FEW, 32768, false, 0, 0},
};

typedef struct scene {
    ba_backend *be;
    const bench_job *job;
    ba_buf *x, *out, *kv_rows;
    ba_weight *w[TURNS];
    ba_kv *kv[TURNS];
    ba_freqs *freqs;
    ba_rot *rot;
    int32_t *hi; /* [rows] or NULL */
} scene;

/* Numbers in [-1, 1): a device may be faster on zeros, which switch fewer bits. */
static void fill(ba_backend *be, ba_buf *buf, size_t rows, size_t cols) {
    double *x = bench_checked(malloc(rows * cols * sizeof *x));
    for (size_t i = 0; i < rows * cols; i++) {
        x[i] = (double)(i * 2654435761u % 65536) / 32768 - 1;
    }
    be->ops->upload(be, (ba_view){buf, 0, 0}, rows, cols, x);
    free(x);
}

static void open_attention(scene *s) {
    const ba_backend_ops *ops = s->be->ops;
    const size_t rows = s->job->rows, keys = s->job->keys, width = KV_HEADS * DIM;
    double freq[DIM / 2], *pos = bench_checked(calloc(keys, sizeof *pos));
    for (size_t i = 0; i < DIM / 2; i++) {
        freq[i] = pow(5e5, -2.0 * (double)i / DIM);
    }
    for (size_t i = 0; i < keys; i++) {
        pos[i] = (double)i;
    }
    s->freqs = bench_checked(ops->freqs_new(s->be, freq, DIM / 2, 1));
    s->rot = bench_checked(ops->rot_new(s->be, keys, DIM / 2));
    ops->rot_fill(s->be, s->rot, 0, keys, pos, s->freqs);
    free(pos);
    s->x = bench_checked(ops->buf_new(s->be, rows, HEADS * DIM));
    s->out = bench_checked(ops->operand_new(s->be, rows, HEADS * DIM));
    s->kv_rows = bench_checked(ops->buf_new(s->be, keys, width));
    fill(s->be, s->x, rows, HEADS * DIM);
    fill(s->be, s->kv_rows, keys, width);
    for (size_t i = 0; i < TURNS; i++) {
        const ba_view from = {s->kv_rows, 0, 0};
        s->kv[i] = bench_checked(ops->kv_new(s->be, 1, KV_HEADS, DIM, keys));
        ops->kv_write(s->be, s->kv[i], 0, 0, NULL, keys, from, from, s->rot, 0);
    }
    s->hi = s->job->causal ? bench_checked(malloc(rows * sizeof *s->hi)) : NULL;
    for (size_t r = 0; s->hi && r < rows; r++) {
        s->hi[r] = (int32_t)(r + 1);
    }
}

static void open_product(scene *s) {
    const ba_backend_ops *ops = s->be->ops;
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < TURNS; i++) {
        const ba_weight_src src = {.type = BA_BF16, .rows = s->job->out, .cols = s->job->in, .seed = i + 1};
        s->w[i] = ops->weight_new(s->be, &src, 1, err);
        if (!s->w[i]) {
            bench_die(err);
        }
    }
    ba_buf *wide = bench_checked(ops->buf_new(s->be, s->job->rows, s->job->in));
    ba_buf *gain = bench_checked(ops->buf_new(s->be, 1, s->job->in));
    s->x = bench_checked(ops->operand_new(s->be, s->job->rows, s->job->in));
    s->out = bench_checked(ops->buf_new(s->be, s->job->rows, s->job->out));
    fill(s->be, wide, s->job->rows, s->job->in);
    fill(s->be, gain, 1, s->job->in);
    ops->rmsnorm(s->be, (ba_view){wide, 0, 0}, s->job->rows, 1, s->job->in, gain, 1e-5, (ba_view){s->x, 0, 0});
    ops->finish(s->be);
    ops->buf_free(s->be, wide);
    ops->buf_free(s->be, gain);
}

static void close_scene(scene *s) {
    const ba_backend_ops *ops = s->be->ops;
    ops->buf_free(s->be, s->x);
    ops->buf_free(s->be, s->out);
    for (size_t i = 0; i < TURNS; i++) {
        if (s->w[i]) {
            ops->weight_free(s->be, s->w[i]);
        }
        if (s->kv[i]) {
            ops->kv_free(s->be, s->kv[i]);
        }
    }
    if (s->kv_rows) {
        ops->buf_free(s->be, s->kv_rows);
        ops->rot_free(s->be, s->rot);
        ops->freqs_free(s->be, s->freqs);
    }
    free(s->hi);
}

static void call(const scene *s, size_t turn) {
    const ba_backend_ops *ops = s->be->ops;
    const ba_view x = {s->x, 0, 0}, out = {s->out, 0, 0};
    if (!s->job->keys) {
        ops->linear(s->be, s->w[turn % TURNS], x, s->job->rows, out, false, true);
        return;
    }
    const ba_kv_segment seg = {.kv = s->kv[turn % TURNS], .n = s->job->keys, .hi = s->hi, .score_scale = 1};
    const ba_attn_job attend = {.rows = s->job->rows, .seg = &seg, .n_seg = 1};
    ops->attention(s->be, 0, HEADS, 1 / sqrt(DIM), s->rot, &attend, 1, x, out);
}

/* Prints the row of a job. */
static void measure(ba_backend *be, const bench_job *j, double peak) {
    scene s = {.be = be, .job = j};
    (j->keys ? open_attention : open_product)(&s);
    be->count = (ba_counters){0};
    call(&s, 0);
    be->ops->finish(be);
    const double flops = (double)be->count.flops_exact,
                 bytes = (double)(be->count.bytes_read + be->count.bytes_written);
    const size_t n = (size_t)fmin(200, 1 + SAMPLE_FLOPS / flops);
    double best = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        double start = ba_now();
        for (size_t i = 0; i < n; i++) {
            call(&s, i);
        }
        be->ops->finish(be);
        best = fmax(best, flops * (double)n / (ba_now() - start));
    }
    close_scene(&s);
    if (be->ops->fault(be)) {
        bench_die(be->ops->fault(be));
    }
    bench_print_row(be, j, flops, bytes, (bench_rates){best, peak, best, peak});
}

int main(int argc, char **argv) {
    char err[BA_ERR_LEN];
    ba_backend *be;
    double flops, bytes;
    const ba_backend_config cfg = {.threads = 1};
    const bool machine = argc == 3 && !strcmp(argv[2], "machine");
    if (argc != 3 || (!machine && strcmp(argv[2], "kernels") != 0)) {
        fputs("usage: bench-device BACKEND kernels|machine\n", stderr);
        return 2;
    }
    if (ba_backend_open(argv[1], &cfg, &be, err)) {
        bench_die(err);
    }
    if (!be->ops->peak || be->ops->peak(be, &flops, &bytes)) {
        bench_die("this backend has no device, or no memory for its peaks");
    }
    if (machine) {
        printf("peak_flops_per_s,peak_bytes_per_s\n%.6g,%.6g\n", flops, bytes);
    } else {
        bench_print_head();
        for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
            measure(be, &jobs[i], flops);
        }
    }
    ba_backend_close(be);
    return 0;
}
