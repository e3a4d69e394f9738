#include "schedule.h"

#include <stdlib.h>
#include <string.h>

typedef struct keyed {
    ba_key key;
    size_t node;
} keyed;

static int by_key(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    if (x->key.hi != y->key.hi) {
        return x->key.hi < y->key.hi ? -1 : 1;
    }
    if (x->key.lo != y->key.lo) {
        return x->key.lo < y->key.lo ? -1 : 1;
    }
    return x->node < y->node ? -1 : x->node > y->node;
}

/* same[i] = the first node with node i's key. */
static int find_twins(const ba_plan *plan, size_t *same) {
    size_t n = plan->n_node;
    ba_key *key = calloc(n, sizeof *key);
    keyed *list = calloc(n, sizeof *list);
    int rc = key && list ? 0 : -1;
    if (rc) {
        goto done;
    }
    ba_plan_keys(plan, key);
    for (size_t i = 0; i < n; i++) {
        list[i] = (keyed){key[i], i};
    }
    qsort(list, n, sizeof *list, by_key);
    for (size_t i = 0; i < n; i++) {
        bool twin = i && list[i].key.hi == list[i - 1].key.hi && list[i].key.lo == list[i - 1].key.lo;
        same[list[i].node] = twin ? same[list[i - 1].node] : list[i].node;
    }
    same[n - 1] = n - 1;
done:
    free(key);
    free(list);
    return rc;
}

enum { NEEDED = 1, COMPUTED = 2 };

/* What has to be computed, from the last node back to the first. Paths that are scored are needed even if no edge shows
 * them. */
static void find_needs(const ba_plan *plan, const uint8_t *have, const size_t *same, uint8_t *state) {
    for (size_t i = plan->n_node; i-- > 0;) {
        const ba_node *v = &plan->node[i];
        bool last = i + 1 == plan->n_node;
        if (last || (plan->keep_paths && v->path)) {
            state[i] |= NEEDED;
        }
        if (!(state[i] & NEEDED)) {
            continue;
        }
        if (same[i] != i) {
            state[same[i]] |= NEEDED;
        } else if (last || !have || !have[i]) {
            state[i] |= COMPUTED;
            for (size_t e = 0; e < v->n_edge; e++) {
                state[v->edge[e].seen] |= NEEDED;
            }
        }
    }
}

/* Length of the longest chain of computed nodes that each computed node sees. */
static void find_depths(const ba_plan *plan, const size_t *same, const uint8_t *state, size_t *depth) {
    for (size_t i = 0; i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        depth[i] = 0;
        for (size_t e = 0; (state[i] & COMPUTED) && e < v->n_edge; e++) {
            size_t seen = same[v->edge[e].seen];
            if ((state[seen] & COMPUTED) && depth[seen] >= depth[i]) {
                depth[i] = depth[seen] + 1;
            }
        }
    }
}

typedef struct turn {
    size_t depth, node;
    bool online;
} turn;

static int by_turn(const void *a, const void *b) {
    const turn *x = a, *y = b;
    if (x->depth != y->depth) {
        return x->depth < y->depth ? -1 : 1;
    }
    if (x->online != y->online) {
        return x->online ? 1 : -1;
    }
    return x->node < y->node ? -1 : x->node > y->node;
}

/* Appends a work item, to the current pass or a new one. */
static int add_work(ba_schedule *s, size_t *room, ba_work w, bool new_pass, bool online) {
    if (s->n_work == *room) {
        size_t more = *room ? 2 * *room : 16;
        ba_work *work = realloc(s->work, more * sizeof *work);
        ba_pass *pass = work ? realloc(s->pass, more * sizeof *pass) : NULL; /* never more passes than work */
        s->work = work ? work : s->work;
        s->pass = pass ? pass : s->pass;
        if (!work || !pass) {
            return -1;
        }
        *room = more;
    }
    if (new_pass) {
        s->pass[s->n_pass++] = (ba_pass){.work0 = s->n_work, .online = online};
    }
    s->work[s->n_work++] = w;
    ba_pass *p = &s->pass[s->n_pass - 1];
    p->n_work++;
    p->rows += w.rows + w.refreshed;
    s->n_computed += w.rows + w.refreshed;
    return 0;
}

/* Cuts the rows of the turns, in order, into passes. */
static int fill_passes(const ba_plan *plan, const turn *order, size_t n, size_t max_rows, ba_schedule *s) {
    size_t room = 0, left = 0; /* left: rows that still fit into the current pass */
    for (size_t t = 0; t < n; t++) {
        size_t node = order[t].node;
        const ba_node *v = &plan->node[node];
        size_t refreshed = ba_node_refreshed(v);
        bool ask = v->choice.on && ba_choice_by_attention(&v->choice);
        bool whole = refreshed || v->select_shared || ask; /* its rows are chosen for, or choose, together */
        bool same_kind = t && order[t - 1].depth == order[t].depth && order[t - 1].online == order[t].online;
        left = same_kind && !whole ? left : 0;
        ba_work probe = {.node = node, .rows = v->n, .probe = true};
        if (ask && add_work(s, &room, probe, true, order[t].online)) {
            return -1;
        }
        for (size_t row = 0, rows; row < v->n; row += rows) {
            bool new_pass = left == 0;
            left = new_pass ? max_rows : left;
            rows = whole ? v->n : v->n - row < left ? v->n - row : left;
            left = whole ? 0 : left - rows;
            if (add_work(s, &room, (ba_work){node, row, rows, refreshed, false}, new_pass, order[t].online)) {
                return -1;
            }
        }
    }
    return 0;
}

/* Computed nodes in the order of their passes; returns how many. Counts what is reused. */
static size_t order_nodes(const ba_plan *plan, const uint8_t *state, const size_t *depth, turn *order, size_t *reused) {
    size_t n = 0;
    for (size_t i = 0; i < plan->n_node; i++) {
        if (state[i] & COMPUTED) {
            order[n++] = (turn){depth[i], i, !plan->node[i].stored};
        } else if (state[i] & NEEDED) {
            *reused += plan->node[i].n;
        }
    }
    qsort(order, n, sizeof *order, by_turn);
    return n;
}

ba_schedule *ba_schedule_new(const ba_plan *plan, const uint8_t *have, size_t max_rows) {
    size_t n = plan->n_node;
    ba_schedule *s = calloc(1, sizeof *s);
    uint8_t *state = calloc(n, 1);
    size_t *depth = calloc(n, sizeof *depth);
    turn *order = calloc(n, sizeof *order);
    int rc = -1;
    if (!s || !state || !depth || !order || !(s->same = calloc(n, sizeof *s->same)) || find_twins(plan, s->same)) {
        goto done;
    }
    find_needs(plan, have, s->same, state);
    find_depths(plan, s->same, state, depth);
    rc = fill_passes(plan, order, order_nodes(plan, state, depth, order, &s->n_reused), max_rows, s);
done:
    free(state);
    free(depth);
    free(order);
    if (rc) {
        ba_schedule_free(s);
        return NULL;
    }
    return s;
}

void ba_schedule_free(ba_schedule *s) {
    if (s) {
        free(s->work);
        free(s->pass);
        free(s->same);
        free(s);
    }
}
