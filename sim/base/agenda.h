/* A priority queue of token pairs to merge: least order first, ties to the leftmost. */
#ifndef BA_AGENDA_H
#define BA_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_candidate {
    double order;
    size_t at;  /* index of the left token */
    size_t n;   /* length of both; if it has changed when the entry is popped, the entry is out of date */
    int32_t id; /* the token that they become */
} ba_candidate;

typedef struct ba_agenda {
    ba_candidate *item; /* [n] binary heap, owned: free() */
    size_t n, cap;
} ba_agenda;

/* 0, or -1: out of memory. */
int ba_agenda_push(ba_agenda *a, ba_candidate c);
/* false: empty. */
bool ba_agenda_pop(ba_agenda *a, ba_candidate *out);

#endif
