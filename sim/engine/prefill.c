/* Prefill: looks up what is stored, encodes what is missing pass by pass, and runs the node that gives the answer. */
#include "run.h"

#include "kernels/base/clock.h"
#include "kernels/base/sizes.h"

#include <stdlib.h>
#include <string.h>

/* --- one pass --------------------------------------------------------------------------------------------------- */

/* Runs of rows of a work item: what it refreshes, edge by edge, then its own. rows: room for n_edge + 1. */
static size_t runs_of(const ba_run *r, const ba_work *w, ba_rows *rows) {
    const ba_plan *plan = r->plan;
    const ba_node *v = &plan->node[w->node];
    size_t n = 0;
    if (w->refreshed && r->chosen.run) { /* its probe has chosen them */
        memcpy(rows, r->chosen.run, (v->n_edge + 1) * sizeof *rows);
        return v->n_edge + 1;
    }
    for (size_t e = 0; w->refreshed && e < v->n_edge; e++) {
        size_t first = v->edge[e].first;
        rows[n++] =
            (ba_rows){{e, first, ba_edge_refreshed(v, &v->edge[e]), NULL}, plan->node[v->edge[e].seen].ids + first};
    }
    rows[n++] = (ba_rows){{v->n_edge, w->row0, w->rows, NULL}, v->ids + w->row0};
    return n;
}

static int add_work(ba_run *r, const ba_work *w, ba_batch *b) {
    ba_look look = ba_run_look(r, w->node);
    ba_rows *rows = malloc((r->plan->node[w->node].n_edge + 1) * sizeof *rows);
    if (!rows) {
        return -1;
    }
    int rc = ba_batch_add(b, &look, rows, runs_of(r, w, rows), false);
    free(rows);
    return rc;
}

