/* A growing list of token ids. */
#ifndef BA_IDS_H
#define BA_IDS_H

#include "grow.h"
#include <stdint.h>

typedef struct ba_ids {
    int32_t *id; /* [n], owned by the holder: free() */
    size_t n, cap;
} ba_ids;

/* 0, or -1: out of memory. */
static inline int ba_ids_push(ba_ids *list, int32_t id) {
    if (ba_grow(&list->id, &list->cap, list->n + 1, sizeof *list->id)) {
        return -1;
    }
    list->id[list->n++] = id;
    return 0;
}

#endif
