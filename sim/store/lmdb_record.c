/* Records of blocks, and the transactions that change them. */
#include "lmdb.h"

#include <errno.h>
#include <string.h>

MDB_val ba_lmdb_key(const ba_address *a) {
    return (MDB_val){sizeof *a, (void *)a};
}

ba_use ba_lmdb_use_of(const ba_lmdb_record *r) {
    return (ba_use){.last = r->last, .uses = r->uses, .bytes = r->bytes, .seconds = r->seconds, .worth = r->worth};
}

int ba_lmdb_get_record(const ba_lmdb *t, MDB_txn *txn, const ba_address *a, ba_lmdb_record *out) {
    MDB_val key = ba_lmdb_key(a), value;
    int rc = mdb_get(txn, t->uses, &key, &value);
    if (!rc && value.mv_size != sizeof *out) {
        rc = MDB_CORRUPTED;
    }
    if (!rc) {
        memcpy(out, value.mv_data, sizeof *out);
    }
    return rc;
}

int ba_lmdb_put_record(ba_lmdb_change *c, const ba_address *a, const ba_lmdb_record *r) {
    MDB_val key = ba_lmdb_key(a), value = {sizeof *r, (void *)r};
    return mdb_put(c->txn, c->t->uses, &key, &value, 0);
}

static MDB_val sums_key(void) {
    return (MDB_val){4, "sums"};
}

int ba_lmdb_read_sums(const ba_lmdb *t, MDB_txn *txn, ba_lmdb_sums *out) {
    MDB_val key = sums_key(), value;
    int rc = mdb_get(txn, t->state, &key, &value);
    *out = (ba_lmdb_sums){0};
    if (rc == MDB_NOTFOUND) {
        return 0;
    }
    if (!rc && value.mv_size != sizeof *out) {
        return MDB_CORRUPTED;
    }
    if (!rc) {
        memcpy(out, value.mv_data, sizeof *out);
    }
    return rc;
}

int ba_lmdb_begin(ba_lmdb *t, ba_lmdb_change *c) {
    *c = (ba_lmdb_change){.t = t};
    int rc = t->read_only ? EROFS : mdb_txn_begin(t->env, NULL, 0, &c->txn);
    if (!rc && (rc = ba_lmdb_read_sums(t, c->txn, &c->sums))) {
        mdb_txn_abort(c->txn);
    }
    return rc;
}

int ba_lmdb_end(ba_lmdb_change *c, int rc) {
    MDB_val key = sums_key(), value = {sizeof c->sums, &c->sums};
    if (!rc) {
        rc = mdb_put(c->txn, c->t->state, &key, &value, 0);
    }
    if (rc) {
        mdb_txn_abort(c->txn);
        return rc;
    }
    return mdb_txn_commit(c->txn);
}
