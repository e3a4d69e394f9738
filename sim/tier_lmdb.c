/* The tier on a disk: LMDB, a memory-mapped B+ tree. Many processes may read and write one at once; a process that is
 * killed leaves the last complete transaction; a reader sees one state for as long as it holds what it found.
 *
 * Three tables: `blocks` (address to parcel), `uses` (address to what the policy knows of it; kept when a block
 * is evicted, so that a later miss can say so) and `state` (sums over all of them). A value of more than half a page
 * lies in pages of its own, 16 bytes behind their beginning: the header's size makes KV aligned there. */
#include "tiers.h"

#include <errno.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_SIBLINGS = 64,  /* of one text that a reason is looked for in */
    MAX_GONE = 1 << 16, /* evicted blocks that are remembered */
    READERS = 1024,
    RETRY_S = 30 /* after a write that failed */
};

/* Address space, not disk: the budget is kept by this file. The thread sanitizer leaves a program less of it. */
#ifdef __SANITIZE_THREAD__
#define MAP_BYTES (UINT64_C(1) << 37)
#else
#define MAP_BYTES (UINT64_C(1) << 42)
#endif

typedef enum kept { KEPT, GONE, TOO_LARGE } kept;

/* What `uses` holds. */
typedef struct record {
    uint64_t last, uses, bytes;
    double seconds, worth;
    uint64_t kept;
} record;

/* What `state` holds. */
typedef struct sums {
    uint64_t bytes, entries, gone, tick;
    double age;
} sums;

/* A reader's state of the tree, shared by all that was found in it. */
typedef struct snapshot {
    MDB_txn *txn;
    size_t refs;
} snapshot;

typedef struct lmdb {
    ba_tier base;
    MDB_env *env;
    MDB_dbi blocks, uses, state;
    bool read_only;
    snapshot *now;      /* the youngest; NULL if nobody holds one */
    double quiet_until; /* the writer's */
    atomic_bool said;
} lmdb;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static MDB_val key_of(const ba_address *a) {
    return (MDB_val){sizeof *a, (void *)a};
}

