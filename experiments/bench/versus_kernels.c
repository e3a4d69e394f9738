#include "versus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ba_kernels_measure(const char *program, size_t threads, ba_kernel_rates *out, char err[BA_ERR_LEN]) {
    char *command = NULL, line[512];
    out->n = 0;
    if (asprintf(&command, "'%s' --csv %zu", program, threads) < 0) {
        return ba_fail(err, "out of memory");
    }
    FILE *in = popen(command, "r");
    free(command);
    if (!in) {
        return ba_fail(err, "%s: %s", program, strerror(errno));
    }
    while (fgets(line, sizeof line, in)) {
        ba_kernel_rate *r = &out->row[out->n];
        out->n +=
            out->n + 1 < BA_MOST_KERNELS &&
            sscanf(line, "%15[^,],\"%47[^\"]\",%lf,%lf,%lf,%lf,%lf,%lf", r->backend, r->kernel, &r->flops, &r->bytes,
                   &r->flops_per_s, &r->peak_flops_per_s, &r->busy_flops_per_s, &r->busy_peak_flops_per_s) == 8;
    }
    int status = pclose(in);
    return status == 0 && out->n > 0 ? 0 : ba_fail(err, "%s: ended with status %d", program, status);
}
