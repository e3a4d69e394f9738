#include "versus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Reads a line: backend,"kernel",six numbers. 0, or -1 for another line, such as the head. */
static int read_row(char *line, ba_kernel_rate *r) {
    double *const number[] = {
        &r->flops, &r->bytes, &r->flops_per_s, &r->peak_flops_per_s, &r->busy_flops_per_s, &r->busy_peak_flops_per_s};
    char *rest = line, *backend = strsep(&rest, "\""), *kernel = strsep(&rest, "\"");
    if (!rest) {
        return -1;
    }
    snprintf(r->backend, sizeof r->backend, "%.*s", (int)strcspn(backend, ","), backend);
    snprintf(r->kernel, sizeof r->kernel, "%s", kernel);
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        char *end;
        if (*rest != ',') {
            return -1;
        }
        *number[i] = strtod(rest + 1, &end);
        if (end == rest + 1) {
            return -1;
        }
        rest = end;
    }
    return 0;
}

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
        out->n += out->n < BA_MOST_KERNELS && read_row(line, &out->row[out->n]) == 0;
    }
    int status = pclose(in);
    return status == 0 && out->n > 0 ? 0 : ba_fail(err, "%s: ended with status %d", program, status);
}
