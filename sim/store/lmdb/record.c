/* Records of blocks, and the transactions that change them. */
#include "lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

MDB_val ba_lmdb_key(const ba_address *a) {
    return (MDB_val){sizeof *a, (void *)a};
}

ba_use ba_lmdb_use_of(const ba_lmdb_record *r) {
    return (ba_use){.last = r->last, .uses = r->uses, .bytes = r->bytes, .seconds = r->seconds, .worth = r->worth};
}

int ba_lmdb_get_record(const ba_lmdb *t, MDB_txn *txn, const ba_address *a, ba_lmdb_record *out) {
    MDB_val key = ba_lmdb_key(a), value;
    int rc = mdb_get(txn, t->uses, &key, &value);
    if (rc) {
        return rc;
    }
    if (value.mv_size != sizeof *out) {
        return MDB_CORRUPTED;
    }
    memcpy(out, value.mv_data, sizeof *out);
    return 0;
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
    if (rc) {
        return rc;
    }
    if (value.mv_size != sizeof *out) {
        return MDB_CORRUPTED;
    }
    memcpy(out, value.mv_data, sizeof *out);
    return 0;
}

int ba_lmdb_length(const ba_lmdb *t, uint64_t *has, uint64_t *needs) {
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    int fd, rc;
    *has = *needs = 0;
    if ((rc = mdb_env_info(t->env, &info)) || (rc = mdb_env_stat(t->env, &stat)) ||
        (rc = mdb_env_get_fd(t->env, &fd))) {
        return rc;
    }
    if (fstat(fd, &file)) {
        return errno;
    }
    *has = (uint64_t)file.st_size;
    return __builtin_mul_overflow((uint64_t)info.me_last_pgno + 1, stat.ms_psize, needs) ? MDB_CORRUPTED : 0;
}

/* LMDB does not write a last page that was used and freed within one transaction; then the file would look cut off. The
 * page is allocated without changing what is there: another process may be writing it. */
static void fill_up(const ba_lmdb *t) {
    uint64_t has = 0, needs = 0;
    int fd;
    if (!ba_lmdb_length(t, &has, &needs) && has < needs && !mdb_env_get_fd(t->env, &fd)) {
        (void)!posix_fallocate(fd, (off_t)needs - 1, 1); /* if that fails, the file is refused later: no harm */
    }
}

int ba_lmdb_begin(ba_lmdb *t, ba_lmdb_change *c) {
    *c = (ba_lmdb_change){.t = t};
    int rc = t->read_only ? EROFS : mdb_txn_begin(t->env, NULL, 0, &c->txn);
    if (rc) {
        return rc;
    }
    if ((rc = ba_lmdb_read_sums(t, c->txn, &c->sums))) {
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
    rc = mdb_txn_commit(c->txn);
    if (!rc) {
        fill_up(c->t);
    }
    return rc;
}
