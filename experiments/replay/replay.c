#include "replay.h"

#include "sim/modes/modes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int ba_replay_begin(ba_replay *r, const ba_shape *shape, ba_sizes sizes, const char *mode, char err[BA_ERR_LEN]) {
    *r = (ba_replay){.shape = shape, .sizes = sizes, .mode = mode, .prefixes = ba_prefixes_new()};
    return r->prefixes ? 0 : ba_fail(err, "out of memory");
}

void ba_replay_end(ba_replay *r) {
    ba_hash_set_free(&r->nodes);
    ba_prefixes_free(r->prefixes);
    *r = (ba_replay){0};
}

static int cost_of(const ba_replay *r, const ba_plan *plan, const uint8_t *have, ba_cost *out, char err[BA_ERR_LEN]) {
    ba_schedule *s = ba_schedule_new(plan, have, BA_PASS_ROWS);
    int rc = s ? ba_cost_plan(r->shape, plan, s, r->sizes, 1, out, err) : ba_fail(err, "out of memory");
    ba_schedule_free(s);
    return rc;
}

/* Marks the nodes that are stored already, then adds the others. A passage that occurs twice in the prompt counts as
 * recurring the second time. */
static int look_up(ba_replay *r, const ba_plan *plan, const ba_prompt *prompt, uint8_t *have, ba_replay_row *row) {
    ba_hash_set twice = {0};
    int rc = -1;
    ba_key *key = calloc(plan->n_node, sizeof *key);
    if (!key) {
        return -1;
    }
    ba_plan_keys(plan, key);
    for (size_t i = 0; i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        if (!v->stored) {
            continue;
        }
        bool passage = prompt->seg[v->seg].role == BA_ROLE_PASSAGE;
        have[i] = ba_hash_set_has(&r->nodes, key[i].lo);
        row->passages += passage;
        row->recurring += passage && (have[i] || ba_hash_set_has(&twice, key[i].lo));
        if (ba_hash_set_add(&twice, key[i].lo)) {
            goto done;
        }
    }
    for (size_t i = 0; i < plan->n_node; i++) {
        if (plan->node[i].stored && ba_hash_set_add(&r->nodes, key[i].lo)) {
            goto done;
        }
    }
    rc = 0;
done:
    ba_hash_set_free(&twice);
    free(key);
    return rc;
}

static int account_block(ba_replay *r, const ba_prompt *prompt, const ba_plan *plan, uint8_t *have, ba_replay_row *row,
                         char err[BA_ERR_LEN]) {
    ba_cost cost = {0};
    if (look_up(r, plan, prompt, have, row)) {
        return ba_fail(err, "out of memory");
    }
    int rc = cost_of(r, plan, have, &cost, err);
    row->block_computed = cost.n_computed;
    row->block_flops = cost.flops_exact;
    return rc;
}

static int account_prefix(ba_replay *r, const ba_prompt *prompt, ba_replay_row *row, char err[BA_ERR_LEN]) {
    static const uint8_t first_there[2] = {1, 0};
    size_t n, common;
    int32_t *ids = ba_prompt_ids(prompt, &n);
    common = ids ? ba_prefixes_take(r->prefixes, ids, n) : SIZE_MAX;
    ba_plan *full = common != SIZE_MAX ? ba_prefix_plan(ids, n, 0) : NULL;
    ba_plan *prefix = full ? ba_prefix_plan(ids, n, common) : NULL;
    ba_cost cost = {0};
    int rc = -1;
    if (!prefix) {
        ba_fail(err, "out of memory");
        goto done;
    }
    rc = cost_of(r, full, NULL, &cost, err);
    if (rc) {
        goto done;
    }
    row->tokens = n;
    row->full_computed = cost.n_computed;
    row->full_flops = cost.flops_exact;
    rc = cost_of(r, prefix, common ? first_there : NULL, &cost, err);
    row->common_prefix = common;
    row->prefix_computed = cost.n_computed;
    row->prefix_flops = cost.flops_exact;
done:
    ba_plan_free(full);
    ba_plan_free(prefix);
    free(ids);
    return rc;
}

int ba_replay_next(ba_replay *r, const ba_prompt *prompt, ba_plan **plan, uint8_t **have, ba_replay_row *out,
                   char err[BA_ERR_LEN]) {
    *out = (ba_replay_row){.item = r->n++,
                           .block_s = NAN,
                           .prefix_s = NAN,
                           .full_s = NAN,
                           .block_cpu_s = NAN,
                           .prefix_cpu_s = NAN,
                           .full_cpu_s = NAN,
                           .block_estimate_s = NAN,
                           .prefix_estimate_s = NAN,
                           .full_estimate_s = NAN};
    *have = NULL;
    if (ba_mode_plan(r->mode, prompt, plan, err)) {
        return -1;
    }
    *have = calloc((*plan)->n_node, 1);
    if (!*have) {
        ba_fail(err, "out of memory");
        goto failed;
    }
    if (account_block(r, prompt, *plan, *have, out, err) || account_prefix(r, prompt, out, err)) {
        goto failed;
    }
    return 0;
failed:
    ba_plan_free(*plan);
    free(*have);
    *plan = NULL;
    *have = NULL;
    return -1;
}
