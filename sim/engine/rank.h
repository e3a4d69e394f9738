/* Things ordered by a value: what a node chooses, and which paths it keeps. */
#ifndef BA_RANK_H
#define BA_RANK_H

#include <stddef.h>

typedef struct ba_ranked {
    double value;
    size_t index;
} ba_ranked;

/* For qsort: highest value first, ties to the lower index. */
static inline int ba_ranked_first(const void *a, const void *b) {
    const ba_ranked *x = a, *y = b;
    if (x->value != y->value) {
        return x->value > y->value ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

#endif
