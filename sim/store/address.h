/* The address of a block, the same in every tier: hashes of everything that its bytes depend on. Also the reason of a
 * miss, from the addresses of blocks with the same tokens. */
#ifndef BA_ADDRESS_H
#define BA_ADDRESS_H

#include "sim/plan/plan.h"

#include <stddef.h>
#include <stdint.h>

/* What identifies an entry besides the plan's node key and its tokens. */
typedef struct ba_origin {
    const char *model;     /* ba_model_hash */
    const char *adapter;   /* "" if none */
    const char *dtype;     /* backend, element type, and what decides its bits: "openblas/f32 OpenBLAS ..." */
    const char *tokenizer; /* ba_vocab_hash, or ""; for people, not part of the address */
    size_t layers, kv_heads, head_dim; /* of the model */
} ba_origin;

/* Everything that distinguishes blocks. Sorted as bytes, the addresses of one text are neighbours. No padding. */
typedef struct ba_address {
    uint64_t ids[2]; /* hash of the tokens */
    uint64_t key[2]; /* ba_plan_keys */
    uint64_t model, adapter, dtype;
    uint64_t form; /* how KV is written: layout, version of the block, coding, key; 0 in memory */
} ba_address;

/* Reasons, the closest to a hit first. */
typedef enum ba_lookup {
    BA_HIT,
    BA_MISS_DAMAGED,   /* found, but not what the plan needs, or its checksum is wrong: not used */
    BA_MISS_EVICTED,   /* stored before, then evicted by the budget */
    BA_MISS_TOO_LARGE, /* larger than the whole budget: never kept */
    BA_MISS_CONTEXT,   /* same tokens, with another step between positions or other tokens in view */
    BA_MISS_FORM,      /* seen in another layout, version or coding */
    BA_MISS_DTYPE,     /* seen with another backend, element type or processor */
    BA_MISS_MODEL,     /* seen with another model or adapter */
    BA_MISS_AWAY,      /* the tier does not answer */
    BA_MISS_NEW,       /* these tokens were never seen */
    BA_LOOKUP_COUNT
} ba_lookup;

const char *ba_lookup_name(ba_lookup why);

ba_address ba_address_of(const ba_origin *origin, ba_key key, const int32_t *ids, size_t n);
/* Why `other` is not the one wanted; BA_HIT if it is. */
ba_lookup ba_address_compare(const ba_address *wanted, const ba_address *other);
/* 16 hex digits that name a block for people and for store rm: a hash of the whole address. */
void ba_address_name(const ba_address *a, char out[17]);

#endif
