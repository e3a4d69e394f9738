/* What to merge next: a priority queue, least order first, then the leftmost. */
#ifndef BA_AGENDA_H
#define BA_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_candidate {
    double order;
    size_t at;  /* index of the left neighbour */
    size_t n;   /* length of both together, which tells whether the entry is still true when it comes up */
    int32_t id; /* what they become */
} ba_candidate;

typedef struct ba_agenda {
    ba_candidate *item; /* [n] binary heap, owned: free() */
    size_t n, cap;
} ba_agenda;

/* 0, or -1: out of memory. */
int ba_agenda_push(ba_agenda *a, ba_candidate c);
bool ba_agenda_pop(ba_agenda *a, ba_candidate *out);

#endif
