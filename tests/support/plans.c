#include "plans.h"

#include "sim/base/random.h"

#include <stdlib.h>
#include <string.h>

ba_prompt *ba_prompt_of(const char *text) {
    static const char letters[] = "spdlqt"; /* in the order of ba_role */
    ba_prompt *p = ba_prompt_new(NULL);
    int32_t ids[4096], next = 100;
    p->bos = 1;
    p->newline = 2;
    for (const char *s = text; *s; s += strspn(s, " ")) {
        char *end;
        ba_role role = (ba_role)(strchr(letters, *s) - letters);
        size_t n = strtoul(s + 1, &end, 10);
        int32_t base = next;
        if (*end == '=') {
            base = 10000 * (end[1] - 'a' + 1);
            end += 2;
        } else {
            next += (int32_t)n;
        }
        for (size_t i = 0; i < n; i++) {
            ids[i] = base + (int32_t)i;
        }
        ba_prompt_add(p, role, ids, n);
        s = end;
    }
    return p;
}

static void random_edge(ba_plan *plan, size_t viewer, size_t seen, uint64_t *rng) {
    ba_edge *e = ba_plan_add_edge(plan, viewer, seen, 0.5 * (double)ba_random_below(rng, 40) - 5);
    size_t n = e->n;
    e->first = ba_random_below(rng, 3) ? 0 : ba_random_below(rng, n);
    e->n = ba_random_below(rng, 3) ? n - e->first : 1 + ba_random_below(rng, n - e->first);
    e->inv_temp = ba_random_below(rng, 4) ? 1 : 1.25;
    e->bias = ba_random_below(rng, 4) ? 0 : -0.5;
    e->selectable = ba_random_below(rng, 2);
    e->refresh = ba_random_below(rng, 4) ? 0 : ba_random_below(rng, e->n + 1);
}

static void random_choice(ba_plan *plan, uint64_t *rng) {
    ba_node *v = &plan->node[plan->n_node - 1];
    for (size_t e = 0; e < v->n_edge; e++) {
        v->edge[e].refresh = 0;
    }
    size_t keys = 0;
    for (size_t e = 0; e < v->n_edge; e++) {
        size_t some = ba_random_below(rng, v->edge[e].n + 1);
        v->edge[e].quota = ba_random_below(rng, 3) ? SIZE_MAX : some;
        keys += v->edge[e].n;
    }
    v->choice = (ba_choice){.on = true,
                            .score = (ba_score)ba_random_below(rng, BA_SCORE_MEAN_QUERY + 1),
                            .count = ba_random_below(rng, keys + 1),
                            .window = 1 + (ba_random_below(rng, 3) ? 0 : ba_random_below(rng, 3))};
    if (ba_choice_by_attention(&v->choice)) {
        v->choice.vote = ba_random_below(rng, v->n);
        v->choice.n_vote = 1 + ba_random_below(rng, v->n - v->choice.vote);
        v->choice.layers.kind = (ba_layer_kind)ba_random_below(rng, BA_LAYERS_LISTED + 1);
        v->choice.layers.listed[0] = 1 + ba_random_below(rng, 15); /* of four layers */
        return;
    }
    v->choice.layer = 1;
    v->choice.shift = v->choice.score == BA_SCORE_K_AND_V && ba_random_below(rng, 2);
    v->choice.bottom_right = ba_random_below(rng, 2);
    v->choice.bottom_right_from = 1 + ba_random_below(rng, 2);
}

ba_plan *ba_random_plan(uint64_t seed) {
    uint64_t rng = seed;
    ba_plan *plan = ba_plan_new("random");
    size_t nodes = 1 + ba_random_below(&rng, 2 + seed / 8 < 12 ? 2 + seed / 8 : 12);
    for (size_t i = 0; i < nodes; i++) {
        int32_t ids[8];
        size_t n = 1 + ba_random_below(&rng, 8);
        for (size_t j = 0; j < n; j++) {
            ids[j] = 1 + (int32_t)ba_random_below(&rng, n < 3 ? 1 : 9); /* short nodes repeat */
        }
        size_t v = ba_plan_add_node(plan, ids, n, 0, 1);
        plan->node[v].pos = 0.5 * (double)ba_random_below(&rng, 40);
        plan->node[v].step = ba_random_below(&rng, 4) ? 1 : 0.5 + (double)ba_random_below(&rng, 3);
        plan->node[v].stored = i + 1 < nodes && ba_random_below(&rng, 3);
        for (size_t j = 0; j < i; j++) {
            if (ba_random_below(&rng, 3) == 0 || i + 1 == nodes) {
                random_edge(plan, v, j, &rng);
            }
        }
        plan->n_tokens += n;
    }
    if (nodes > 1 && ba_random_below(&rng, 3) == 0) {
        random_choice(plan, &rng);
    }
    return plan;
}

bool ba_sees(const ba_plan *plan, size_t viewer, size_t from, size_t row, size_t to, size_t key, size_t window) {
    const ba_node *v = &plan->node[viewer];
    bool own_row = from == v->n_edge, own_key = to == v->n_edge;
    const ba_edge *shown = own_key ? NULL : &v->edge[to];
    bool there = own_key ? key < v->n : key >= shown->first && key < shown->first + shown->n;
    bool past = to < from || (to == from && key <= row);
    double row_place =
        own_row ? v->pos + (double)row * v->step : v->edge[from].at + (double)row * plan->node[v->edge[from].seen].step;
    double key_place =
        own_key ? v->pos + (double)key * v->step : shown->at + (double)key * plan->node[shown->seen].step;
    return there && past && (!window || row_place - key_place < (double)window);
}

ba_key ba_key_of(const ba_plan *plan, size_t node) {
    ba_key *all = calloc(plan->n_node, sizeof *all), key = {0};
    if (all) {
        ba_plan_keys(plan, all);
        key = all[node];
    }
    free(all);
    return key;
}
