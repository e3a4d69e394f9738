/* Backend "cpu" in bf16: our own code for AMX, or for AVX-512 with bf16 dot products, with no library. A second table
 * has the same operations in plain C. It is opened under BLOCKATTN_ISA=plain, and it is the twin that the error budget
 * of the fast kernels is measured by. */
#include "bf16.h"
#include "kernels/backends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void bf16_close(ba_backend *be) {
    ba_bf16 *bf16 = (ba_bf16 *)be;
    ba_cpu_close(&bf16->cpu);
    free(bf16->x);
    free(bf16->gated);
    free(bf16);
}

/* Vectors and tiles in fp32 stay those of the fp32 table; attention and products are those of isa. */
static void use_isa(ba_bf16 *be, const ba_bf16_isa *isa) {
    be->isa = *be->cpu.isa;
    be->isa.name = isa->tile.name;
    be->isa.attend = isa->tile.attend;
    be->isa.scores = isa->tile.scores;
    be->isa.rotate = isa->tile.rotate;
    be->isa.values = isa->tile.values;
    be->cpu.isa = &be->isa;
    be->cpu.round = isa->round;
    be->product = isa->product;
    be->strip = isa->strip;
}

/* NULL and err if it fails. */
static ba_bf16 *open_with(const ba_backend_ops *ops, const ba_bf16_isa *isa, const ba_backend_config *cfg,
                          char err[BA_ERR_LEN]) {
    ba_bf16 *be = ba_cpu_alloc(1, 1, 1, sizeof *be);
    if (!be) {
        ba_fail(err, "backend cpu: out of memory");
        return NULL;
    }
    be->cpu.base.ops = ops;
    if (ba_cpu_open(&be->cpu, cfg, err)) {
        bf16_close(&be->cpu.base);
        return NULL;
    }
    be->cpu.base.weight_size = be->cpu.base.kv_size = sizeof(uint16_t);
    use_isa(be, isa);
    return be;
}

static int open_plain(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    ba_bf16 *be = open_with(&ba_cpu_bf16_plain, &ba_bf16_isa_plain, cfg, err);
    if (!be) {
        return -1;
    }
    snprintf(be->describe, sizeof be->describe, "bf16 in plain C; %zu threads", cfg->threads);
    *out = &be->cpu.base;
    return 0;
}

static int open_fast(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    const char *wanted = getenv("BLOCKATTN_ISA");
    if (wanted && !strcmp(wanted, "plain")) {
        return open_plain(cfg, out, err);
    }
    if (!ba_bf16_has_avx512()) {
        return ba_fail(err, "backend cpu in bf16: this processor has no AVX-512 bf16 dot products; use --dtype f32, or "
                            "set BLOCKATTN_ISA=plain, which is slow");
    }
    /* A wish for any instruction set means vectors without matrix units. */
    bool units = !(wanted && *wanted) && ba_bf16_has_amx();
    ba_bf16 *be = open_with(&ba_cpu_bf16, units ? &ba_bf16_isa_amx : &ba_bf16_isa_avx512, cfg, err);
    if (!be) {
        return -1;
    }
    be->gated = ba_cpu_alloc(cfg->threads, BA_GATED_ROWS, BA_GATED_COLS, sizeof *be->gated);
    if (!be->gated) {
        bf16_close(&be->cpu.base);
        return ba_fail(err, "backend cpu: out of memory");
    }
    snprintf(be->describe, sizeof be->describe, "own code: products %s, attention %s; %zu threads", be->isa.name,
             be->isa.name, cfg->threads);
    *out = &be->cpu.base;
    return 0;
}

static const char *bf16_describe(const ba_backend *be) {
    return ((const ba_bf16 *)be)->describe;
}

const ba_backend_ops ba_cpu_bf16 = {
    .name = "cpu",
    .summary = "bf16: own code for AMX, or AVX-512 with bf16 dot products",
    .dtype = "bf16",
    .open = open_fast,
    .close = bf16_close,
    .describe = bf16_describe,
    BA_BF16_ROWS,
    .weight_new = ba_bf16_weight_new,
    .weight_free = ba_bf16_weight_free,
    .weight_bytes = ba_bf16_weight_bytes,
    .packing = ba_bf16_packing,
    .weight_packed = ba_bf16_weight_packed,
    .weight_mapped = ba_bf16_weight_mapped,
    .embed = ba_bf16_embed,
    .linear = ba_bf16_linear,
    .gated = ba_bf16_gated,
    .train = &ba_train_bf16,
};

const ba_backend_ops ba_cpu_bf16_plain = {
    .name = "cpu",
    .summary = "bf16 in plain C for any processor: slow, the measure of bf16's error",
    .dtype = "bf16",
    .open = open_plain,
    .close = bf16_close,
    .describe = bf16_describe,
    BA_BF16_ROWS,
    .weight_new = ba_bf16_plain_weight_new,
    .weight_free = ba_bf16_plain_weight_free,
    .weight_bytes = ba_bf16_plain_weight_bytes,
    .embed = ba_bf16_plain_embed,
    .linear = ba_bf16_plain_linear,
};
