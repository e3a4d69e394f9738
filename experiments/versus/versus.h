/* The race of ours against others: cases, kernel rates, targets and the report. */
#ifndef BA_VERSUS_H
#define BA_VERSUS_H

#include "experiments/measure/peak.h"
#include "race.h"

#define BA_VERSUS_SCHEMA "blockattn/bench/2"

/* The entrant that all ratios refer to. */
#define BA_OURS "ours bf16"

/* One kernel of one backend: a row of the table `kernels`. Rates: by the clock, and (busy) by processor time. */
typedef struct ba_kernel_rate {
    char backend[16], kernel[48];
    double flops, bytes; /* of a call */
    double flops_per_s, peak_flops_per_s, busy_flops_per_s, busy_peak_flops_per_s;
} ba_kernel_rate;

enum { BA_MOST_KERNELS = 128 };

typedef struct ba_kernel_rates {
    ba_kernel_rate row[BA_MOST_KERNELS];
    size_t n;
} ba_kernel_rates;

/* Runs bench-kernels (program) with that many threads. 0; -1 and err. */
int ba_kernels_measure(const char *program, size_t threads, ba_kernel_rates *out, char err[BA_ERR_LEN]);

/* Rewrites the tables `results`, `goals`, `kernels` and `machine` of a finished or interrupted race, and prints them.
 * complete: also closes the trace as finished. An exit status, 0 to go on. */
int ba_versus_report(ba_race *race, const ba_kernel_rates *kernels, const ba_peak *peak, bool complete);

#endif
