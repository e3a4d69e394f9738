/* The merges of a byte-pair encoding: pairs of token ids, what each becomes, and how early. */
#ifndef BA_PAIR_RULES_H
#define BA_PAIR_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_rule {
    int32_t left, right, joined; /* left = -1: free slot */
    uint32_t rank;
} ba_rule;

typedef struct ba_pair_rules {
    ba_rule *slot; /* [mask + 1] hash table by (left, right) */
    size_t mask;
} ba_pair_rules;

/* Room for n rules. 0, or -1: out of memory. */
int ba_pair_rules_init(ba_pair_rules *r, size_t n);
void ba_pair_rules_free(ba_pair_rules *r);
/* The rule of a pair, or the free slot where it belongs (left = -1). */
ba_rule *ba_pair_rules_find(const ba_pair_rules *r, int32_t left, int32_t right);

#endif
