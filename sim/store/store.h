/* KV of encoded nodes, kept by content address and reused in any prompt at any position: in memory, and in the tiers
 * below it (tier.h).
 *
 * A stored block is reused only with the model, adapter, backend, CPU and layout that produced it. Each lookup reports
 * which place had it, or why each place missed.
 *
 * Memory comes first. It has a byte budget over entries that nobody uses, and a policy (evict.h) that says which goes
 * first. An entry is pinned from lookup or insertion until release, and is never evicted if it came from a tier where the
 * user pinned it. What memory lacks is asked for in the tiers, in order. A block found in a mapped tier is used in place
 * and stays there (the page cache is its memory). A block found in another tier is copied into memory, and offered to the
 * tiers asked before that one. A new block is offered to every tier; a thread writes it later (writer.h).
 *
 * A backend that keeps KV on a device has its memory as the first place, and the machine's (--store ram:SIZE) as a tier
 * behind it. Blocks come back from tiers while the device computes: a found block may still be on its way, which the
 * backend's operations wait for, until ba_store_land.
 *
 * Blocks from tiers are not trusted: every length, count and checksum is compared with what the plan needs before any
 * byte is used (ba_block_check). Not thread-safe: one caller at a time. */
#ifndef BA_STORE_H
#define BA_STORE_H

#include "address.h"
#include "kernels/backend.h"
#include "tier.h"
#include "writer.h"

typedef struct ba_store ba_store;
typedef struct ba_entry ba_entry;

/* Tiers as --store names them, and the machine's memory where the first place is a device; then that place, too. */
enum { BA_STORE_LEVELS = BA_MAX_TIERS + 1, BA_STORE_PLACES = BA_STORE_LEVELS + 1 };

/* A node's block as a plan needs it. */
typedef struct ba_wanted {
    ba_key key;
    const int32_t *ids; /* [n] */
    size_t n, n_aux;    /* n_aux: doubles that the plan reads from it */
} ba_wanted;

/* What a lookup found. */
typedef struct ba_finding {
    ba_lookup why;  /* BA_HIT, or the closest of the reasons */
    size_t place;   /* of a hit: 0 is memory, then the tiers in order */
    size_t n_place; /* places that were asked: memory, and tiers until one had it */
    ba_lookup by_place[BA_STORE_PLACES];
    double load_s; /* spent in tiers */
    uint64_t load_bytes;
} ba_finding;

typedef struct ba_store_stats {
    size_t entries, pinned;
    uint64_t bytes, budget;
    uint64_t lookups[BA_LOOKUP_COUNT];
    uint64_t evictions;
} ba_store_stats;

/* What happened at one tier since the store was made. */
typedef struct ba_store_tier_stats {
    const ba_tier_spec *spec;
    uint64_t lookups[BA_LOOKUP_COUNT];
    uint64_t load_bytes;
    double load_s;
    ba_writer_stats written;
} ba_store_tier_stats;

/* Memory alone, least recently used first; budget in bytes. The backend frees evicted KV; it must outlive the store.
 * NULL: out of memory. */
ba_store *ba_store_new(ba_backend *be, uint64_t budget);
/* Memory and tiers; texts and the key of the spec are borrowed. remark: lines for the user, from any thread. 0, or -1
 * and err. */
int ba_store_open(ba_backend *be, const ba_store_spec *spec, ba_remark remark, ba_store **out, char err[BA_ERR_LEN]);
/* Writes what still waits for the tiers, then frees. */
void ba_store_free(ba_store *s);

/* Entry of a node, pinned, or NULL; *found says where, or why not. */
ba_entry *ba_store_find(ba_store *s, const ba_origin *origin, const ba_wanted *wanted, ba_finding *found);
/* Announces which nodes will be looked up next, so that tiers can fetch them together. */
void ba_store_expect(ba_store *s, const ba_origin *origin, const ba_wanted *wanted, size_t n);
/* Waits until what was found is where it belongs, and offers it to the tiers asked before; the seconds that its copies to a
 * device took, beside other work. The origin's texts must stay until then. */
double ba_store_land(ba_store *s);
/* Gives a KV to the store, pinned. The store owns it from here on; an entry that does not fit is freed at release. NULL:
 * out of memory (the KV is freed). aux: n_aux doubles kept with it (copied), or NULL. seconds: what encoding took. */
ba_entry *ba_store_add(ba_store *s, const ba_origin *origin, ba_key key, const int32_t *ids, size_t n, ba_kv *kv,
                       uint64_t bytes, const double *aux, size_t n_aux, double seconds);
void ba_store_release(ba_store *s, ba_entry *e);
const ba_kv *ba_entry_kv(const ba_entry *e);
const double *ba_entry_aux(const ba_entry *e, size_t *n);
/* Memory forgets everything that is not pinned, and the reasons of misses too. */
void ba_store_clear(ba_store *s);

/* Turns the tiers off or on again; on at first. While off, only memory is used. */
void ba_store_use_tiers(ba_store *s, bool on);
/* While on, no write to a tier begins, because a caller is waiting for its first token. */
void ba_store_hold(ba_store *s, bool on);
/* Returns when every waiting block is written. */
void ba_store_flush(ba_store *s);

ba_store_stats ba_store_get_stats(const ba_store *s);
/* Bytes of a device that the spec asks for; 0 if it does not say. */
uint64_t ba_store_asked(const ba_store *s);
size_t ba_store_tiers(const ba_store *s);
ba_store_tier_stats ba_store_get_tier_stats(const ba_store *s, size_t tier);

#endif
