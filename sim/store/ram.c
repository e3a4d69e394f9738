#include "ram.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct cell {
    ba_use use; /* first: the heap of victims holds these. In it while it has bytes that nobody holds */
    ba_address address;
    unsigned char *at; /* [room], the block in the first use.bytes of it; NULL: evicted, or larger than the tier */
    size_t room, holds;
    bool too_large;
    struct cell *next; /* in the bucket */
} cell;

typedef struct ram {
    ba_tier base;
    ba_backend *be;
    pthread_mutex_t lock; /* of all that follows */
    cell **bucket;        /* [n_bucket], a power of two */
    size_t n_bucket, n_cell, n_kept;
    ba_victims victims;
    uint64_t bytes, tick;
    double age;
    bool said;
} ram;

static cell **bucket_of(ram *t, const ba_address *a) {
    return &t->bucket[a->ids[1] & (t->n_bucket - 1)];
}

/* The cell of an address, or NULL; *why: BA_HIT if it has bytes, else the closest reason why there are none. */
static cell *find(ram *t, const ba_address *a, ba_lookup *why) {
    *why = BA_MISS_NEW;
    for (cell *c = *bucket_of(t, a); c; c = c->next) {
        ba_lookup reason = ba_address_compare(a, &c->address);
        if (reason == BA_HIT) {
            *why = c->at ? BA_HIT : c->too_large ? BA_MISS_TOO_LARGE : BA_MISS_EVICTED;
            return c;
        }
        *why = reason < *why ? reason : *why;
    }
    return NULL;
}

static void grow(ram *t) {
    cell **old = t->bucket;
    const size_t n = t->n_bucket;
    cell **more = calloc(2 * n, sizeof(cell *));
    if (!more) {
        return; /* longer chains, same answers */
    }
    t->bucket = more;
    t->n_bucket = 2 * n;
    for (size_t b = 0; b < n; b++) {
        for (cell *c = old[b], *next; c; c = next) {
            next = c->next;
            cell **to = bucket_of(t, &c->address);
            c->next = *to;
            *to = c;
        }
    }
    free(old);
}

static cell *record(ram *t, const ba_address *a) {
    ba_lookup why;
    cell *c = find(t, a, &why);
    if (c) {
        return c;
    }
    if (t->n_cell >= t->n_bucket) {
        grow(t);
    }
    c = calloc(1, sizeof *c);
    if (!c || ba_victims_reserve(&t->victims, t->n_cell + 1)) {
        free(c);
        return NULL;
    }
    cell **to = bucket_of(t, a);
    c->address = *a;
    c->next = *to;
    *to = c;
    t->n_cell++;
    return c;
}

static void drop(ram *t, cell *c) {
    t->be->ops->host_free(t->be, c->at);
    c->at = NULL;
    t->bytes -= c->use.bytes;
    t->n_kept--;
}

/* Room for n bytes within the budget. Memory that the device reaches is slow to get: an evicted block's serves the next
 * one of about its size. NULL: there is none, now or at all. */
static unsigned char *make_room(ram *t, size_t n, size_t *room) {
    unsigned char *at = NULL;
    ba_use *first;
    while (t->bytes + n > t->base.spec.size && (first = ba_victims_first(&t->victims))) {
        cell *c = (cell *)first;
        ba_victims_remove(first);
        t->age = first->worth;
        if (!at && c->room >= n && c->room - n <= n / 4) {
            at = c->at;
            *room = c->room;
            c->at = NULL;
        }
        drop(t, c);
    }
    if (t->bytes + n > t->base.spec.size) { /* the rest is in use */
        t->be->ops->host_free(t->be, at);
        return NULL;
    }
    if (!at) {
        at = t->be->ops->host_new(t->be, n);
        *room = n;
    }
    if (!at && !t->said) {
        t->said = true;
        t->base.remark(
            "store ram: no more memory can be page-locked for the device (ulimit -l, free memory): blocks are not "
            "kept there");
    }
    return at;
}

static void put_one(ram *t, const ba_block *b) {
    const size_t n = ba_block_bytes(b);
    cell *c = record(t, &b->head.address);
    if (!c || c->at) {
        return;
    }
    c->too_large = n > t->base.spec.size;
    c->at = c->too_large ? NULL : make_room(t, n, &c->room);
    if (!c->at) {
        return;
    }
    for (size_t i = 0, at = 0; i < BA_BLOCK_PARTS; at += b->part[i++].iov_len) {
        if (b->part[i].iov_len) {
            memcpy(c->at + at, b->part[i].iov_base, b->part[i].iov_len);
        }
    }
    c->use.bytes = n;
    c->use.seconds = b->head.seconds;
    ba_use_touch(&c->use, t->base.spec.policy, ++t->tick, t->age);
    ba_victims_add(&t->victims, &c->use);
    t->bytes += n;
    t->n_kept++;
}

