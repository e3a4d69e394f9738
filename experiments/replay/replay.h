/* Replays requests in their order and accounts for what a store without eviction saves: from plans and their cost, without
 * running the model. */
#ifndef BA_REPLAY_H
#define BA_REPLAY_H

#include "experiments/measure/hash_set.h"
#include "experiments/measure/prefix_cache.h"
#include "sim/plan/cost.h"

typedef struct ba_replay_row {
    uint64_t item, tokens;
    uint64_t passages, recurring; /* recurring: encoded for an earlier request, or earlier in this one */
    uint64_t common_prefix;       /* tokens, with any earlier request */
    uint64_t block_computed, prefix_computed, full_computed; /* tokens */
    uint64_t block_flops, prefix_flops, full_flops;
    double block_s, prefix_s, full_s;             /* time to first token as measured; NaN: not measured */
    double block_cpu_s, prefix_cpu_s, full_cpu_s; /* processor time of the same, of all threads */
    double block_estimate_s, prefix_estimate_s, full_estimate_s; /* of an idle machine: by FLOPs, at the rate per
                                                                    processor second of what was measured; or NaN */
} ba_replay_row;

typedef struct ba_replay {
    const ba_shape *shape;
    ba_sizes sizes;
    const char *mode;
    ba_hash_set nodes; /* keys of the nodes in the store */
    ba_prefixes *prefixes;
    uint64_t n;
} ba_replay;

/* 0, or -1 and err: out of memory. */
int ba_replay_begin(ba_replay *r, const ba_shape *shape, ba_sizes sizes, const char *mode, char err[BA_ERR_LEN]);
void ba_replay_end(ba_replay *r);

/* Accounts for the next request. The caller frees *plan (of the mode) and *have [n_node], which marks the nodes that the
 * store had. 0, or -1 and err. */
int ba_replay_next(ba_replay *r, const ba_prompt *prompt, ba_plan **plan, uint8_t **have, ba_replay_row *out,
                   char err[BA_ERR_LEN]);

#endif
