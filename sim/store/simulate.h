/* A simulation of requests against a store in tiers, without weights and without bytes: where each block is found, and
 * what is evicted.
 *
 * Does what the store does (store.h), in its order: a request's blocks are looked up one by one, memory first and then
 * the tiers below; what is found is pinned until the request ends; what is missing is encoded and put into memory and
 * offered to every tier; then all are released. Tiers below learn of a request's blocks when its lookups are over, and
 * have them before the next request. Policies are the store's own (evict.h), so a run on a real
 * model has the same hits, to the last one. */
#ifndef BA_SIMULATE_H
#define BA_SIMULATE_H

#include "evict.h"
#include "kernels/base/error.h"

enum { BA_SIM_TIERS = 3 };

typedef struct ba_sim_tier {
    uint64_t bytes; /* budget */
    const ba_policy *policy;
    bool mapped;   /* a block found here is used in place, not copied into memory; never for tier 0 */
    bool complete; /* holds the whole corpus from the beginning, without a budget; never for tier 0 */
} ba_sim_tier;

typedef struct ba_sim ba_sim;

/* tier [n], memory first; blocks: of the corpus, numbered from 0. 0, or -1 and err. */
int ba_sim_new(const ba_sim_tier *tier, size_t n, size_t blocks, ba_sim **out, char err[BA_ERR_LEN]);
void ba_sim_free(ba_sim *s);

/* One request for block [n], no two of them equal; all have so many bytes and cost so many seconds to encode. place [n]
 * gets the tier where each was found, or the number of tiers. 0, or -1: out of memory. */
int ba_sim_request(ba_sim *s, const uint32_t *block, size_t n, uint64_t bytes, double seconds, uint8_t *place);

#endif
