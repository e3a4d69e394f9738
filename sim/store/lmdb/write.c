/* Writing: blocks to keep, uses to count, blocks to remove or to pin. */
#include "lmdb.h"

#include "kernels/base/clock.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_GONE = 1 << 16, /* records of evicted blocks */
    RETRY_S = 30        /* after a write that failed */
};

/* Whole pages. */
uint64_t ba_lmdb_takes(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

static void touch_record(ba_lmdb_change *c, ba_lmdb_record *r) {
    ba_use use = ba_lmdb_use_of(r);
    ba_use_touch(&use, c->t->base.spec.policy, ++c->sums.tick, c->sums.age);
    r->last = use.last;
    r->uses = use.uses;
    r->worth = use.worth;
}

static int count_use(ba_lmdb_change *c, const ba_address *a, ba_lmdb_record *r) {
    touch_record(c, r);
    return ba_lmdb_put_record(c, a, r);
}

/* A block that does not fit: only its record is kept, with the reason. */
static int put_gone(ba_lmdb_change *c, const ba_address *a, ba_lmdb_record *r, ba_lmdb_kept why) {
    c->sums.gone++;
    r->kept = why;
    return ba_lmdb_put_record(c, a, r);
}

/* The bytes of a block, into the tree. */
static int put_bytes(ba_lmdb_change *c, const ba_block *p) {
    MDB_val key = ba_lmdb_key(&p->head.address), value = {ba_block_bytes(p), NULL};
    int rc = mdb_put(c->txn, c->t->blocks, &key, &value, MDB_RESERVE);
    if (rc) {
        return rc;
    }
    char *to = value.mv_data;
    for (size_t i = 0; i < BA_BLOCK_PARTS; i++) {
        if (p->part[i].iov_len) { /* the address of an empty part may be NULL */
            memcpy(to, p->part[i].iov_base, p->part[i].iov_len);
            to += p->part[i].iov_len;
        }
    }
    return 0;
}

static int put_block(ba_lmdb_change *c, const ba_block *p) {
    const ba_address *a = &p->head.address;
    const uint64_t budget = c->t->base.spec.size;
    size_t evicted = 0;
    ba_lmdb_record r;
    int rc = ba_lmdb_get_record(c->t, c->txn, a, &r);
    if (rc && rc != MDB_NOTFOUND) {
        return rc;
    }
    if (!rc && r.kept == BA_LMDB_KEPT) { /* another process was first: both are the same bits */
        return count_use(c, a, &r);
    }
    c->sums.gone -= !rc;
    r = (ba_lmdb_record){
        .uses = rc ? 0 : r.uses, .bytes = ba_lmdb_takes(ba_block_bytes(p)), .seconds = p->head.seconds};
    touch_record(c, &r);
    if (budget && r.bytes > budget) {
        return put_gone(c, a, &r, BA_LMDB_TOO_LARGE);
    }
    if ((rc = ba_lmdb_make_room(c, r.bytes, &evicted))) {
        return rc;
    }
    if (budget && c->sums.bytes + r.bytes > budget) { /* only pinned blocks are left */
        return put_gone(c, a, &r, BA_LMDB_GONE);
    }
    if ((rc = ba_lmdb_forget(c, MAX_GONE)) || (rc = put_bytes(c, p))) {
        return rc;
    }
    c->sums.bytes += r.bytes;
    c->sums.entries++;
    return ba_lmdb_put_record(c, a, &r);
}

void ba_lmdb_put(ba_tier *tier, const ba_block *const *block, size_t n) {
    ba_lmdb *t = (ba_lmdb *)tier;
    ba_lmdb_change c;
    if (t->read_only || ba_now() < t->quiet_until) {
        return;
    }
    int rc = ba_lmdb_begin(t, &c);
    if (!rc) {
        for (size_t i = 0; !rc && i < n; i++) {
            rc = put_block(&c, block[i]);
        }
        rc = ba_lmdb_end(&c, rc);
    }
    if (rc) {
        /* LMDB says EIO when a write comes out short */
        ba_lmdb_complain(t, rc == EIO ? "cannot be written (is the disk full?)" : "cannot be written", rc);
        t->quiet_until = ba_now() + RETRY_S;
    } else {
        t->said = false;
    }
}

/* Does something to a block that is kept, and its record; MDB_NOTFOUND: there is no record. */
static int alter(ba_lmdb_change *c, const ba_address *a,
                 int (*how)(ba_lmdb_change *c, const ba_address *a, ba_lmdb_record *r)) {
    ba_lmdb_record r;
    int rc = ba_lmdb_get_record(c->t, c->txn, a, &r);
    return rc || r.kept != BA_LMDB_KEPT ? rc : how(c, a, &r);
}

void ba_lmdb_touch(ba_tier *tier, const ba_address *a, size_t n) {
    ba_lmdb *t = (ba_lmdb *)tier;
    ba_lmdb_change c;
    if (t->read_only || ba_now() < t->quiet_until || ba_lmdb_begin(t, &c)) {
        return; /* a use that is not counted does no harm */
    }
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        rc = alter(&c, &a[i], count_use);
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    ba_lmdb_end(&c, rc);
}

static int take_away(ba_lmdb_change *c, const ba_address *a, ba_lmdb_record *r) {
    return ba_lmdb_drop(c, a, r, BA_LMDB_KEPT);
}

static int set_pin(ba_lmdb_change *c, const ba_address *a, ba_lmdb_record *r, bool on) {
    ba_use use = ba_lmdb_use_of(r);
    ba_use_pin(&use, on, c->t->base.spec.policy, c->sums.age);
    r->worth = use.worth;
    return ba_lmdb_put_record(c, a, r);
}

static int pin(ba_lmdb_change *c, const ba_address *a, ba_lmdb_record *r) {
    return set_pin(c, a, r, true);
}

static int unpin(ba_lmdb_change *c, const ba_address *a, ba_lmdb_record *r) {
    return set_pin(c, a, r, false);
}

int ba_lmdb_remove(ba_tier *tier, const ba_address *a, char err[BA_ERR_LEN]) {
    ba_lmdb *t = (ba_lmdb *)tier;
    ba_lmdb_change c;
    int rc = ba_lmdb_begin(t, &c);
    rc = rc ? rc : ba_lmdb_end(&c, alter(&c, a, take_away));
    return rc && rc != MDB_NOTFOUND ? ba_lmdb_fail(t, rc, err) : 0;
}

int ba_lmdb_pin(ba_tier *tier, const ba_address *a, bool on, char err[BA_ERR_LEN]) {
    ba_lmdb *t = (ba_lmdb *)tier;
    ba_lmdb_change c;
    int rc = ba_lmdb_begin(t, &c);
    rc = rc ? rc : ba_lmdb_end(&c, alter(&c, a, on ? pin : unpin));
    return rc ? ba_lmdb_fail(t, rc, err) : 0;
}

int ba_lmdb_collect(ba_tier *tier, size_t *evicted, char err[BA_ERR_LEN]) {
    ba_lmdb *t = (ba_lmdb *)tier;
    ba_lmdb_change c;
    *evicted = 0;
    int rc = ba_lmdb_begin(t, &c);
    if (!rc) {
        rc = ba_lmdb_make_room(&c, 0, evicted);
        rc = ba_lmdb_end(&c, rc ? rc : ba_lmdb_forget(&c, 0));
    }
    return rc ? ba_lmdb_fail(t, rc, err) : 0;
}
