/* Writing behind: a thread that brings blocks to one tier while nobody waits for a first token. Blocks are borrowed
 * until they come back; what the queue has no room for is not written, and counted. */
#ifndef BA_BEHIND_H
#define BA_BEHIND_H

#include "tier.h"

typedef struct ba_behind ba_behind;

typedef struct ba_behind_stats {
    uint64_t blocks, bytes; /* handed to the tier */
    uint64_t refused;       /* blocks that found the queue full */
    double seconds;         /* spent in the tier */
} ba_behind_stats;

/* limit: bytes that may wait. The tier must outlive it. NULL: no memory, or no thread. */
ba_behind *ba_behind_new(ba_tier *tier, uint64_t limit);
/* Writes what is waiting, and ends the thread. */
void ba_behind_free(ba_behind *b);

/* A block to be kept; its memory is borrowed until `token` comes back from ba_behind_done. false: not taken. */
bool ba_behind_put(ba_behind *b, const ba_parcel *block, void *token);
/* A use to be counted, a block to be removed; lost if there is no memory. */
void ba_behind_touch(ba_behind *b, const ba_address *address);
void ba_behind_remove(ba_behind *b, const ba_address *address);
/* The token of a block that is done with, in the order they were put; NULL: none. */
void *ba_behind_done(ba_behind *b);

/* While somebody waits for a first token the thread begins nothing new; the end of that is the end of prefill, and what
 * is left of the first token is known to be short. */
void ba_behind_hold(ba_behind *b, bool on);
/* Returns when everything is written. */
void ba_behind_flush(ba_behind *b);
ba_behind_stats ba_behind_get_stats(ba_behind *b);

#endif
