/* What all backends on the CPU have in common when they are opened and closed. */
#include "cpu.h"

#include <stdlib.h>

int ba_cpu_open(ba_cpu *cpu, const ba_backend_config *cfg, char err[BA_ERR_LEN]) {
    cpu->base.real_size = cpu->base.weight_size = cpu->base.kv_size = sizeof(float);
    cpu->isa = ba_isa_choose(err);
    if (!cpu->isa) {
        return -1;
    }
    cpu->pool = ba_pool_new(cfg->threads);
    cpu->space = ba_attn_space_new(cfg->threads);
    cpu->sum = ba_cpu_alloc(cfg->threads, BA_SUM_ROWS, BA_KEYS, sizeof *cpu->sum);
    if (!cpu->pool || !cpu->space || !cpu->sum) {
        return ba_fail(err, "%zu threads cannot be started; use fewer", cfg->threads);
    }
    return 0;
}

void ba_cpu_close(ba_cpu *cpu) {
    if (cpu->train) {
        cpu->train_close(cpu->train);
    }
    free(cpu->sum);
    ba_attn_space_free(cpu->space);
    ba_pool_free(cpu->pool);
}
