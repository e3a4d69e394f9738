#include "evict.h"

#include "grow.h"

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

int ba_victims_reserve(ba_victims *v, size_t n) {
    return ba_grow(&v->at, &v->room, n, sizeof *v->at);
}

static void place(ba_victims *v, size_t slot, ba_use *use) {
    v->at[slot] = use;
    use->slot = slot;
}

static void rise(ba_victims *v, size_t slot, ba_use *use) {
    for (size_t parent; slot && ba_use_before(use, v->at[parent = (slot - 1) / 2]); slot = parent) {
        place(v, slot, v->at[parent]);
    }
    place(v, slot, use);
}

static void sink(ba_victims *v, size_t slot, ba_use *use) {
    for (size_t child; (child = 2 * slot + 1) < v->n; slot = child) {
        /* A large heap is a walk through memory that is not cached: the next level is fetched during this one. */
        for (size_t next = 2 * child + 1; next < 2 * child + 5 && next < v->n; next++) {
            __builtin_prefetch(v->at[next]);
        }
        child += child + 1 < v->n && ba_use_before(v->at[child + 1], v->at[child]);
        if (!ba_use_before(v->at[child], use)) {
            break;
        }
        place(v, slot, v->at[child]);
    }
    place(v, slot, use);
}

void ba_victims_add(ba_victims *v, ba_use *use) {
    rise(v, v->n++, use);
}

void ba_victims_remove(ba_victims *v, ba_use *use) {
    ba_use *last = v->at[--v->n];
    if (last != use) {
        size_t slot = use->slot;
        sink(v, slot, last);
        rise(v, last->slot, last);
    }
}

ba_use *ba_victims_first(const ba_victims *v) {
    return v->n && !ba_use_pinned(v->at[0]) ? v->at[0] : NULL;
}

void ba_victims_free(ba_victims *v) {
    free(v->at);
    *v = (ba_victims){0};
}