static void ram_put(ba_tier *tier, const ba_block *const *block, size_t n) {
    ram *t = (ram *)tier;
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(&t->lock); /* a look-up waits for one block at most */
        put_one(t, block[i]);
        pthread_mutex_unlock(&t->lock);
    }
}

static size_t ram_expect(ba_tier *tier, ba_tier_ask *ask, size_t n) {
    ram *t = (ram *)tier;
    size_t missing = 0;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        ba_lookup why;
        find(t, &ask[i].address, &why);
        if (why != BA_HIT) {
            ask[missing++] = ask[i];
        }
    }
    pthread_mutex_unlock(&t->lock);
    return missing;
}

static ba_lookup ram_get(ba_tier *tier, const ba_tier_ask *ask, ba_tier_bytes *out) {
    ram *t = (ram *)tier;
    ba_lookup why;
    pthread_mutex_lock(&t->lock);
    cell *c = find(t, &ask->address, &why);
    if (why == BA_HIT) {
        if (!c->holds++) {
            ba_victims_remove(&c->use);
        }
        *out = (ba_tier_bytes){.at = c->at, .n = (size_t)c->use.bytes, .hold = c};
    }
    pthread_mutex_unlock(&t->lock);
    return why;
}

static void ram_release(ba_tier *tier, ba_tier_bytes *bytes) {
    ram *t = (ram *)tier;
    cell *c = bytes->hold;
    pthread_mutex_lock(&t->lock);
    if (!--c->holds) {
        ba_victims_add(&t->victims, &c->use);
    }
    pthread_mutex_unlock(&t->lock);
}

static void ram_touch(ba_tier *tier, const ba_address *address, size_t n) {
    ram *t = (ram *)tier;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        ba_lookup why;
        cell *c = find(t, &address[i], &why);
        if (why == BA_HIT) {
            ba_use_touch(&c->use, t->base.spec.policy, ++t->tick, t->age);
        }
    }
    pthread_mutex_unlock(&t->lock);
}

/* A held one stays: whoever asks has its bytes. */
static int ram_remove(ba_tier *tier, const ba_address *address, char err[BA_ERR_LEN]) {
    ram *t = (ram *)tier;
    ba_lookup why;
    pthread_mutex_lock(&t->lock);
    cell *c = find(t, address, &why);
    bool held = why == BA_HIT && c->holds;
    if (why == BA_HIT && !held) {
        ba_victims_remove(&c->use);
        drop(t, c);
    }
    pthread_mutex_unlock(&t->lock);
    return held ? ba_fail(err, "store ram: the block is in use") : 0;
}

static int ram_stats(ba_tier *tier, ba_tier_stats *out, char err[BA_ERR_LEN]) {
    (void)err;
    ram *t = (ram *)tier;
    pthread_mutex_lock(&t->lock);
    *out = (ba_tier_stats){
        .entries = t->n_kept, .gone = t->n_cell - t->n_kept, .bytes = t->bytes, .budget = t->base.spec.size};
    pthread_mutex_unlock(&t->lock);
    return 0;
}

static void ram_close(ba_tier *tier) {
    ram *t = (ram *)tier;
    for (size_t b = 0; b < t->n_bucket; b++) {
        for (cell *c = t->bucket[b], *next; c; c = next) {
            next = c->next;
            t->be->ops->host_free(t->be, c->at);
            free(c);
        }
    }
    ba_victims_free(&t->victims);
    pthread_mutex_destroy(&t->lock);
    free(t->bucket);
    free(t);
}

static const ba_tier_ops ops = {.name = "ram",
                                .usage = "ram:SIZE",
                                .inside = true,
                                .sized = true,
                                .close = ram_close,
                                .expect = ram_expect,
                                .get = ram_get,
                                .release = ram_release,
                                .put = ram_put,
                                .touch = ram_touch,
                                .remove = ram_remove,
                                .stats = ram_stats};

ba_tier *ba_ram_new(ba_backend *be, uint64_t size, const ba_policy *policy, ba_remark remark) {
    ram *t = calloc(1, sizeof *t);
    enum { BUCKETS = 1024 };
    if (!t || !(t->bucket = calloc(BUCKETS, sizeof(cell *)))) {
        free(t);
        return NULL;
    }
    static char here[] = "this process";
    t->base =
        (ba_tier){.ops = &ops, .spec = {.ops = &ops, .place = here, .size = size, .policy = policy}, .remark = remark};
    t->be = be;
    t->n_bucket = BUCKETS;
    pthread_mutex_init(&t->lock, NULL);
    return &t->base;
}
