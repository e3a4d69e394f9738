/* A set of 64-bit hashes. */
#ifndef BA_HASH_SET_H
#define BA_HASH_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed is empty. */
typedef struct ba_hash_set {
    uint64_t *at; /* [room] a power of two, open addressing; 0 is a free place */
    size_t room, n;
} ba_hash_set;

bool ba_hash_set_has(const ba_hash_set *s, uint64_t hash);
/* 0, or -1: out of memory. */
int ba_hash_set_add(ba_hash_set *s, uint64_t hash);
void ba_hash_set_free(ba_hash_set *s);

#endif
