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
    if (!rc) {
        ba_run_logits(run);
    }
    *seconds = ba_now() - start;
    *cpu = ba_cpu_clock() - cpu_start;
    rc = rc ? rc : ba_run_check(run, err);
    ba_run_free(run);
    return rc;
}

/* A node of one token that sees every node of `known` in order. 0, or -1: out of memory. */
static int add_viewer(ba_plan *known, const int32_t *token) {
    double place = 0;
    size_t last = ba_plan_add_node(known, token, 1, 0, 1);
    if (last == SIZE_MAX) {
        return -1;
    }
    for (size_t i = 0; i < last; i++) {
        if (!ba_plan_add_edge(known, last, i, place)) {
            return -1;
        }
        place += (double)known->node[i].n;
    }
    known->node[last].pos = place;
    known->n_tokens = (size_t)place + 1;
    return 0;
}

/* A plan whose run stores the nodes that `have` marks and that see nothing. NULL: out of memory. */
static ba_plan *plan_of_stored(const ba_plan *plan, const uint8_t *have) {
    ba_plan *known = ba_plan_new("store");
    if (!known) {
        return NULL;
    }
    for (size_t i = 0; i < plan->n_node; i++) {
        if (!have[i] || plan->node[i].n_edge) {
            continue;
        }
        size_t v = ba_plan_add_node(known, plan->node[i].ids, plan->node[i].n, 0, 1);
        if (v == SIZE_MAX) {
            goto failed;
        }
        known->node[v].stored = true;
    }
    if (!add_viewer(known, plan->node[plan->n_node - 1].ids)) {
        return known;
    }
failed:
    ba_plan_free(known);
    return NULL;
}

/* Fills the store with exactly the nodes that the accounts say it had. Nodes that see others would bring those along, so
 * nodes are stored one by one only where they see nothing. */
static int prepare_store(ba_engine *e, ba_store *store, const ba_plan *plan, const uint8_t *have,
                         const ba_engine_options *opt, char err[BA_ERR_LEN]) {
    ba_plan *known = plan_of_stored(plan, have);
    if (!known) {
        return ba_fail(err, "out of memory");
    }
    double seconds, cpu;
    ba_store_clear(store);
    int rc = time_plan(e, known, opt, &seconds, &cpu, err);
    ba_plan_free(known);
    return rc;
}

static int run_block(ba_engine *e, ba_store *store, const ba_plan *plan, const uint8_t *have,
                     const ba_engine_options *opt, ba_replay_row *row, char err[BA_ERR_LEN]) {
    int rc = prepare_store(e, store, plan, have, opt, err);
    return rc ? rc : time_plan(e, plan, opt, &row->block_s, &row->block_cpu_s, err);
}

/* head: the plan that puts the prefix into the store, or NULL: nothing to store. */
static int run_prefix(ba_engine *e, const ba_plan *head, const ba_plan *prefix, const ba_engine_options *opt,
                      ba_replay_row *row, char err[BA_ERR_LEN]) {
    double seconds, cpu;
    int rc = head ? time_plan(e, head, opt, &seconds, &cpu, err) : 0;
    return rc ? rc : time_plan(e, prefix, opt, &row->prefix_s, &row->prefix_cpu_s, err);
}

int ba_replay_run(ba_engine *e, ba_store *store, const ba_prompt *prompt, const ba_plan *plan, const uint8_t *have,
                  const ba_engine_options *opt, uint64_t *rng, ba_replay_row *row, char err[BA_ERR_LEN]) {
    size_t n, order[] = {0, 1, 2};
    int32_t *ids = ba_prompt_ids(prompt, &n);
    ba_plan *full = ids ? ba_prefix_plan(ids, n, 0) : NULL;
    ba_plan *prefix = ids ? ba_prefix_plan(ids, n, row->common_prefix) : NULL;
    ba_plan *head = ids && row->common_prefix ? ba_prefix_plan(ids, row->common_prefix + 1, row->common_prefix) : NULL;
    int rc = full && prefix && (head || !row->common_prefix) ? 0 : ba_fail(err, "out of memory");
    if (rc) {
        goto done;
    }
    ba_random_shuffle(rng, order, 3);
    for (size_t i = 0; i < 3 && !rc; i++) {
        if (order[i] == 0) {
            rc = run_block(e, store, plan, have, opt, row, err);
        } else if (order[i] == 1) {
            rc = run_prefix(e, head, prefix, opt, row, err);
        } else {
            rc = time_plan(e, full, opt, &row->full_s, &row->full_cpu_s, err);
        }
    }
done:
    ba_plan_free(full);
    ba_plan_free(prefix);
    ba_plan_free(head);
    free(ids);
    return rc;
}
