/* The loop that all byte-pair encodings share: symbols side by side, the best pair of neighbours joined until no rule
 * joins any. O(n log n) in the symbols of one run. */
#ifndef BA_MERGE_H
#define BA_MERGE_H

#include "sim/base/agenda.h"

typedef struct ba_symbol {
    size_t at, n; /* bytes text[at .. at + n); n = 0 once it is part of its left neighbour */
    int32_t id;   /* token, or -1 */
    size_t prev, next;
} ba_symbol;

/* What left and right become (id) and how early (order, least first); false if nothing. */
typedef bool (*ba_join)(const void *rules, const char *text, const ba_symbol *left, const ba_symbol *right,
                        ba_candidate *out);

typedef struct ba_merger {
    ba_symbol *sym; /* [n] */
    size_t n, cap;
    ba_agenda agenda;
} ba_merger;

/* Appends a symbol. 0, or -1: out of memory. */
int ba_merger_add(ba_merger *m, size_t at, size_t n, int32_t id);
/* Joins all that the rules join; symbols with n > 0 remain, in their order. 0, or -1: out of memory. */
int ba_merger_run(ba_merger *m, ba_join join, const void *rules, const char *text);
void ba_merger_clear(ba_merger *m); /* keeps the memory for the next run */
void ba_merger_free(ba_merger *m);

#endif