/* One remark until something succeeds again. */
static void complain(lmdb *t, const char *doing, int rc) {
    char line[BA_ERR_LEN];
    if (!atomic_exchange(&t->said, true)) {
        ba_fail(line, "store lmdb:%s: %s: %s; going on without", t->base.spec.place, doing, mdb_strerror(rc));
        t->base.remark(line);
    }
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static int open_tables(lmdb *t) {
    MDB_txn *txn;
    unsigned flags = t->read_only ? 0 : MDB_CREATE;
    int rc = mdb_txn_begin(t->env, NULL, t->read_only ? MDB_RDONLY : 0, &txn);
    if (rc) {
        return rc;
    }
    (void)((rc = mdb_dbi_open(txn, "blocks", flags, &t->blocks)) || (rc = mdb_dbi_open(txn, "uses", flags, &t->uses)) ||
           (rc = mdb_dbi_open(txn, "state", flags, &t->state)));
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static int open_env(lmdb *t, bool read_only) {
    int rc = mdb_env_create(&t->env);
    if (rc) {
        t->env = NULL;
        return rc;
    }
    t->read_only = read_only;
    /* NOMETASYNC: a power failure may undo the last transaction, and no more. NOTLS: a snapshot belongs to what was
     * found in it, not to a thread. */
    unsigned flags = MDB_NOTLS | MDB_NOMETASYNC | (read_only ? MDB_RDONLY : 0);
    (void)((rc = mdb_env_set_mapsize(t->env, MAP_BYTES)) || (rc = mdb_env_set_maxdbs(t->env, 3)) ||
           (rc = mdb_env_set_maxreaders(t->env, READERS)) ||
           (rc = mdb_env_open(t->env, t->base.spec.place, flags, 0640)));
    int dead;
    if (!rc && !(rc = mdb_reader_check(t->env, &dead))) {
        rc = open_tables(t);
    }
    if (rc) {
        mdb_env_close(t->env);
        t->env = NULL;
    }
    return rc;
}

static void lmdb_close(ba_tier *tier) {
    lmdb *t = (lmdb *)tier;
    if (t->env) {
        mdb_env_close(t->env);
    }
    free(t);
}

static int lmdb_open(const ba_tier_spec *spec, ba_remark remark, bool create, ba_tier **out, char err[BA_ERR_LEN]) {
    struct stat info;
    if (create && mkdir(spec->place, 0750) != 0 && errno != EEXIST) {
        return ba_fail(err, "store lmdb:%s: %s; give a folder that can be made", spec->place, strerror(errno));
    }
    if (stat(spec->place, &info) != 0) {
        return ba_fail(err, "store lmdb:%s: %s", spec->place, strerror(errno));
    }
    if (!S_ISDIR(info.st_mode)) {
        return ba_fail(err, "store lmdb:%s: not a folder; give one, or a name that is free", spec->place);
    }
    lmdb *t = calloc(1, sizeof *t);
    if (!t) {
        return ba_fail(err, "out of memory");
    }
    t->base = (ba_tier){&ba_tier_lmdb, *spec, remark};
    int rc = open_env(t, false);
    if (rc == EACCES || rc == EROFS) {
        rc = open_env(t, true);
        if (!rc && create) {
            complain(t, "cannot be written", EACCES);
        }
    }
    if (rc) {
        const char *fix = rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_CORRUPTED
                              ? "give another folder, or remove this one"
                          : rc == MDB_NOTFOUND || rc == ENOENT ? "there is no store yet"
                          : rc == ENOMEM                       ? "it needs 4 TB of address space: see ulimit -v"
                                                               : "give a folder that can be read and written";
        ba_fail(err, "store lmdb:%s: %s; %s", spec->place, mdb_strerror(rc), fix);
        lmdb_close(&t->base);
        return -1;
    }
    *out = &t->base;
    return 0;
}

/* ---- looking up ------------------------------------------------------------------------------------------------ */

static int get_record(const lmdb *t, MDB_txn *txn, const ba_address *a, record *out) {
    MDB_val key = key_of(a), value;
    int rc = mdb_get(txn, t->uses, &key, &value);
    if (!rc && value.mv_size != sizeof *out) {
        rc = MDB_CORRUPTED;
    }
    if (!rc) {
        memcpy(out, value.mv_data, sizeof *out);
    }
    return rc;
}

static ba_use use_of(const record *r) {
    return (ba_use){.last = r->last, .uses = r->uses, .bytes = r->bytes, .seconds = r->seconds, .worth = r->worth};
}

/* The youngest state, held once more. */
static snapshot *hold(lmdb *t, int *rc) {
    MDB_envinfo info;
    mdb_env_info(t->env, &info);
    if (t->now && mdb_txn_id(t->now->txn) == info.me_last_txnid) {
        t->now->refs++;
        return t->now;
    }
    snapshot *s = malloc(sizeof *s);
    *rc = s ? mdb_txn_begin(t->env, NULL, MDB_RDONLY, &s->txn) : ENOMEM;
    if (*rc) {
        free(s);
        return NULL;
    }
    s->refs = 1;
    return t->now = s;
}

static void let_go(lmdb *t, snapshot *s) {
    if (--s->refs == 0) {
        mdb_txn_abort(s->txn);
        if (t->now == s) {
            t->now = NULL;
        }
        free(s);
    }
}

/* The closest reason among the blocks of the same text. */
static ba_lookup why_not(const lmdb *t, MDB_txn *txn, const ba_address *a) {
    ba_lookup why = BA_MISS_NEW;
    ba_address first = {.ids = {a->ids[0], a->ids[1]}};
    MDB_val key = key_of(&first), value;
    MDB_cursor *c;
    if (mdb_cursor_open(txn, t->uses, &c)) {
        return BA_MISS_AWAY;
    }
    int rc = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);
    for (size_t i = 0; !rc && i < MAX_SIBLINGS && key.mv_size == sizeof *a && value.mv_size == sizeof(record); i++) {
        ba_address other;
        record r;
        memcpy(&other, key.mv_data, sizeof other);
        memcpy(&r, value.mv_data, sizeof r);
        ba_lookup reason = ba_address_compare(a, &other);
        if (reason == BA_HIT) {
            reason = r.kept == TOO_LARGE ? BA_MISS_TOO_LARGE : BA_MISS_EVICTED;
        } else if (reason == BA_MISS_NEW) {
            break;
        }
        why = reason < why ? reason : why;
        rc = mdb_cursor_get(c, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(c);
    return why;
}

static ba_lookup lmdb_get(ba_tier *tier, const ba_address *a, ba_tier_bytes *out) {
    lmdb *t = (lmdb *)tier;
    int rc = 0;
    snapshot *s = hold(t, &rc);
    if (!s) {
        complain(t, "cannot be read", rc);
        return BA_MISS_AWAY;
    }
    MDB_val key = key_of(a), value;
    rc = mdb_get(s->txn, t->blocks, &key, &value);
    if (!rc) {
        record r;
        *out = (ba_tier_bytes){value.mv_data, value.mv_size, false, s};
        if (get_record(t, s->txn, a, &r) == 0) {
            const ba_use use = use_of(&r);
            out->pinned = ba_use_pinned(&use);
        }
        return BA_HIT;
    }
    ba_lookup why = rc == MDB_NOTFOUND ? why_not(t, s->txn, a) : BA_MISS_AWAY;
    if (rc != MDB_NOTFOUND) {
        complain(t, "cannot be read", rc);
    }
    let_go(t, s);
    return why;
}

static void lmdb_release(ba_tier *tier, ba_tier_bytes *bytes) {
    let_go((lmdb *)tier, bytes->hold);
}

/* The kernel reads all of them at once, while the first is being looked at. */
static size_t lmdb_expect(ba_tier *tier, ba_address *a, size_t n) {
    lmdb *t = (lmdb *)tier;
    int rc = 0;
    snapshot *s = hold(t, &rc);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), left = 0;
    if (!s) {
        return n;
    }
    for (size_t i = 0; i < n; i++) {
        MDB_val key = key_of(&a[i]), value;
        if (mdb_get(s->txn, t->blocks, &key, &value) == 0) {
            size_t before = (uintptr_t)value.mv_data % page;
            madvise((char *)value.mv_data - before, before + value.mv_size, MADV_WILLNEED); /* a hint */
        } else {
            a[left++] = a[i];
        }
    }
    let_go(t, s);
    return left;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* A transaction that changes something. */
typedef struct change {
    lmdb *t;
    MDB_txn *txn;
    sums sums;
} change;

static MDB_val sums_key(void) {
    return (MDB_val){4, "sums"};
}

static int read_sums(const lmdb *t, MDB_txn *txn, sums *out) {
    MDB_val key = sums_key(), value;
    int rc = mdb_get(txn, t->state, &key, &value);
    *out = (sums){0};
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

static int change_begin(lmdb *t, change *c) {
    *c = (change){.t = t};
    int rc = t->read_only ? EROFS : mdb_txn_begin(t->env, NULL, 0, &c->txn);
    if (!rc && (rc = read_sums(t, c->txn, &c->sums))) {
        mdb_txn_abort(c->txn);
    }
    return rc;
}

/* Commits, or takes everything back if rc says so already. */
static int change_end(change *c, int rc) {
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

static int put_record(change *c, const ba_address *a, const record *r) {
    MDB_val key = key_of(a), value = {sizeof *r, (void *)r};
    return mdb_put(c->txn, c->t->uses, &key, &value, 0);
}

static void touch_record(change *c, record *r) {
    ba_use use = use_of(r);
    ba_use_touch(&use, c->t->base.spec.policy, ++c->sums.tick, c->sums.age);
    r->last = use.last;
    r->uses = use.uses;
    r->worth = use.worth;
}

/* Takes a block away; its record stays as `mark`, or goes too (KEPT). */
static int drop(change *c, const ba_address *a, record *r, kept mark) {
    MDB_val key = key_of(a);
    int rc = mdb_del(c->txn, c->t->blocks, &key, NULL);
    if (rc && rc != MDB_NOTFOUND) {
        return rc;
    }
    c->sums.bytes -= r->bytes;
    c->sums.entries--;
    if (mark == KEPT) {
        return mdb_del(c->txn, c->t->uses, &key, NULL);
    }
    c->sums.gone++;
    r->kept = mark;
    r->last = ++c->sums.tick;
    return put_record(c, a, r);
}

/* A block that may go, or one that is gone. */
typedef struct candidate {
    ba_use use;
    ba_address address;
    record record;
} candidate;

/* All records of one kind; malloc'ed. */
static int list_records(change *c, bool gone, candidate **out, size_t *n) {
    size_t room = gone ? c->sums.gone : c->sums.entries;
    candidate *list = malloc((room + 1) * sizeof *list);
    MDB_cursor *cursor;
    *out = NULL;
    *n = 0;
    int rc = list ? mdb_cursor_open(c->txn, c->t->uses, &cursor) : ENOMEM;
    if (rc) {
        free(list);
        return rc;
    }
    MDB_val key, value;
    while (!(rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) && *n < room) {
        candidate *at = &list[*n];
        if (key.mv_size != sizeof at->address || value.mv_size != sizeof at->record) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(&at->address, key.mv_data, sizeof at->address);
        memcpy(&at->record, value.mv_data, sizeof at->record);
        at->use = (ba_use){.last = at->record.last, .worth = gone ? 0 : at->record.worth};
        *n += (at->record.kept != KEPT) == gone;
    }
    mdb_cursor_close(cursor);
    if (rc && rc != MDB_NOTFOUND) {
        free(list);
        return rc;
    }
    *out = list;
    return 0;
}

/* Evicts what is worth least until `bytes` fit in the budget, or only pinned blocks are left; how many went. */
static int make_room(change *c, uint64_t bytes, size_t *evicted) {
    uint64_t budget = c->t->base.spec.size;
    candidate *list;
    ba_victims heap = {0};
    size_t n;
    if (!budget || c->sums.bytes + bytes <= budget) {
        return 0;
    }
    int rc = list_records(c, false, &list, &n);
    if (!rc && ba_victims_reserve(&heap, n)) {
        rc = ENOMEM;
    }
    for (size_t i = 0; !rc && i < n; i++) {
        ba_victims_add(&heap, &list[i].use);
    }
    for (ba_use *use; !rc && c->sums.bytes + bytes > budget && (use = ba_victims_first(&heap)); ++*evicted) {
        candidate *victim = (candidate *)use;
        ba_victims_remove(use);
        c->sums.age = victim->record.worth;
        rc = drop(c, &victim->address, &victim->record, GONE);
    }
    ba_victims_free(&heap);
    free(list);
    return rc;
}

/* Forgets the reasons that were not asked for longest, all but `keep`. */
static int forget(change *c, size_t keep) {
    candidate *list;
    ba_victims heap = {0};
    size_t n;
    if (c->sums.gone <= keep) {
        return 0;
    }
    int rc = list_records(c, true, &list, &n);
    if (!rc && ba_victims_reserve(&heap, n)) {
        rc = ENOMEM;
    }
    for (size_t i = 0; !rc && i < n; i++) {
        ba_victims_add(&heap, &list[i].use);
    }
    for (ba_use *use; !rc && c->sums.gone > keep && (use = ba_victims_first(&heap)); c->sums.gone--) {
        MDB_val key = key_of(&((candidate *)use)->address);
        ba_victims_remove(use);
        rc = mdb_del(c->txn, c->t->uses, &key, NULL);
    }
    ba_victims_free(&heap);
    free(list);
    return rc;
}

/* Whole pages. */
static uint64_t lmdb_takes(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

static int put_block(change *c, const ba_parcel *p) {
    const ba_address *a = &p->head.address;
    size_t size = ba_parcel_bytes(p), evicted = 0;
    record r;
    int rc = get_record(c->t, c->txn, a, &r);
    if (rc && rc != MDB_NOTFOUND) {
        return rc;
    }
    if (!rc && r.kept == KEPT) { /* another process was first: both are the same bits */
        touch_record(c, &r);
        return put_record(c, a, &r);
    }
    c->sums.gone -= !rc;
    r = (record){.uses = rc ? 0 : r.uses, .bytes = lmdb_takes(size), .seconds = p->head.seconds};
    touch_record(c, &r);
    if (c->t->base.spec.size && r.bytes > c->t->base.spec.size) {
        c->sums.gone++;
        r.kept = TOO_LARGE;
        return put_record(c, a, &r);
    }
    rc = make_room(c, r.bytes, &evicted);
    if (!rc && c->t->base.spec.size && c->sums.bytes + r.bytes > c->t->base.spec.size) {
        c->sums.gone++;
        r.kept = GONE;
        return put_record(c, a, &r);
    }
    MDB_val key = key_of(a), value = {size, NULL};
    (void)(rc || (rc = forget(c, MAX_GONE)) || (rc = mdb_put(c->txn, c->t->blocks, &key, &value, MDB_RESERVE)));
    char *to = value.mv_data;
    for (size_t i = 0; !rc && i < BA_PARCEL_PARTS; i++) {
        if (p->part[i].iov_len) { /* a part that is not there has no place either */
            memcpy(to, p->part[i].iov_base, p->part[i].iov_len);
            to += p->part[i].iov_len;
        }
    }
    c->sums.bytes += r.bytes;
    c->sums.entries++;
    return rc ? rc : put_record(c, a, &r);
}

static void lmdb_put(ba_tier *tier, const ba_parcel *const *block, size_t n) {
    lmdb *t = (lmdb *)tier;
    change c;
    if (t->read_only || now_s() < t->quiet_until) {
        return;
    }
    int rc = change_begin(t, &c);
    if (!rc) {
        for (size_t i = 0; !rc && i < n; i++) {
            rc = put_block(&c, block[i]);
        }
        rc = change_end(&c, rc);
    }
    if (rc) {
        /* LMDB says EIO when a write comes out short */
        complain(t, rc == EIO ? "cannot be written (is the disk full?)" : "cannot be written", rc);
        t->quiet_until = now_s() + RETRY_S;
    } else {
        t->said = false;
    }
}

static void lmdb_touch(ba_tier *tier, const ba_address *a, size_t n) {
    lmdb *t = (lmdb *)tier;
    change c;
    if (t->read_only || now_s() < t->quiet_until || change_begin(t, &c)) {
        return; /* a use that is not counted does no harm */
    }
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        record r;
        rc = get_record(t, c.txn, &a[i], &r);
        if (!rc && r.kept == KEPT) {
            touch_record(&c, &r);
            rc = put_record(&c, &a[i], &r);
        }
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    change_end(&c, rc);
}

/* ---- looking after it ------------------------------------------------------------------------------------------ */

static int fail(const lmdb *t, int rc, char err[BA_ERR_LEN]) {
    return ba_fail(err, "store lmdb:%s: %s", t->base.spec.place, mdb_strerror(rc));
}

static int lmdb_remove(ba_tier *tier, const ba_address *a, char err[BA_ERR_LEN]) {
    lmdb *t = (lmdb *)tier;
    change c;
    record r;
    int rc = change_begin(t, &c);
    if (!rc) {
        rc = get_record(t, c.txn, a, &r);
        rc = change_end(&c, rc || r.kept != KEPT ? rc : drop(&c, a, &r, KEPT));
    }
    return rc && rc != MDB_NOTFOUND ? fail(t, rc, err) : 0;
}

static int lmdb_pin(ba_tier *tier, const ba_address *a, bool on, char err[BA_ERR_LEN]) {
    lmdb *t = (lmdb *)tier;
    change c;
    record r;
    int rc = change_begin(t, &c);
    if (!rc) {
        rc = get_record(t, c.txn, a, &r);
        if (!rc && r.kept == KEPT) {
            ba_use use = use_of(&r);
            ba_use_pin(&use, on, t->base.spec.policy, c.sums.age);
            r.worth = use.worth;
            rc = put_record(&c, a, &r);
        }
        rc = change_end(&c, rc);
    }
    return rc ? fail(t, rc, err) : 0;
}

static int lmdb_each(ba_tier *tier, ba_tier_visit visit, void *arg, char err[BA_ERR_LEN]) {
    lmdb *t = (lmdb *)tier;
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    int rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn), result = 0;
    if (rc) {
        return fail(t, rc, err);
    }
    rc = mdb_cursor_open(txn, t->blocks, &cursor);
    MDB_val key, value;
    while (!rc && !result && !(rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
        ba_address a;
        record r;
        if (key.mv_size != sizeof a) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(&a, key.mv_data, sizeof a);
        rc = get_record(t, txn, &a, &r);
        ba_use use = {0};
        if (!rc) {
            use = use_of(&r);
        }
        result = rc && rc != MDB_NOTFOUND ? 0 : visit(arg, &a, value.mv_data, value.mv_size, &use);
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    if (cursor) {
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return result ? result : rc && rc != MDB_NOTFOUND ? fail(t, rc, err) : 0;
}

static int lmdb_collect(ba_tier *tier, size_t *evicted, char err[BA_ERR_LEN]) {
    lmdb *t = (lmdb *)tier;
    change c;
    *evicted = 0;
    int rc = change_begin(t, &c);
    if (!rc) {
        rc = make_room(&c, 0, evicted);
        rc = change_end(&c, rc ? rc : forget(&c, 0));
    }
    return rc ? fail(t, rc, err) : 0;
}

static int lmdb_stats(ba_tier *tier, ba_tier_stats *out, char err[BA_ERR_LEN]) {
    lmdb *t = (lmdb *)tier;
    MDB_txn *txn;
    sums s;
    struct stat info;
    int rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn), fd;
    if (rc) {
        return fail(t, rc, err);
    }
    rc = read_sums(t, txn, &s);
    mdb_txn_abort(txn);
    if (rc) {
        return fail(t, rc, err);
    }
    *out = (ba_tier_stats){.entries = s.entries, .gone = s.gone, .bytes = s.bytes, .budget = t->base.spec.size};
    if (!mdb_env_get_fd(t->env, &fd) && !fstat(fd, &info)) {
        out->file_bytes = (uint64_t)info.st_size;
    }
    return 0;
}

const ba_tier_ops ba_tier_lmdb = {
    .name = "lmdb",
    .usage = "lmdb:PATH:SIZE",
    .maps = true,
    .sized = true,
    .takes = lmdb_takes,
    .open = lmdb_open,
    .close = lmdb_close,
    .expect = lmdb_expect,
    .get = lmdb_get,
    .release = lmdb_release,
    .put = lmdb_put,
    .touch = lmdb_touch,
    .remove = lmdb_remove,
    .pin = lmdb_pin,
    .each = lmdb_each,
    .collect = lmdb_collect,
    .stats = lmdb_stats,
};
