/* What is evicted when the budget is spent, and which records of it stay. */
#include "lmdb.h"

#include "sim/base/grow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ba_lmdb_drop(ba_lmdb_change *c, const ba_address *a, ba_lmdb_record *r, ba_lmdb_kept mark) {
    MDB_val key = ba_lmdb_key(a);
    int rc = mdb_del(c->txn, c->t->blocks, &key, NULL);
    if (rc && rc != MDB_NOTFOUND) {
        return rc;
    }
    c->sums.bytes -= r->bytes;
    c->sums.entries--;
    if (mark == BA_LMDB_KEPT) {
        return mdb_del(c->txn, c->t->uses, &key, NULL);
    }
    c->sums.gone++;
    r->kept = mark;
    r->last = ++c->sums.tick;
    return ba_lmdb_put_record(c, a, r);
}

/* A block that may go, or one that is gone. */
typedef struct candidate {
    ba_use use;
    ba_address address;
    ba_lmdb_record record;
} candidate;

/* All records of one kind; malloc'ed. Their number is counted, not taken from the sums in the file. */
static int list_records(ba_lmdb_change *c, bool gone, candidate **out, size_t *n) {
    candidate *list = NULL;
    size_t room = 0;
    MDB_cursor *cursor;
    MDB_val key, value;
    *out = NULL;
    *n = 0;
    int rc = mdb_cursor_open(c->txn, c->t->uses, &cursor);
    if (rc) {
        return rc;
    }
    while (!(rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
        if (key.mv_size != sizeof list->address || value.mv_size != sizeof list->record) {
            rc = MDB_CORRUPTED;
            break;
        }
        if (ba_grow(&list, &room, *n + 1, sizeof *list)) {
            rc = ENOMEM;
            break;
        }
        candidate *at = &list[*n];
        memcpy(&at->address, key.mv_data, sizeof at->address);
        memcpy(&at->record, value.mv_data, sizeof at->record);
        at->use = (ba_use){.last = at->record.last, .worth = gone ? 0 : at->record.worth};
        *n += (at->record.kept != BA_LMDB_KEPT) == gone;
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_NOTFOUND) {
        free(list);
        return rc;
    }
    *out = list;
    return 0;
}

/* The same, with a heap over the list. The caller frees both, also after a failure. */
static int line_up(ba_lmdb_change *c, bool gone, candidate **list, ba_victims *heap) {
    size_t n;
    int rc = list_records(c, gone, list, &n);
    if (rc) {
        return rc;
    }
    if (ba_victims_reserve(heap, n)) {
        return ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        ba_victims_add(heap, &(*list)[i].use);
    }
    return 0;
}

int ba_lmdb_make_room(ba_lmdb_change *c, uint64_t bytes, size_t *evicted) {
    uint64_t budget = c->t->base.spec.size;
    candidate *list;
    ba_victims heap = {0};
    if (!budget || c->sums.bytes + bytes <= budget) {
        return 0;
    }
    int rc = line_up(c, false, &list, &heap);
    for (ba_use *use; !rc && c->sums.bytes + bytes > budget && (use = ba_victims_first(&heap)); ++*evicted) {
        candidate *victim = (candidate *)use;
        ba_victims_remove(use);
        c->sums.age = victim->record.worth;
        rc = ba_lmdb_drop(c, &victim->address, &victim->record, BA_LMDB_GONE);
    }
    ba_victims_free(&heap);
    free(list);
    return rc;
}

int ba_lmdb_forget(ba_lmdb_change *c, size_t keep) {
    candidate *list;
    ba_victims heap = {0};
    if (c->sums.gone <= keep) {
        return 0;
    }
    int rc = line_up(c, true, &list, &heap);
    for (ba_use *use; !rc && c->sums.gone > keep && (use = ba_victims_first(&heap)); c->sums.gone--) {
        MDB_val key = ba_lmdb_key(&((candidate *)use)->address);
        ba_victims_remove(use);
        rc = mdb_del(c->txn, c->t->uses, &key, NULL);
    }
    ba_victims_free(&heap);
    free(list);
    return rc;
}
