#include "span_table.h"

#include <stdlib.h>
#include <xxhash.h>

int ba_span_table_init(ba_span_table *t, const ba_span *text, size_t n) {
    size_t slots = 16;
    while (slots / 2 < n) {
        slots *= 2;
    }
    *t = (ba_span_table){.text = text, .mask = slots - 1, .slot = malloc(slots * sizeof *t->slot)};
    if (!t->slot) {
        return -1;
    }
    memset(t->slot, 0xff, slots * sizeof *t->slot);
    return 0;
}

void ba_span_table_free(ba_span_table *t) {
    free(t->slot);
    *t = (ba_span_table){0};
}

static size_t find_slot(const ba_span_table *t, const char *s, size_t n) {
    size_t i = XXH3_64bits(s, n) & t->mask;
    while (t->slot[i] >= 0) {
        if (t->steps) {
            ++*t->steps;
        }
        const ba_span have = t->text[t->slot[i]];
        if (have.n == n && memcmp(have.s, s, n) == 0) {
            break;
        }
        i = (i + 1) & t->mask;
    }
    return i;
}

int32_t ba_span_table_add(ba_span_table *t, int32_t id) {
    int32_t *slot = &t->slot[find_slot(t, t->text[id].s, t->text[id].n)];
    if (*slot >= 0) {
        return *slot;
    }
    *slot = id;
    return -1;
}

int32_t ba_span_table_find(const ba_span_table *t, const char *s, size_t n) {
    return t->slot[find_slot(t, s, n)];
}
