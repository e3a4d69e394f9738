/* Which block is evicted first when a tier is full: policies as pure functions of how a block was used, and a heap of
 * candidates. Knows no store and no clock, and only the number of a block's bytes, so a simulation evicts exactly what a
 * real tier does.
 *
 * A block's worth is computed at each use and does not change between uses. The block of least worth is evicted first, of
 * equals the one used least recently. `age` is the worth of the block evicted last: policies that count uses add it, so
 * that a block which was popular long ago does not stay for ever (L. Cherkasova, "Improving WWW proxies performance
 * with Greedy-Dual-Size-Frequency caching policy", HP Labs 1998). */
#ifndef BA_EVICT_H
#define BA_EVICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_use {
    uint64_t last;     /* tick of the last use; ticks count uses in the tier */
    uint64_t uses;     /* insertion is the first */
    uint64_t bytes;    /* in the tier */
    double seconds;    /* to encode the block again */
    double worth;      /* at its last use; infinite: pinned by the user, never goes */
    bool queued, away; /* the heap's own: has a place in it; was removed */
} ba_use;

/* One row a policy. */
typedef struct ba_policy {
    const char *name; /* as in --store ram:2G:NAME */
    const char *summary;
    double (*worth)(const ba_use *use, double age);
} ba_policy;

/* NULL past the last. The first is the default. */
const ba_policy *ba_policy_at(size_t i);
/* NULL: there is none of this name. */
const ba_policy *ba_policy_find(const char *name);

/* Pins a block, or lets it go as if it had just been used. */
void ba_use_pin(ba_use *use, bool on, const ba_policy *policy, double age);
bool ba_use_pinned(const ba_use *use);
/* Counts a use at this tick. */
void ba_use_touch(ba_use *use, const ba_policy *policy, uint64_t tick, double age);
/* Whether a goes before b. */
bool ba_use_before(const ba_use *a, const ba_use *b);

/* A heap of blocks that may go; it borrows them. Zeroed is empty.
 *
 * It is lazy: a place holds the worth that its block had when it was put there, and is looked after only when it comes
 * first. So a use costs nothing, a large heap is a walk through its own array alone, and a block's worth must never
 * sink while it has a place, which a removed one keeps until then. */
typedef struct ba_victim {
    double worth;
    uint64_t last;
    ba_use *use;
} ba_victim;

typedef struct ba_victims {
    ba_victim *at; /* [room] */
    size_t n, room;
} ba_victims;

/* Room for n blocks, so that adding cannot fail. 0, or -1: out of memory. */
int ba_victims_reserve(ba_victims *v, size_t n);
void ba_victims_add(ba_victims *v, ba_use *use);
void ba_victims_remove(ba_use *use);
/* The one that goes first, still in the heap; NULL: none, or all are pinned. */
ba_use *ba_victims_first(ba_victims *v);
/* Forgets all blocks, removed ones too. */
void ba_victims_clear(ba_victims *v);
void ba_victims_free(ba_victims *v);

#endif
