/* The tier on a disk: LMDB, a memory-mapped B+ tree. Many processes may read and write one at once; a process that is
 * killed leaves the last complete transaction; a reader sees one state while it holds what it found. Opening is here,
 * all other operations are in lmdb_*.c. */
#include "lmdb.h"
#include "sim/store/tiers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { READERS = 1024 };

/* Address space, not disk: that has a budget (lmdb_evict.c). The thread sanitizer leaves a program less of it. */
#ifdef __SANITIZE_THREAD__
#define MAP_BYTES (UINT64_C(1) << 37)
#else
#define MAP_BYTES (UINT64_C(1) << 42)
#endif

static int open_tables(ba_lmdb *t) {
    MDB_txn *txn;
    unsigned flags = t->read_only ? 0 : MDB_CREATE;
    int rc = mdb_txn_begin(t->env, NULL, t->read_only ? MDB_RDONLY : 0, &txn);
    if (rc) {
        return rc;
    }
    if ((rc = mdb_dbi_open(txn, "blocks", flags, &t->blocks)) || (rc = mdb_dbi_open(txn, "uses", flags, &t->uses)) ||
        (rc = mdb_dbi_open(txn, "state", flags, &t->state))) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

/* A file that was cut off (a copy that did not end, a full disk) opens well, and the first look at a missing page ends
 * the process. So its size is compared with the last page that it uses. */
static int check_length(ba_lmdb *t) {
    uint64_t has, needs;
    int rc = ba_lmdb_length(t, &has, &needs);
    return rc ? rc : has < needs ? BA_LMDB_CUT : 0;
}

static int set_up(ba_lmdb *t) {
    /* NOMETASYNC: a power failure may undo the last transaction, and no more. NOTLS: a snapshot belongs to what was
     * found in it, not to a thread. */
    const unsigned flags = MDB_NOTLS | MDB_NOMETASYNC | (t->read_only ? MDB_RDONLY : 0);
    int rc, dead;
    if ((rc = mdb_env_set_mapsize(t->env, MAP_BYTES)) || (rc = mdb_env_set_maxdbs(t->env, 3)) ||
        (rc = mdb_env_set_maxreaders(t->env, READERS)) ||
        (rc = mdb_env_open(t->env, t->base.spec.place, flags, 0640)) || (rc = check_length(t)) ||
        (rc = mdb_reader_check(t->env, &dead))) {
        return rc;
    }
    return open_tables(t);
}

static int open_env(ba_lmdb *t, bool read_only) {
    int rc = mdb_env_create(&t->env);
    if (rc) {
        t->env = NULL;
        return rc;
    }
    t->read_only = read_only;
    rc = set_up(t);
    if (rc) {
        mdb_env_close(t->env);
        t->env = NULL;
    }
    return rc;
}

static void lmdb_close(ba_tier *tier) {
    ba_lmdb *t = (ba_lmdb *)tier;
    if (t->env) {
        mdb_env_close(t->env);
    }
    free(t);
}

static int check_folder(const char *place, bool create, char err[BA_ERR_LEN]) {
    struct stat info;
    if (create && mkdir(place, 0750) != 0 && errno != EEXIST) {
        return ba_fail(err, "store lmdb:%s: %s; give a folder that can be made", place, strerror(errno));
    }
    if (stat(place, &info) != 0) {
        return ba_fail(err, "store lmdb:%s: %s", place, strerror(errno));
    }
    if (!S_ISDIR(info.st_mode)) {
        return ba_fail(err, "store lmdb:%s: not a folder; give one, or a name that is free", place);
    }
    return 0;
}

static const char *cure_of(int rc) {
    switch (rc) {
    case BA_LMDB_CUT:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_CORRUPTED:
        return "give another folder, or remove this one";
    case MDB_NOTFOUND:
    case ENOENT:
        return "there is no store yet";
    case ENOMEM:
        return "it needs 4 TB of address space: see ulimit -v";
    default:
        return "give a folder that can be read and written";
    }
}

static int lmdb_open(const ba_tier_spec *spec, ba_remark remark, bool create, ba_tier **out, char err[BA_ERR_LEN]) {
    if (check_folder(spec->place, create, err)) {
        return -1;
    }
    ba_lmdb *t = calloc(1, sizeof *t);
    if (!t) {
        return ba_fail(err, "out of memory");
    }
    t->base = (ba_tier){&ba_tier_lmdb, *spec, remark};
    int rc = open_env(t, false);
    if (rc == EACCES || rc == EROFS) {
        rc = open_env(t, true);
        if (!rc && create) {
            ba_lmdb_complain(t, "cannot be written", EACCES);
        }
    }
    if (rc) {
        ba_fail(err, "store lmdb:%s: %s; %s", spec->place, ba_lmdb_error(rc), cure_of(rc));
        lmdb_close(&t->base);
        return -1;
    }
    *out = &t->base;
    return 0;
}

const ba_tier_ops ba_tier_lmdb = {
    .name = "lmdb",
    .usage = "lmdb:PATH:SIZE",
    .maps = true,
    .sized = true,
    .takes = ba_lmdb_takes,
    .open = lmdb_open,
    .close = lmdb_close,
    .expect = ba_lmdb_expect,
    .get = ba_lmdb_get,
    .release = ba_lmdb_release,
    .put = ba_lmdb_put,
    .touch = ba_lmdb_touch,
    .remove = ba_lmdb_remove,
    .pin = ba_lmdb_pin,
    .each = ba_lmdb_each,
    .collect = ba_lmdb_collect,
    .stats = ba_lmdb_stats,
};
