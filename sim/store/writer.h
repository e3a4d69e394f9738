/* A thread that writes blocks to one tier while no caller is waiting for its first token. Blocks are borrowed until they
 * come back; a block for which the queue has no room is not written, and counted. */
#ifndef BA_WRITER_H
#define BA_WRITER_H

#include "tier.h"

typedef struct ba_writer ba_writer;

typedef struct ba_writer_stats {
    uint64_t blocks, bytes; /* handed to the tier */
    uint64_t refused;       /* blocks that found the queue full */
    double seconds;         /* spent in the tier */
} ba_writer_stats;

/* limit: bytes that may wait. The tier must outlive the writer. NULL: no memory, or no thread can be started. */
ba_writer *ba_writer_new(ba_tier *tier, uint64_t limit);
/* Writes what still waits, and ends the thread. */
void ba_writer_free(ba_writer *b);

/* A block to be kept; its memory is borrowed until `token` comes back from ba_writer_done. false: not taken. */
bool ba_writer_put(ba_writer *b, const ba_block *block, void *token);
/* A use to be counted, a block to be removed; lost if there is no memory. */
void ba_writer_touch(ba_writer *b, const ba_address *address);
void ba_writer_remove(ba_writer *b, const ba_address *address);
/* The token of a block that is done with, in the order they were put; NULL: none. */
void *ba_writer_done(ba_writer *b);

/* While on, the thread starts no new write, because a caller is waiting for its first token. Turned off when prefill
 * ends; the remaining work until the token is short. */
void ba_writer_hold(ba_writer *b, bool on);
/* Returns when every waiting block is written. */
void ba_writer_flush(ba_writer *b);
ba_writer_stats ba_writer_get_stats(ba_writer *b);

#endif
