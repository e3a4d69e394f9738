#include "kernel_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void bench_die(const char *why) {
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
    exit(3);
}

void *bench_checked(void *p) {
    if (!p) {
        bench_die("out of memory");
    }
    return p;
}

void bench_print_head(void) {
    puts("backend,kernel,flops,bytes,flops_per_s,peak_flops_per_s,busy_flops_per_s,busy_peak_flops_per_s");
}

void bench_print_row(const ba_backend *be, const bench_job *j, double flops, double bytes, bench_rates r) {
    printf("%s/%s,\"%s\",%.0f,%.0f,%.6g,%.6g,%.6g,%.6g\n", be->ops->name, be->ops->dtype, j->name, flops, bytes, r.wall,
           r.wall_peak, r.busy, r.busy_peak);
    fflush(stdout);
}
