/* From a text to its id: a hash table over texts that somebody else owns. */
#ifndef BA_SPAN_TABLE_H
#define BA_SPAN_TABLE_H

#include "sim/base/span.h"

#include <stdint.h>

typedef struct ba_span_table {
    const ba_span *text; /* [n], borrowed; an id is an index */
    int32_t *slot;       /* [mask + 1], -1 = free */
    size_t mask;
    size_t *steps; /* grows by one for each slot that is looked at, so that a test can count work; or NULL */
} ba_span_table;

/* An empty table for ids below n. 0, or -1: out of memory. */
int ba_span_table_init(ba_span_table *t, const ba_span *text, size_t n);
void ba_span_table_free(ba_span_table *t);
/* Enters an id under its text. Returns the id that the text already has (nothing is changed), or -1. */
int32_t ba_span_table_add(ba_span_table *t, int32_t id);
/* -1: not there. */
int32_t ba_span_table_find(const ba_span_table *t, const char *s, size_t n);

#endif
