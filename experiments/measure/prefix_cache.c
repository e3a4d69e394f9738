#include "prefix_cache.h"

#include "hash_set.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { STEP = 16 };

size_t ba_common_prefix(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b) {
    size_t n = 0;
    while (n < n_a && n < n_b && a[n] == b[n]) {
        n++;
    }
    return n;
}

int32_t *ba_prompt_ids(const ba_prompt *prompt, size_t *n) {
    *n = ba_prompt_tokens(prompt);
    int32_t *ids = malloc((*n + 1) * sizeof *ids);
    for (size_t i = 0, at = 0; ids && i < prompt->n_seg; at += prompt->seg[i++].n) {
        memcpy(ids + at, prompt->seg[i].ids, prompt->seg[i].n * sizeof *ids);
    }
    return ids;
}

ba_plan *ba_prefix_plan(const int32_t *ids, size_t n, size_t common) {
    ba_plan *plan = ba_plan_new("prefix caching");
    size_t first = SIZE_MAX, last = SIZE_MAX;
    if (plan && common) {
        first = ba_plan_add_node(plan, ids, common, 0, 1);
    }
    if (plan && (!common || first != SIZE_MAX)) {
        last = ba_plan_add_node(plan, ids + common, n - common, 0, 1);
    }
    if (last == SIZE_MAX || (common && !ba_plan_add_edge(plan, last, first, 0))) {
        ba_plan_free(plan);
        return NULL;
    }
    if (common) {
        plan->node[first].stored = true;
        plan->node[last].pos = (double)common;
    }
    plan->n_tokens = n;
    return plan;
}

struct ba_prefixes {
    ba_hash_set seen;
};

ba_prefixes *ba_prefixes_new(void) {
    return calloc(1, sizeof(ba_prefixes));
}

void ba_prefixes_free(ba_prefixes *p) {
    if (p) {
        ba_hash_set_free(&p->seen);
        free(p);
    }
}

size_t ba_prefixes_take(ba_prefixes *p, const int32_t *ids, size_t n) {
    uint64_t hash = 0;
    size_t common = 0;
    bool there = true;
    for (size_t at = 0; at + STEP <= n; at += STEP) {
        hash = XXH3_64bits_withSeed(ids + at, STEP * sizeof *ids, hash);
        there = there && at + STEP < n && ba_hash_set_has(&p->seen, hash);
        common += there ? STEP : 0;
        if (ba_hash_set_add(&p->seen, hash)) {
            return SIZE_MAX;
        }
    }
    return common;
}
