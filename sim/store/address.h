/* Where a block is found in any tier: what its bytes depend on, as hashes. And why a block was not found: from the
 * addresses of blocks with the same tokens alone. */
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
    const char *tokenizer; /* ba_vocab_hash, or ""; told, not part of the address: ids are ids */
    size_t layers, kv_heads, head_dim; /* of the model */
} ba_origin;

/* All that tells blocks apart. Blocks of one text stand side by side when addresses are sorted as bytes. No padding. */
typedef struct ba_address {
    uint64_t ids[2]; /* hash of the tokens */
    uint64_t key[2]; /* ba_plan_node_key */
    uint64_t model, adapter, dtype;
    uint64_t form; /* how KV is written: layout, version of the entry, coding; 0 in memory */
} ba_address;

/* From the closest reason to the farthest. */
typedef enum ba_lookup {
    BA_HIT,
    BA_MISS_DAMAGED,   /* there, but its checksum or its tokens are wrong: not used */
    BA_MISS_EVICTED,   /* seen, but pushed out by the budget */
    BA_MISS_TOO_LARGE, /* larger than the whole budget: never kept */
    BA_MISS_CONTEXT,   /* same tokens, encoded at another step or seeing something else */
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
