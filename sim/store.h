/* KV of encoded nodes, kept in memory by content address and reused in any prompt at any place.
 *
 * Byte budget over entries that nobody uses; least recently used goes first; an entry is pinned from lookup or
 * insertion until release. Every lookup says why it hit or missed. Not thread-safe: one caller at a time. */
#ifndef BA_STORE_H
#define BA_STORE_H

#include "../kernels/backend.h"
#include "plan.h"

typedef struct ba_store ba_store;
typedef struct ba_entry ba_entry;

typedef enum ba_lookup {
    BA_HIT,
    BA_MISS_NEW,       /* these tokens were never seen */
    BA_MISS_EVICTED,   /* seen, but pushed out by the budget */
    BA_MISS_MODEL,     /* seen with another model or adapter */
    BA_MISS_DTYPE,     /* seen with another backend or element type */
    BA_MISS_CONTEXT,   /* same tokens, encoded at another step or seeing something else */
    BA_MISS_TOO_LARGE, /* larger than the whole budget: never kept */
    BA_LOOKUP_COUNT
} ba_lookup;

const char *ba_lookup_name(ba_lookup why);

/* What identifies an entry besides the plan's node key. Strings are copied. */
typedef struct ba_origin {
    const char *model;   /* ba_model_hash */
    const char *adapter; /* "" if none */
    const char *dtype;   /* backend name and element type, "openblas/f32" */
} ba_origin;

typedef struct ba_store_stats {
    size_t entries, pinned;
    uint64_t bytes, budget;
    uint64_t lookups[BA_LOOKUP_COUNT];
    uint64_t evictions;
} ba_store_stats;

/* budget in bytes. The backend frees evicted KV; it must outlive the store. */
ba_store *ba_store_new(ba_backend *be, uint64_t budget);
void ba_store_free(ba_store *s);

/* Entry of a node, pinned, or NULL; *why tells. `ids` is what a miss is explained with. */
ba_entry *ba_store_find(ba_store *s, const ba_origin *origin, ba_key key, const int32_t *ids, size_t n, ba_lookup *why);
/* Gives a KV to the store, pinned; the store owns it whatever happens (an entry that does not fit is freed at release).
 * NULL: out of memory (the KV is freed). aux: n_aux doubles kept with it (copied), or NULL. */
ba_entry *ba_store_add(ba_store *s, const ba_origin *origin, ba_key key, const int32_t *ids, size_t n, ba_kv *kv,
                       uint64_t bytes, const double *aux, size_t n_aux);
void ba_store_release(ba_store *s, ba_entry *e);
const ba_kv *ba_entry_kv(const ba_entry *e);
const double *ba_entry_aux(const ba_entry *e, size_t *n);
void ba_store_clear(ba_store *s); /* forgets everything unpinned, the reasons too */
ba_store_stats ba_store_get_stats(const ba_store *s);

#endif
