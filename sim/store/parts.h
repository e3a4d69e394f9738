/* The inside of a store, shared by store.c, memory.c and levels.c: entries in memory, and the tiers below. */
#ifndef BA_STORE_PARTS_H
#define BA_STORE_PARTS_H

#include "store.h"

/* After eviction the record stays, so the next miss can say "evicted" instead of "never seen". */
struct ba_entry {
    ba_use use; /* first: the heap of victims holds these. In it while unpinned and with KV in memory */
    ba_address address;
    ba_kv *kv;   /* NULL: evicted, or never kept */
    double *aux; /* [n_aux] */
    size_t n_aux;
    int32_t *ids; /* [n], for the tiers; NULL without any */
    size_t pins;  /* by runs, and by tiers that are being written */
    bool too_large, evicted;
    size_t place;         /* of the KV: 0 is memory, else a view into tier place - 1 */
    ba_tier_bytes mapped; /* there */
    const void *proved;   /* bytes in a mapping whose checksum was right in this process */
    ba_entry *next;       /* in the bucket */
};

typedef struct ba_level {
    ba_tier *tier;
    ba_writer *writer;
    ba_store_tier_stats stats;
} ba_level;

/* An entry that is being filled from bytes of a tier, and which tiers get it when it is: [0, end). */
typedef struct ba_landing {
    ba_tier *tier;
    ba_tier_bytes bytes;
    ba_entry *entry;  /* pinned */
    ba_origin origin; /* its texts are borrowed */
    size_t n, end;
    ba_coding coding;
} ba_landing;

struct ba_store {
    ba_backend *be;
    uint64_t asked; /* bytes of a device, by the spec */
    const ba_policy *policy;
    ba_remark remark;
    ba_entry **bucket; /* [n_bucket] */
    size_t n_bucket;   /* a power of two */
    size_t n_record;
    ba_victims victims;
    uint64_t tick;
    double age;
    double token_s; /* that encoding one token took at last; 0: nothing was encoded yet */
    ba_store_stats stats;
    ba_level level[BA_STORE_LEVELS];
    size_t n_level;
    bool levels_off;
    ba_landing *landing; /* [n_landing] */
    size_t n_landing, landing_room;
};

/* Content of an entry: KV (owned from here on, whatever happens), and what belongs to it (copied). */
typedef struct ba_content {
    ba_kv *kv;
    uint64_t bytes;
    const double *aux; /* [n_aux] */
    size_t n_aux;
    const int32_t *ids; /* [n] */
    size_t n;
    double seconds;
} ba_content;

/* memory.c. The record of an address, or NULL; *why: whether it has KV, or the closest reason why there is none. */
ba_entry *ba_memory_find(const ba_store *s, const ba_address *a, ba_lookup *why);
/* The record of an address without KV, made if there is none. NULL: out of memory. */
ba_entry *ba_memory_record(ba_store *s, const ba_address *a);
/* Counts a use of an entry with KV, and pins it. */
ba_entry *ba_memory_use(ba_store *s, ba_entry *e);
void ba_memory_pin(ba_store *s, ba_entry *e);
/* Puts KV into memory, pinned. NULL: out of memory (the KV is freed). */
ba_entry *ba_memory_insert(ba_store *s, const ba_address *a, const ba_content *c);
/* Forgets all that is not pinned, records too. */
void ba_memory_clear(ba_store *s);

/* levels.c. Offers a pinned entry, whose KV had this coding before, to tiers [0, end). */
void ba_levels_offer(ba_store *s, const ba_origin *origin, ba_entry *e, size_t n, ba_coding was, size_t end);
/* What tier i is asked for. */
ba_tier_ask ba_levels_ask(const ba_store *s, size_t i, const ba_origin *origin, const ba_address *memory,
                          const ba_wanted *w);
/* The block from tier i, pinned, or NULL and why. known: its record, or NULL. */
ba_entry *ba_levels_load(ba_store *s, size_t i, const ba_origin *origin, const ba_address *memory,
                         const ba_entry *known, const ba_wanted *w, ba_lookup *why, uint64_t *loaded);

#endif
