/* The inside of the tier on a disk, shared by lmdb*.c.
 *
 * Three tables: `blocks` (address to block), `uses` (address to what the policy knows of it; kept when a block
 * is evicted, so that a later miss can say so) and `state` (sums over all of them). LMDB puts a value of more than half a
 * page into pages of its own, 16 bytes after their beginning: the header's size makes KV aligned there. Functions return
 * LMDB's codes, or errno's, which it shares, or BA_LMDB_CUT; 0: done. */
#ifndef BA_TIER_LMDB_INSIDE_H
#define BA_TIER_LMDB_INSIDE_H

#include "sim/store/tier.h"

#include <lmdb.h>
#include <stdatomic.h>

enum { BA_LMDB_CUT = -1 }; /* no code of LMDB's: the file is shorter than its pages */

typedef enum ba_lmdb_kept { BA_LMDB_KEPT, BA_LMDB_GONE, BA_LMDB_TOO_LARGE } ba_lmdb_kept;

/* What `uses` holds. */
typedef struct ba_lmdb_record {
    uint64_t last, uses, bytes;
    double seconds, worth;
    uint64_t kept; /* ba_lmdb_kept */
} ba_lmdb_record;

/* What `state` holds. */
typedef struct ba_lmdb_sums {
    uint64_t bytes, entries, gone, tick;
    double age;
} ba_lmdb_sums;

/* A reader's state of the tree, shared by all blocks that were found in it. */
typedef struct ba_lmdb_snapshot {
    MDB_txn *txn;
    size_t refs;
} ba_lmdb_snapshot;

typedef struct ba_lmdb {
    ba_tier base;
    MDB_env *env;
    MDB_dbi blocks, uses, state;
    bool read_only;
    ba_lmdb_snapshot *now; /* the youngest; NULL if nobody holds one */
    double quiet_until;    /* the writer's */
    atomic_bool said;
} ba_lmdb;

/* A transaction that changes something. */
typedef struct ba_lmdb_change {
    ba_lmdb *t;
    MDB_txn *txn;
    ba_lmdb_sums sums;
} ba_lmdb_change;

/* lmdb_error.c: one remark until something succeeds again. */
void ba_lmdb_complain(ba_lmdb *t, const char *doing, int rc);
/* Fills err; -1. */
int ba_lmdb_fail(const ba_lmdb *t, int rc, char err[BA_ERR_LEN]);
const char *ba_lmdb_error(int rc);

/* lmdb_record.c: what is known of blocks, and of all together; the transactions that change it. */
MDB_val ba_lmdb_key(const ba_address *a);
ba_use ba_lmdb_use_of(const ba_lmdb_record *r);
int ba_lmdb_get_record(const ba_lmdb *t, MDB_txn *txn, const ba_address *a, ba_lmdb_record *out);
int ba_lmdb_put_record(ba_lmdb_change *c, const ba_address *a, const ba_lmdb_record *r);
int ba_lmdb_read_sums(const ba_lmdb *t, MDB_txn *txn, ba_lmdb_sums *out);
/* Bytes that data.mdb has, and that it must have for all its pages to be in it. */
int ba_lmdb_length(const ba_lmdb *t, uint64_t *has, uint64_t *needs);
int ba_lmdb_begin(ba_lmdb *t, ba_lmdb_change *c);
/* Commits, or undoes everything if rc is an error already. */
int ba_lmdb_end(ba_lmdb_change *c, int rc);

/* lmdb_evict.c: removes a block; its record stays as `mark`, or (BA_LMDB_KEPT) is removed too. */
int ba_lmdb_drop(ba_lmdb_change *c, const ba_address *a, ba_lmdb_record *r, ba_lmdb_kept mark);
/* Evicts what is worth least until `bytes` fit into the budget, or only pinned blocks are left. */
int ba_lmdb_make_room(ba_lmdb_change *c, uint64_t bytes, size_t *evicted);
/* Forgets records of evicted blocks, those first that were used least recently, until `keep` are left. */
int ba_lmdb_forget(ba_lmdb_change *c, size_t keep);

/* Operations of the table, as documented in tier.h: of lmdb_read.c, .. */
size_t ba_lmdb_expect(ba_tier *tier, ba_tier_ask *ask, size_t n);
ba_lookup ba_lmdb_get(ba_tier *tier, const ba_tier_ask *ask, ba_tier_bytes *out);
void ba_lmdb_release(ba_tier *tier, ba_tier_bytes *bytes);
int ba_lmdb_each(ba_tier *tier, ba_tier_visit visit, void *arg, char err[BA_ERR_LEN]);
int ba_lmdb_stats(ba_tier *tier, ba_tier_stats *out, char err[BA_ERR_LEN]);
/* .. and of lmdb_write.c. */
uint64_t ba_lmdb_takes(size_t bytes);
void ba_lmdb_put(ba_tier *tier, const ba_block *const *block, size_t n);
void ba_lmdb_touch(ba_tier *tier, const ba_address *a, size_t n);
int ba_lmdb_remove(ba_tier *tier, const ba_address *a, char err[BA_ERR_LEN]);
int ba_lmdb_pin(ba_tier *tier, const ba_address *a, bool on, char err[BA_ERR_LEN]);
int ba_lmdb_collect(ba_tier *tier, size_t *evicted, char err[BA_ERR_LEN]);

#endif
