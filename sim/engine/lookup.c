/* What the store has of a plan's nodes, and what it is given. */
#include "run.h"

#include "kernels/base/clock.h"

#include <stdlib.h>
#include <string.h>

/* Keys under which nodes are stored. A context whose path is scored keeps more than its KV, so it is another entry. */
static void set_keys(ba_run *r) {
    ba_plan_keys(r->plan, r->key);
    for (size_t i = 0; i < r->plan->n_node; i++) {
        if (ba_run_scored(r->plan, i)) {
            r->key[i].hi ^= 0x73636f7265646bu;
        }
    }
}

static bool is_looked_up(const ba_run *r, const ba_schedule *s, size_t node) {
    return r->plan->node[node].stored && s->same[node] == node;
}

/* What is looked up for a node; a scored context also has its sum of log P and its last row (ba_run_score). */
static ba_wanted wanted_of(const ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    const size_t n_aux = ba_run_scored(r->plan, node) ? r->e->net.shape->d_model + 1 : 0;
    return (ba_wanted){r->key[node], v->ids, v->n, n_aux};
}

/* Announces all look-ups to the store, so that tiers can fetch together. */
static int expect_all(ba_run *r, const ba_schedule *s) {
    const ba_plan *plan = r->plan;
    ba_wanted *wanted = malloc(plan->n_node * sizeof *wanted);
    size_t n = 0;
    if (!wanted) {
        return -1;
    }
    for (size_t i = 0; i < plan->n_node; i++) {
        if (is_looked_up(r, s, i)) {
            wanted[n++] = wanted_of(r, i);
        }
    }
    double start = ba_now();
    ba_store_expect(r->e->store, &r->e->origin, wanted, n);
    r->stats.stage[BA_STAGE_LOAD] += ba_now() - start;
    free(wanted);
    return 0;
}

/* The run's own copy of the numbers kept with an entry: a score goes on in it. */
static int copy_aux(ba_held *h) {
    size_t n;
    const double *aux = ba_entry_aux(h->entry, &n);
    if (!n) {
        return 0;
    }
    if (!(h->aux = malloc(n * sizeof *h->aux))) {
        return -1;
    }
    memcpy(h->aux, aux, n * sizeof *aux);
    return 0;
}

static int find(ba_run *r, size_t node, uint8_t *have) {
    const ba_node *v = &r->plan->node[node];
    ba_held *h = &r->held[node];
    ba_finding found;
    const ba_wanted wanted = wanted_of(r, node);
    h->entry = ba_store_find(r->e->store, &r->e->origin, &wanted, &found);
    r->lookup[r->stats.n_lookup++] = (ba_lookup_record){node, v->n, found};
    r->stats.stage[BA_STAGE_LOAD] += found.load_s;
    r->stats.load_bytes += found.load_bytes;
    if (!h->entry) {
        return 0;
    }
    have[node] = 1;
    h->kv = ba_entry_kv(h->entry);
    return copy_aux(h);
}

int ba_run_look_up(ba_run *r, const ba_schedule *s, uint8_t *have) {
    double start = ba_now();
    set_keys(r);
    if (ba_store_tiers(r->e->store) && expect_all(r, s)) {
        return -1;
    }
    for (size_t i = 0; i < r->plan->n_node; i++) {
        if (is_looked_up(r, s, i) && find(r, i, have)) {
            return -1;
        }
    }
    r->stats.stage[BA_STAGE_LOOKUP] = ba_now() - start - r->stats.stage[BA_STAGE_LOAD];
    return 0;
}

int ba_run_keep(ba_run *r, size_t node, double seconds) {
    const ba_node *v = &r->plan->node[node];
    ba_held *h = &r->held[node];
    ba_kv *kv = h->own;
    h->own = NULL; /* the store's from here on, also if it fails */
    h->entry = ba_store_add(r->e->store, &r->e->origin, r->key[node], v->ids, v->n, kv, ba_run_kv_bytes(r, v->n),
                            h->aux, h->aux ? r->e->net.shape->d_model + 1 : 0, seconds);
    h->kv = h->entry ? ba_entry_kv(h->entry) : NULL;
    return h->entry ? 0 : -1;
}
