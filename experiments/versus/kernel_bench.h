/* What bench-kernels and bench-device share: a job, what it needs of a backend, and its row. */
#ifndef BENCH_KERNEL_BENCH_H
#define BENCH_KERNEL_BENCH_H

#include "kernels/backend.h"

/* Attention of `rows` over `keys` (causal: row r sees key r at most), or, keys 0, a product [rows, in] [in, out]. */
typedef struct bench_job {
    const char *name;
    size_t rows, keys;
    bool causal;
    size_t in, out;
} bench_job;

/* FLOP/s of a job, and the most that there are, by the clock and by processor time. */
typedef struct bench_rates {
    double wall, wall_peak, busy, busy_peak;
} bench_rates;

/* Ends the program with status 3. */
void bench_die(const char *why) __attribute__((noreturn));
/* p, or bench_die. */
void *bench_checked(void *p);

void bench_print_head(void);
/* flops, bytes: of one call. */
void bench_print_row(const ba_backend *be, const bench_job *j, double flops, double bytes, bench_rates r);

#endif
