/* Backend "cpu" in fp32: our own code for the processor's vectors, with no library.
 *
 * Its matrix products are the tile code that attention needs anyway, over weights that are transposed into its layout
 * once, when they are loaded. A BLAS library packs them anew in every call, which dominates products of few rows: 50
 * rows of a 576 x 960 weight run at 108 GFLOP/s here and at 84 with OpenBLAS, of 116 that one core of the same
 * processor (Zen 4) reaches; 2048 rows run at 108 and 88. Every row is computed by itself, in a call of any size. */
#include "cpu.h"
#include "kernels/backends.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct own {
    ba_cpu cpu;
    char describe[128];
} own;

static void own_close(ba_backend *be) {
    ba_cpu_close((ba_cpu *)be);
    free(be);
}

static int own_open(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    own *be = ba_cpu_alloc(1, 1, 1, sizeof *be);
    if (!be) {
        return ba_fail(err, "backend cpu: out of memory");
    }
    be->cpu.base.ops = &ba_cpu_f32;
    if (ba_cpu_open(&be->cpu, cfg, err)) {
        own_close(&be->cpu.base);
        return -1;
    }
    snprintf(be->describe, sizeof be->describe, "own code for %s; %zu threads", be->cpu.isa->name, cfg->threads);
    *out = &be->cpu.base;
    return 0;
}

static const char *own_describe(const ba_backend *be) {
    return ((const own *)be)->describe;
}

const ba_backend_ops ba_cpu_f32 = {
    .name = "cpu",
    .summary = "fp32: own code for AVX-512, AVX2 or any processor",
    .dtype = "f32",
    .open = own_open,
    .close = own_close,
    .describe = own_describe,
    BA_F32_ROWS,
    .weight_new = ba_cpu_weight_new,
    .linear = ba_cpu_linear,
};
