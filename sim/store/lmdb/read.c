/* Looking up, and walking over all blocks. */
#include "lmdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SIBLINGS = 64 }; /* of one text that a reason is looked for in */

/* The youngest state, held once more. */
static ba_lmdb_snapshot *hold(ba_lmdb *t, int *rc) {
    MDB_envinfo info;
    mdb_env_info(t->env, &info);
    if (t->now && mdb_txn_id(t->now->txn) == info.me_last_txnid) {
        t->now->refs++;
        return t->now;
    }
    ba_lmdb_snapshot *s = malloc(sizeof *s);
    *rc = s ? mdb_txn_begin(t->env, NULL, MDB_RDONLY, &s->txn) : ENOMEM;
    if (*rc) {
        free(s);
        return NULL;
    }
    s->refs = 1;
    return t->now = s;
}

static void let_go(ba_lmdb *t, ba_lmdb_snapshot *s) {
    if (--s->refs == 0) {
        mdb_txn_abort(s->txn);
        if (t->now == s) {
            t->now = NULL;
        }
        free(s);
    }
}

/* The closest reason among the blocks of the same text. */
static ba_lookup why_not(const ba_lmdb *t, MDB_txn *txn, const ba_address *a) {
    ba_lookup why = BA_MISS_NEW;
    ba_address first = {.ids = {a->ids[0], a->ids[1]}};
    MDB_val key = ba_lmdb_key(&first), value;
    MDB_cursor *c;
    if (mdb_cursor_open(txn, t->uses, &c)) {
        return BA_MISS_AWAY;
    }
    int rc = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);
    for (size_t i = 0; !rc && i < MAX_SIBLINGS && key.mv_size == sizeof *a && value.mv_size == sizeof(ba_lmdb_record);
         i++) {
        ba_address other;
        ba_lmdb_record r;
        memcpy(&other, key.mv_data, sizeof other);
        memcpy(&r, value.mv_data, sizeof r);
        ba_lookup reason = ba_address_compare(a, &other);
        if (reason == BA_HIT) {
            reason = r.kept == BA_LMDB_TOO_LARGE ? BA_MISS_TOO_LARGE : BA_MISS_EVICTED;
        } else if (reason == BA_MISS_NEW) {
            break;
        }
        why = reason < why ? reason : why;
        rc = mdb_cursor_get(c, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(c);
    return why;
}

ba_lookup ba_lmdb_get(ba_tier *tier, const ba_tier_ask *ask, ba_tier_bytes *out) {
    ba_lmdb *t = (ba_lmdb *)tier;
    const ba_address *a = &ask->address;
    int rc = 0;
    ba_lmdb_snapshot *s = hold(t, &rc);
    if (!s) {
        ba_lmdb_complain(t, "cannot be read", rc);
        return BA_MISS_AWAY;
    }
    MDB_val key = ba_lmdb_key(a), value;
    rc = mdb_get(s->txn, t->blocks, &key, &value);
    if (!rc) {
        ba_lmdb_record r;
        *out = (ba_tier_bytes){value.mv_data, value.mv_size, false, s};
        if (ba_lmdb_get_record(t, s->txn, a, &r) == 0) {
            const ba_use use = ba_lmdb_use_of(&r);
            out->pinned = ba_use_pinned(&use);
        }
        return BA_HIT;
    }
    ba_lookup why = rc == MDB_NOTFOUND ? why_not(t, s->txn, a) : BA_MISS_AWAY;
    if (rc != MDB_NOTFOUND) {
        ba_lmdb_complain(t, "cannot be read", rc);
    }
    let_go(t, s);
    return why;
}

void ba_lmdb_release(ba_tier *tier, ba_tier_bytes *bytes) {
    let_go((ba_lmdb *)tier, bytes->hold);
}

/* The kernel reads all of them at once, while the first is being looked at. */
size_t ba_lmdb_expect(ba_tier *tier, ba_tier_ask *ask, size_t n) {
    ba_lmdb *t = (ba_lmdb *)tier;
    int rc = 0;
    ba_lmdb_snapshot *s = hold(t, &rc);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), left = 0;
    if (!s) {
        return n;
    }
    for (size_t i = 0; i < n; i++) {
        MDB_val key = ba_lmdb_key(&ask[i].address), value;
        if (mdb_get(s->txn, t->blocks, &key, &value) == 0) {
            size_t before = (uintptr_t)value.mv_data % page;
            madvise((char *)value.mv_data - before, before + value.mv_size, MADV_WILLNEED); /* a hint */
        } else {
            ask[left++] = ask[i];
        }
    }
    let_go(t, s);
    return left;
}

/* Shows the block under a cursor. LMDB's code; *result is the visitor's. */
static int show(ba_lmdb *t, MDB_txn *txn, const MDB_val *key, const MDB_val *value, ba_tier_visit visit, void *arg,
                int *result) {
    ba_address a;
    ba_lmdb_record r;
    ba_use use = {0};
    if (key->mv_size != sizeof a) {
        return MDB_CORRUPTED;
    }
    memcpy(&a, key->mv_data, sizeof a);
    int rc = ba_lmdb_get_record(t, txn, &a, &r);
    if (rc && rc != MDB_NOTFOUND) {
        return rc;
    }
    if (!rc) {
        use = ba_lmdb_use_of(&r);
    }
    *result = visit(arg, &a, value->mv_data, value->mv_size, &use);
    return 0;
}

int ba_lmdb_each(ba_tier *tier, ba_tier_visit visit, void *arg, char err[BA_ERR_LEN]) {
    ba_lmdb *t = (ba_lmdb *)tier;
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn), result = 0;
    if (rc) {
        return ba_lmdb_fail(t, rc, err);
    }
    rc = mdb_cursor_open(txn, t->blocks, &cursor);
    if (rc) {
        goto done;
    }
    while (result == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if ((rc = show(t, txn, &key, &value, visit, arg, &result))) {
            break;
        }
    }
    mdb_cursor_close(cursor);
done:
    mdb_txn_abort(txn);
    return result ? result : rc && rc != MDB_NOTFOUND ? ba_lmdb_fail(t, rc, err) : 0;
}

int ba_lmdb_stats(ba_tier *tier, ba_tier_stats *out, char err[BA_ERR_LEN]) {
    ba_lmdb *t = (ba_lmdb *)tier;
    MDB_txn *txn;
    ba_lmdb_sums s;
    struct stat info;
    int rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn), fd;
    if (rc) {
        return ba_lmdb_fail(t, rc, err);
    }
    rc = ba_lmdb_read_sums(t, txn, &s);
    mdb_txn_abort(txn);
    if (rc) {
        return ba_lmdb_fail(t, rc, err);
    }
    *out = (ba_tier_stats){.entries = s.entries, .gone = s.gone, .bytes = s.bytes, .budget = t->base.spec.size};
    if (!mdb_env_get_fd(t->env, &fd) && !fstat(fd, &info)) {
        out->file_bytes = (uint64_t)info.st_size;
    }
    return 0;
}
