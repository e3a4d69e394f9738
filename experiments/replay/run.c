#include "run.h"

#include "experiments/measure/protocol.h"
#include "kernels/base/clock.h"
#include "sim/base/random.h"

#include <stdlib.h>

/* One run up to the logits. */
static int time_plan(ba_engine *e, const ba_plan *plan, const ba_engine_options *opt, double *seconds, double *cpu,
                     char err[BA_ERR_LEN]) {
    ba_run *run = NULL;
    double start = ba_now(), cpu_start = ba_cpu_clock();
    int rc = ba_engine_run(e, plan, opt, 0, &run, err);
    if (!rc && !ba_run_logits(run)) {
        rc = BA_INTERRUPTED;
    }
    *seconds = ba_now() - start;
    *cpu = ba_cpu_clock() - cpu_start;
    ba_run_free(run);
    return rc;
}

/* Puts into the store what the accounts say is there: the nodes that it had, and nothing else. Modes whose stored nodes
 * see others would need those as well, so the nodes are copied one by one only where they see nothing. */
static int prepare_store(ba_engine *e, ba_store *store, const ba_plan *plan, const uint8_t *have,
                         const ba_engine_options *opt, char err[BA_ERR_LEN]) {
    ba_plan *known = ba_plan_new("store");
    size_t last = known ? 0 : SIZE_MAX;
    double seconds, cpu;
    for (size_t i = 0; i < plan->n_node && last != SIZE_MAX; i++) {
        if (have[i] && !plan->node[i].n_edge) {
            last = ba_plan_add_node(known, plan->node[i].ids, plan->node[i].n, 0, 1);
            if (last != SIZE_MAX) {
                known->node[last].stored = true;
            }
        }
    }
    const ba_node *asked = &plan->node[plan->n_node - 1];
    last = last == SIZE_MAX ? last : ba_plan_add_node(known, asked->ids, 1, 0, 1);
    double place = 0;
    for (size_t i = 0; last != SIZE_MAX && i < last; i++) {
        bool seen = ba_plan_add_edge(known, last, i, place) != NULL;
        place += (double)known->node[i].n;
        last = seen ? last : SIZE_MAX;
    }
    if (last != SIZE_MAX) {
        known->node[last].pos = place;
        known->n_tokens = (size_t)place + 1;
    }
    ba_store_clear(store);
    int rc = last == SIZE_MAX ? ba_fail(err, "out of memory") : time_plan(e, known, opt, &seconds, &cpu, err);
    ba_plan_free(known);
    return rc;
}

int ba_replay_run(ba_engine *e, ba_store *store, const ba_prompt *prompt, const ba_plan *plan, const uint8_t *have,
                  const ba_engine_options *opt, uint64_t *rng, ba_replay_row *row, char err[BA_ERR_LEN]) {
    size_t n, order[] = {0, 1, 2};
    double seconds, cpu;
    int32_t *ids = ba_prompt_ids(prompt, &n);
    ba_plan *full = ids ? ba_prefix_plan(ids, n, 0) : NULL;
    ba_plan *prefix = ids ? ba_prefix_plan(ids, n, row->common_prefix) : NULL;
    ba_plan *head = ids && row->common_prefix ? ba_prefix_plan(ids, row->common_prefix + 1, row->common_prefix) : NULL;
    int rc = full && prefix && (head || !row->common_prefix) ? 0 : ba_fail(err, "out of memory");
    ba_random_shuffle(rng, order, 3);
    for (size_t i = 0; i < 3 && !rc; i++) {
        if (order[i] == 0) {
            rc = prepare_store(e, store, plan, have, opt, err);
            rc = rc ? rc : time_plan(e, plan, opt, &row->block_s, &row->block_cpu_s, err);
        } else if (order[i] == 1) {
            rc = head ? time_plan(e, head, opt, &seconds, &cpu, err) : 0;
            rc = rc ? rc : time_plan(e, prefix, opt, &row->prefix_s, &row->prefix_cpu_s, err);
        } else {
            rc = time_plan(e, full, opt, &row->full_s, &row->full_cpu_s, err);
        }
    }
    ba_plan_free(full);
    ba_plan_free(prefix);
    ba_plan_free(head);
    free(ids);
    return rc;
}
