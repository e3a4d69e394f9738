/* Content addresses: hashes of all that a node's KV depends on, and of all that a plan's result depends on.
 *
 * Fields are hashed one by one as numbers of fixed width, never as structs, whose padding is undefined. Every list is
 * preceded by its length, so that two different plans never hash the same bytes. */
#include "plan.h"

#define XXH_STATIC_LINKING_ONLY /* the state's size, to have it on the stack */
#include <string.h>
#include <xxhash.h>

static void add_u64(XXH3_state_t *h, uint64_t x) {
    XXH3_128bits_update(h, &x, sizeof x);
}

static void add_f64(XXH3_state_t *h, double x) {
    uint64_t bits;
    x += 0.0; /* -0 and 0 are the same position */
    memcpy(&bits, &x, sizeof bits);
    add_u64(h, bits);
}

static void add_key(XXH3_state_t *h, ba_key key) {
    add_u64(h, key.lo);
    add_u64(h, key.hi);
}

static void begin(XXH3_state_t *h) {
    XXH3_INITSTATE(h);
    XXH3_128bits_reset(h);
}

static ba_key end(const XXH3_state_t *h) {
    XXH128_hash_t hash = XXH3_128bits_digest(h);
    return (ba_key){hash.low64, hash.high64};
}

static void add_edge(XXH3_state_t *h, const ba_node *v, const ba_edge *e) {
    add_u64(h, e->first);
    add_u64(h, e->n);
    add_f64(h, v->pos - e->at);
    add_f64(h, e->inv_temp);
    add_f64(h, e->bias);
    add_u64(h, (uint64_t)e->group);
    add_u64(h, e->selectable);
    add_u64(h, e->refresh);
    if (v->choice.on) {
        add_u64(h, e->quota < e->n ? e->quota : e->n);
    }
}

static void add_choice(XXH3_state_t *h, const ba_choice *c) {
    add_u64(h, c->on);
    if (c->on) {
        add_u64(h, c->count);
        add_u64(h, c->window);
        add_u64(h, c->layer);
        add_u64(h, c->score);
        add_u64(h, c->bottom_right);
        add_u64(h, c->bottom_right ? c->bottom_right_from : 0);
        add_u64(h, c->shift);
        add_u64(h, c->vote);
        add_u64(h, c->n_vote);
        add_u64(h, c->layers.kind);
        for (size_t i = 0; i < BA_MOST_LAYERS / 64; i++) {
            add_u64(h, c->layers.listed[i]);
        }
    }
}

/* known: keys of the nodes before this one. */
static ba_key key_of(const ba_plan *plan, size_t node, const ba_key *known) {
    const ba_node *v = &plan->node[node];
    XXH3_state_t h;
    begin(&h);
    add_u64(&h, v->n);
    XXH3_128bits_update(&h, v->ids, v->n * sizeof *v->ids);
    add_f64(&h, v->step);
    add_u64(&h, v->n_edge);
    for (size_t i = 0; i < v->n_edge; i++) {
        size_t seen = v->edge[i].seen;
        add_key(&h, known[seen]);
        add_edge(&h, v, &v->edge[i]);
    }
    add_u64(&h, v->n_group);
    for (size_t g = 0; g < v->n_group; g++) {
        add_f64(&h, v->lse_scale[g]);
    }
    add_u64(&h, v->select_k);
    add_u64(&h, v->select_k ? v->select_top : 0);
    add_u64(&h, v->select_k && v->select_shared);
    add_choice(&h, &v->choice);
    return end(&h);
}

void ba_plan_keys(const ba_plan *plan, ba_key *key) {
    for (size_t i = 0; i < plan->n_node; i++) {
        key[i] = key_of(plan, i, key);
    }
}

/* Flat: edges name the seen node by its index, so one walk over the nodes is enough. */
ba_key ba_plan_hash(const ba_plan *plan) {
    static const ba_key nothing[1];
    XXH3_state_t h;
    begin(&h);
    add_u64(&h, plan->n_node);
    for (size_t i = 0; i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        ba_node alone = *v;
        ba_plan only = {.node = &alone, .n_node = 1};
        alone.n_edge = 0;
        add_key(&h, key_of(&only, 0, nothing));
        add_u64(&h, v->path);
        add_u64(&h, v->n_edge);
        for (size_t e = 0; e < v->n_edge; e++) {
            add_u64(&h, v->edge[e].seen);
            add_edge(&h, v, &v->edge[e]);
        }
    }
    add_u64(&h, plan->n_path);
    add_u64(&h, plan->keep_paths);
    add_u64(&h, plan->keep_paths && plan->skip_first);
    return end(&h);
}
