#include "hash_set.h"

#include <stdlib.h>

/* 0 marks a free place, so the hash 0 is stored as another value. */
static uint64_t held(uint64_t hash) {
    return hash ? hash : 1;
}

static uint64_t *place(const ba_hash_set *s, uint64_t hash) {
    size_t i = hash & (s->room - 1);
    while (s->at[i] && s->at[i] != hash) {
        i = (i + 1) & (s->room - 1);
    }
    return &s->at[i];
}

bool ba_hash_set_has(const ba_hash_set *s, uint64_t hash) {
    return s->room && *place(s, held(hash));
}

int ba_hash_set_add(ba_hash_set *s, uint64_t hash) {
    if (2 * (s->n + 1) > s->room) {
        ba_hash_set larger = {.room = s->room ? 2 * s->room : 1024};
        larger.at = calloc(larger.room, sizeof *larger.at);
        if (!larger.at) {
            return -1;
        }
        for (size_t i = 0; i < s->room; i++) {
            if (s->at[i]) {
                *place(&larger, s->at[i]) = s->at[i];
            }
        }
        larger.n = s->n;
        free(s->at);
        *s = larger;
    }
    uint64_t *p = place(s, held(hash));
    s->n += !*p;
    *p = held(hash);
    return 0;
}

void ba_hash_set_free(ba_hash_set *s) {
    free(s->at);
    *s = (ba_hash_set){0};
}
