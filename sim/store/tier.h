/* A tier: a place for blocks outside of this process's memory. One table row per kind; every tier keeps the same bytes
 * (block.h) under the same addresses, so that the store treats all alike.
 *
 * Threads. One thread looks up (expect, get, release), and at the same time another one may write (put, touch). All other
 * operations are for a caller that is alone. A tier that cannot do its work says so once through `remark`, and the
 * program continues without it: a lookup misses with BA_MISS_AWAY, a block is not kept. It tries again later by itself.
 *
 * What a tier returns is not trusted: the store checks every block against what the plan needs (ba_block_check). */
#ifndef BA_TIER_H
#define BA_TIER_H

#include "block.h"
#include "evict.h"

typedef struct ba_tier ba_tier;
typedef struct ba_tier_ops ba_tier_ops;

/* One line for the user; any thread. */
typedef void (*ba_remark)(const char *line);

/* One tier as --store spells it: "lmdb:PATH:SIZE[:POLICY][:q8]", "redis://[[USER]:PASSWORD@]HOST:PORT[:q8]",
 * "redis:HOST:PORT[:q8]". */
typedef struct ba_tier_spec {
    const ba_tier_ops *ops;
    char *place;             /* PATH or HOST */
    char *user, *password;   /* NULL: none. Never printed, never recorded */
    uint64_t size;           /* bytes or port */
    const ba_policy *policy; /* never NULL */
    ba_coding coding;
    const ba_store_key *key; /* borrowed; NULL: plain checksums */
} ba_tier_spec;

/* A block to be looked up, and what is known of it in advance: no tier needs to read more bytes, or to wait longer than
 * encoding it again would take. */
typedef struct ba_tier_ask {
    ba_address address;
    size_t bytes;
    double seconds; /* of encoding it; 0: not known */
    size_t which;   /* the caller's number for it */
} ba_tier_ask;

/* Bytes of a found block, borrowed until release. */
typedef struct ba_tier_bytes {
    const void *at;
    size_t n;
    bool pinned; /* the user has pinned it there */
    void *hold;  /* the tier's own */
} ba_tier_bytes;

typedef struct ba_tier_stats {
    size_t entries, gone;   /* gone: evicted, with a record that still explains misses */
    uint64_t bytes, budget; /* of the blocks; budget 0: the tier has its own limit */
    uint64_t file_bytes;    /* on disk, or 0 */
} ba_tier_stats;

/* A block met on a walk. `use` is zeroed where the tier does not know it. Non-zero ends the walk and is its result. */
typedef int (*ba_tier_visit)(void *arg, const ba_address *address, const void *bytes, size_t n, const ba_use *use);

/* What every tier's struct begins with. */
struct ba_tier {
    const ba_tier_ops *ops;
    ba_tier_spec spec; /* its texts are borrowed */
    ba_remark remark;
};

struct ba_tier_ops {
    const char *name;  /* as in --store */
    const char *usage; /* "lmdb:PATH:SIZE" */
    bool maps;         /* found bytes are in a mapping: used in place, and not copied into memory */
    bool inside;       /* in this process's own memory: a block's header is checked, its body is what was put */
    bool sized;        /* its spec's size is a budget in bytes */
    /* Bytes of its budget that a block of so many bytes takes. NULL: the same number. */
    uint64_t (*takes)(size_t bytes);

    /* NULL: not by a spec. create: make it if it does not exist. 0, or -1 and err: what is wrong and how to fix it. */
    int (*open)(const ba_tier_spec *spec, ba_remark remark, bool create, ba_tier **out, char err[BA_ERR_LEN]);
    void (*close)(ba_tier *t);

    /* These will be looked up next, so the tier may fetch them together. Moves those that it lacks to the front, and
     * returns their number. */
    size_t (*expect)(ba_tier *t, ba_tier_ask *ask, size_t n);
    /* BA_HIT and the bytes, or the reason of the miss. */
    ba_lookup (*get)(ba_tier *t, const ba_tier_ask *ask, ba_tier_bytes *out);
    void (*release)(ba_tier *t, ba_tier_bytes *bytes);

    /* Keeps sealed blocks, each under the address in its header; one that exists already is not written again. */
    void (*put)(ba_tier *t, const ba_block *const *block, size_t n);
    /* Counts a use of each. May be NULL. */
    void (*touch)(ba_tier *t, const ba_address *address, size_t n);

    int (*remove)(ba_tier *t, const ba_address *address, char err[BA_ERR_LEN]);
    /* Exempts a block from the budget, or (off) no longer. May be NULL: the tier cannot promise it. */
    int (*pin)(ba_tier *t, const ba_address *address, bool on, char err[BA_ERR_LEN]);
    /* NULL, as collect may be, where no other process has the tier. */
    int (*each)(ba_tier *t, ba_tier_visit visit, void *arg, char err[BA_ERR_LEN]);
    /* Enforces the budget and forgets the records of evicted blocks; the number of blocks that went. May be NULL. */
    int (*collect)(ba_tier *t, size_t *evicted, char err[BA_ERR_LEN]);
    int (*stats)(ba_tier *t, ba_tier_stats *out, char err[BA_ERR_LEN]);
};

/* Kinds of tiers compiled in; NULL past the last. */
const ba_tier_ops *ba_tier_at(size_t i);

enum { BA_MAX_TIERS = 4 };

/* What --store and --store-key say. */
typedef struct ba_store_spec {
    ba_store_key *key; /* owned, shared by all tiers; NULL: none */
    bool ram_given, device_given;
    uint64_t ram, device; /* bytes of this machine's memory; of the device's, for a backend that keeps KV on one */
    const ba_policy *ram_policy, *device_policy;
    ba_tier_spec tier[BA_MAX_TIERS]; /* in the order they are asked */
    size_t n_tier;
} ba_store_spec;

#endif