/* Step 1: the rows of all work items, side by side in one batch. */
static int gather_rows(ba_run *r, const ba_work *work, size_t n, ba_batch *b) {
    for (size_t i = 0; i < n; i++) {
        if (ba_run_prepare(r, &work[i])) {
            return -1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (add_work(r, &work[i], b)) {
            return -1;
        }
    }
    return ba_run_finish(r, b);
}

/* Step 2: the batch through all layers. */
static int walk_rows(ba_run *r, const ba_work *work, size_t n, const ba_batch *b, ba_stage stage) {
    if (work[0].probe) {
        return ba_run_probe(r, &work[0], b);
    }
    if (work[0].refreshed && ba_run_is_last(r, work[0].node) && ba_run_drops_rows(r->plan)) {
        return ba_run_walk_choice(r, &work[0], b);
    }
    bool last = ba_run_is_last(r, work[n - 1].node);
    ba_network_embed(&r->e->net, b);
    int rc = ba_run_walk(r, b, 0, last, stage, true);
    if (!rc && last) {
        ba_run_take_row(r, b->rows - 1, r->end);
    }
    return rc;
}

/* Step 3: scores of paths, and stored nodes whose last rows these were. row_seconds: that the pass took a row. */
static int keep_results(ba_run *r, const ba_work *work, size_t n, double row_seconds) {
    for (size_t i = 0, row = 0; i < n; row += work[i].refreshed + work[i].rows, i++) {
        const ba_node *v = &r->plan->node[work[i].node];
        bool complete = work[i].row0 + work[i].rows == v->n;
        if (ba_run_scored(r->plan, work[i].node) && ba_run_score(r, &work[i], row)) {
            return -1;
        }
        if (v->stored && complete && ba_run_keep(r, work[i].node, row_seconds * (double)v->n)) {
            return -1;
        }
    }
    return 0;
}

static int run_pass(ba_run *r, const ba_schedule *s, const ba_pass *pass) {
    const ba_work *work = s->work + pass->work0;
    ba_stage stage = pass->online ? BA_STAGE_PREFILL : BA_STAGE_ENCODE;
    double start = ba_now(), merged = r->stats.stage[BA_STAGE_MERGE];
    ba_batch *b = ba_batch_new();
    int rc = b ? gather_rows(r, work, pass->n_work, b) : -1;
    if (rc) {
        goto done;
    }
    rc = walk_rows(r, work, pass->n_work, b, stage);
    if (rc) {
        goto done;
    }
    rc = keep_results(r, work, pass->n_work, (ba_backend_now(r->e->net.be) - start) / (double)b->rows);
done:
    ba_batch_free(b);
    r->stats.stage[stage] += ba_backend_now(r->e->net.be) - start - (r->stats.stage[BA_STAGE_MERGE] - merged);
    return rc;
}

/* --- all passes ------------------------------------------------------------------------------------------------- */

/* Nodes with one key are computed once, by the first of them. The others take what it has before every pass, since a
 * long node is complete, and its score with it, only after several. */
static int share_twins(ba_run *r, const ba_schedule *s) {
    size_t n = r->e->net.shape->d_model + 1;
    for (size_t i = 0; i < r->plan->n_node; i++) {
        const ba_held *first = &r->held[s->same[i]];
        ba_held *h = &r->held[i];
        if (h == first) {
            continue;
        }
        h->kv = first->kv;
        if (!first->aux) {
            continue;
        }
        if (!h->aux && !(h->aux = malloc(n * sizeof *h->aux))) {
            return -1;
        }
        memcpy(h->aux, first->aux, n * sizeof *h->aux);
    }
    return 0;
}

static int run_passes(ba_run *r, const ba_schedule *s) {
    bool decided = !r->plan->keep_paths;
    for (size_t p = 0; p < s->n_pass; p++) {
        if (share_twins(r, s)) {
            return -1;
        }
        if (!decided && ba_run_is_last(r, s->work[s->pass[p].work0].node)) {
            if (ba_run_keep_paths(r)) {
                return -1;
            }
            decided = true;
        }
        int rc = run_pass(r, s, &s->pass[p]);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static size_t largest_pass(const ba_schedule *s) {
    size_t rows = 0;
    for (size_t p = 0; p < s->n_pass; p++) {
        rows = ba_max_size(rows, s->pass[p].rows);
    }
    return rows;
}

/* All that the store does not have. */
static int compute(ba_run *r, const ba_schedule *todo, const uint8_t *have, char err[BA_ERR_LEN]) {
    ba_network *net = &r->e->net;
    size_t rows = largest_pass(todo);
    for (size_t p = 0; p < todo->n_pass; p++) {
        r->total += (uint64_t)todo->pass[p].rows * net->shape->layers;
    }
    if (ba_run_check_memory(r, todo, have, rows, err)) {
        return -1;
    }
    r->stats.n_reused = todo->n_reused;
    if (ba_network_reserve(net, rows, ba_run_drops_rows(r->plan))) {
        return ba_fail(err, "out of memory");
    }
    ba_counters before = net->be->count;
    int rc = run_passes(r, todo);
    if (rc) {
        ba_run_explain(r, rc, err);
        return rc;
    }
    r->stats.n_computed = todo->n_computed - ba_node_spare(&r->plan->node[r->plan->n_node - 1], r->stats.n_chosen_row);
    ba_run_rewind(r);
    ba_run_count(r, before);
    return 0;
}

int ba_engine_run(ba_engine *e, const ba_plan *plan, const ba_engine_options *opt, size_t room, ba_run **out,
                  char err[BA_ERR_LEN]) {
    *out = NULL;
    if (ba_plan_check(plan, err) || ba_plan_fits(plan, e->net.shape->layers, err) || ba_run_check_ids(e, plan, err)) {
        return -1;
    }
    ba_run *r = ba_run_new(e, plan, opt, room);
    size_t max_rows = r && r->opt.max_rows ? r->opt.max_rows : BA_PASS_ROWS;
    uint8_t *have = calloc(plan->n_node, 1);
    ba_schedule *all = ba_schedule_new(plan, NULL, max_rows), *todo = NULL;
    int rc = r && have && all ? ba_engine_can(e, plan, r->opt.executor, err) : ba_fail(err, "out of memory");
    if (rc) {
        goto done;
    }
    ba_store_hold(e->store, true);
    e->net.profile = r->opt.profile;
    if (ba_run_look_up(r, all, have) || !(todo = ba_schedule_new(plan, have, max_rows))) {
        rc = ba_fail(err, "out of memory");
        goto done;
    }
    rc = compute(r, todo, have, err);
done:
    if (r) {
        r->stats.copy_s += ba_store_land(e->store);
    }
    ba_store_hold(e->store, false);
    ba_schedule_free(all);
    ba_schedule_free(todo);
    free(have);
    if (rc) {
        ba_run_free(r);
        return rc;
    }
    *out = r;
    return 0;
}
