/* Plans and their runs. */
#include "experiments/measure/costing.h"
#include "parts.h"
#include "sim/modes/modes.h"

#include <stdlib.h>
#include <string.h>

int blockattn_plan_new(const blockattn_request *request, const char *mode, blockattn_plan **out, char *err) {
    ba_plan *plan = NULL;
    *out = NULL;
    if (ba_mode_plan(mode, request->prompt, &plan, err) != 0) {
        return -1;
    }
    *out = malloc(sizeof **out);
    if (!*out) {
        ba_plan_free(plan);
        return ba_fail(err, "out of memory");
    }
    (*out)->plan = plan;
    return 0;
}

void blockattn_plan_free(blockattn_plan *p) {
    if (p) {
        ba_plan_free(p->plan);
        free(p);
    }
}

const char *blockattn_plan_mode(const blockattn_plan *p) {
    return p->plan->mode;
}

size_t blockattn_plan_rows(const blockattn_plan *p) {
    size_t rows = 0;
    for (size_t i = 0; i < p->plan->n_node; i++) {
        rows += p->plan->node[i].n - p->plan->node[i].skip;
    }
    return rows;
}

static int copy_row(void *mask, size_t row, const uint8_t *flags, size_t n) {
    memcpy((uint8_t *)mask + row * n, flags, n);
    return 0;
}

int blockattn_plan_mask(const blockattn_plan *p, uint8_t *mask, char *err) {
    return ba_plan_mask(p->plan, copy_row, mask) == blockattn_plan_rows(p) ? 0 : ba_fail(err, "out of memory");
}

int blockattn_plan_counts(const blockattn_model *m, const blockattn_plan *p, int stored, blockattn_counts *counts,
                          char *err) {
    ba_sizes sizes;
    ba_cost cost;
    if (ba_sizes_of(m->be->ops->dtype, sizeof(float), &sizes, err) != 0 ||
        ba_cost_up_to_first(ba_engine_shape(m->engine), p->plan, sizes, stored != 0, BA_PASS_ROWS, &cost, err) != 0) {
        return -1;
    }
    *counts = (blockattn_counts){.tokens = p->plan->n_tokens,
                                 .computed = cost.n_computed,
                                 .reused = cost.n_reused,
                                 .flops = cost.flops_exact,
                                 .flops_dense = cost.flops_dense,
                                 .bytes_read = cost.bytes_read,
                                 .bytes_written = cost.bytes_written,
                                 .kv_bytes = cost.kv_bytes};
    return 0;
}

int blockattn_run_new(blockattn_model *m, const blockattn_plan *p, size_t room, blockattn_run **out, char *err) {
    const ba_engine_options options = {.memory = m->run_bytes};
    ba_run *run = NULL;
    *out = NULL;
    if (ba_engine_run(m->engine, p->plan, &options, room, &run, err) != 0) {
        return -1;
    }
    *out = malloc(sizeof **out);
    if (!*out) {
        ba_run_free(run);
        return ba_fail(err, "out of memory");
    }
    **out = (blockattn_run){run, blockattn_model_vocab(m)};
    return 0;
}

void blockattn_run_free(blockattn_run *r) {
    if (r) {
        ba_run_free(r->run);
        free(r);
    }
}

const double *blockattn_run_logits(blockattn_run *r, char *err) {
    return ba_run_check(r->run, err) == 0 ? ba_run_logits(r->run) : NULL;
}

int blockattn_run_extend(blockattn_run *r, const int32_t *ids, size_t n, double *logprob, char *err) {
    const size_t vocab = r->vocab;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= vocab) {
            return ba_fail(err, "id %zu: %d is not a token id: a whole number below %zu", i, ids[i], vocab);
        }
    }
    return ba_run_extend(r->run, ids, n, logprob, err);
}

void blockattn_run_counts(const blockattn_run *r, blockattn_counts *counts) {
    const ba_run_stats *s = ba_run_get_stats(r->run);
    *counts = (blockattn_counts){.tokens = s->n_prompt,
                                 .computed = s->n_computed,
                                 .reused = s->n_reused,
                                 .flops = s->count.flops_exact,
                                 .flops_dense = s->count.flops_dense,
                                 .bytes_read = s->count.bytes_read,
                                 .bytes_written = s->count.bytes_written,
                                 .kv_bytes = s->kv_bytes};
    for (size_t i = 0; i < BA_STAGE_COUNT; i++) {
        counts->seconds += s->stage[i];
    }
}
