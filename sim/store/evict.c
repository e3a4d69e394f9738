#include "evict.h"

#include "sim/base/grow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double least_recently_used(const ba_use *use, double age) {
    (void)age;
    return (double)use->last;
}

static double least_frequently_used(const ba_use *use, double age) {
    return age + (double)use->uses;
}

static double cheapest_to_encode(const ba_use *use, double age) {
    return age + (double)use->uses * use->seconds / (double)(use->bytes ? use->bytes : 1);
}

static const ba_policy policies[] = {
    {"lru", "the least recently used block goes first", least_recently_used},
    {"lfu", "the least often used block goes first; old uses count less and less", least_frequently_used},
    {"cost", "the block with the fewest seconds of encoding saved per byte goes first", cheapest_to_encode},
};

const ba_policy *ba_policy_at(size_t i) {
    return i < sizeof policies / sizeof *policies ? &policies[i] : NULL;
}

const ba_policy *ba_policy_find(const char *name) {
    const ba_policy *p;
    for (size_t i = 0; (p = ba_policy_at(i)) && strcmp(p->name, name) != 0; i++) {
    }
    return p;
}

void ba_use_pin(ba_use *use, bool on, const ba_policy *policy, double age) {
    use->worth = on ? INFINITY : policy->worth(use, age);
}

bool ba_use_pinned(const ba_use *use) {
    return isinf(use->worth);
}

void ba_use_touch(ba_use *use, const ba_policy *policy, uint64_t tick, double age) {
    use->last = tick;
    use->uses++;
    use->worth = ba_use_pinned(use) ? use->worth : policy->worth(use, age);
}

bool ba_use_before(const ba_use *a, const ba_use *b) {
    return a->worth < b->worth || (a->worth == b->worth && a->last < b->last);
}

static bool before(const ba_victim *a, const ba_victim *b) {
    return a->worth < b->worth || (a->worth == b->worth && a->last < b->last);
}

int ba_victims_reserve(ba_victims *v, size_t n) {
    return ba_grow(&v->at, &v->room, n, sizeof *v->at);
}

static void sink(ba_victims *v, ba_victim x) {
    size_t slot = 0;
    for (size_t child; (child = 2 * slot + 1) < v->n; slot = child) {
        child += child + 1 < v->n && before(&v->at[child + 1], &v->at[child]);
        if (!before(&v->at[child], &x)) {
            break;
        }
        v->at[slot] = v->at[child];
    }
    v->at[slot] = x;
}

void ba_victims_add(ba_victims *v, ba_use *use) {
    use->away = false;
    if (use->queued) {
        return;
    }
    const ba_victim x = {use->worth, use->last, use};
    size_t slot = v->n++;
    for (size_t parent; slot && before(&x, &v->at[parent = (slot - 1) / 2]); slot = parent) {
        v->at[slot] = v->at[parent];
    }
    v->at[slot] = x;
    use->queued = true;
}

void ba_victims_remove(ba_use *use) {
    use->away = true;
}

ba_use *ba_victims_first(ba_victims *v) {
    while (v->n) {
        const ba_victim top = v->at[0];
        ba_use *use = top.use;
        if (use->away) {
            use->queued = false;
            if (--v->n) {
                sink(v, v->at[v->n]);
            }
        } else if (top.worth != use->worth || top.last != use->last) {
            sink(v, (ba_victim){use->worth, use->last, use});
        } else {
            return ba_use_pinned(use) ? NULL : use;
        }
    }
    return NULL;
}

void ba_victims_clear(ba_victims *v) {
    for (size_t i = 0; i < v->n; i++) {
        v->at[i].use->queued = false;
    }
    v->n = 0;
}

void ba_victims_free(ba_victims *v) {
    free(v->at);
    *v = (ba_victims){0};
}
