#include "pair_rules.h"

#include <stdlib.h>

int ba_pair_rules_init(ba_pair_rules *r, size_t n) {
    size_t slots = 16;
    while (slots / 2 < n) {
        slots *= 2;
    }
    r->mask = slots - 1;
    r->slot = malloc(slots * sizeof *r->slot);
    for (size_t i = 0; r->slot && i < slots; i++) {
        r->slot[i].left = -1;
    }
    return r->slot ? 0 : -1;
}

void ba_pair_rules_free(ba_pair_rules *r) {
    free(r->slot);
    *r = (ba_pair_rules){0};
}

ba_rule *ba_pair_rules_find(const ba_pair_rules *r, int32_t left, int32_t right) {
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    key *= UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing: the high half is well mixed */
    size_t i = (size_t)(key >> 32) & r->mask;
    while (r->slot[i].left >= 0 && (r->slot[i].left != left || r->slot[i].right != right)) {
        i = (i + 1) & r->mask;
    }
    return &r->slot[i];
}
