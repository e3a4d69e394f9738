#include "remembered.h"

#include "kernels/base/sizes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { SLOTS = 1 << 14 }; /* a power of two; texts with one slot are in a list */

/* In one piece of memory with its ids and then its text. */
typedef struct entry entry;
struct entry {
    entry *next;          /* of the slot */
    entry *older, *newer; /* in the order of the last use */
    uint64_t hash;
    size_t len, n, bytes; /* of the text, of ids, of all of it */
    bool special;
    int32_t ids[]; /* [n], then the text [len] */
};

struct ba_remembered {
    size_t most;
    pthread_mutex_t lock;
    entry *oldest, *newest;
    ba_remembered_counts count;
    entry *slot[SLOTS];
};

ba_remembered *ba_remembered_new(size_t most) {
    ba_remembered *r = calloc(1, sizeof *r);
    if (r) {
        r->most = most;
        pthread_mutex_init(&r->lock, NULL);
    }
    return r;
}

static void unlink_use(ba_remembered *r, entry *e) {
    *(e->older ? &e->older->newer : &r->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &r->newest) = e->older;
}

static void link_use(ba_remembered *r, entry *e) {
    e->older = r->newest;
    e->newer = NULL;
    *(r->newest ? &r->newest->newer : &r->oldest) = e;
    r->newest = e;
}

static void drop_oldest(ba_remembered *r) {
    entry *e = r->oldest, **at = &r->slot[e->hash & (SLOTS - 1)];
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    unlink_use(r, e);
    r->count.bytes -= e->bytes;
    r->count.texts--;
    free(e);
}

static void forget(ba_remembered *r) {
    while (r->oldest) {
        drop_oldest(r);
    }
}

void ba_remembered_forget(ba_remembered *r) {
    pthread_mutex_lock(&r->lock);
    forget(r);
    pthread_mutex_unlock(&r->lock);
}

void ba_remembered_free(ba_remembered *r) {
    if (r) {
        forget(r);
        pthread_mutex_destroy(&r->lock);
        free(r);
    }
}

ba_remembered_counts ba_remembered_count(ba_remembered *r) {
    pthread_mutex_lock(&r->lock);
    ba_remembered_counts count = r->count;
    pthread_mutex_unlock(&r->lock);
    return count;
}

uint64_t ba_remembered_hash(const char *text, size_t len, bool special) {
    return XXH3_64bits_withSeed(text, len, special);
}

static entry *find(const ba_remembered *r, uint64_t hash, const char *text, size_t len, bool special) {
    for (entry *e = r->slot[hash & (SLOTS - 1)]; e; e = e->next) {
        if (e->hash == hash && e->len == len && e->special == special && memcmp(e->ids + e->n, text, len) == 0) {
            return e;
        }
    }
    return NULL;
}

bool ba_remembered_find(ba_remembered *r, uint64_t hash, const char *text, size_t len, bool special, int32_t **ids,
                        size_t *n) {
    bool found = false;
    pthread_mutex_lock(&r->lock);
    entry *e = find(r, hash, text, len, special);
    if (e) {
        *n = e->n;
        *ids = e->n ? malloc(e->n * sizeof **ids) : NULL;
        found = *ids || e->n == 0;
        if (*ids) {
            memcpy(*ids, e->ids, e->n * sizeof **ids);
        }
        unlink_use(r, e);
        link_use(r, e);
    }
    r->count.found += found;
    r->count.missed += !found;
    pthread_mutex_unlock(&r->lock);
    return found;
}

static entry *make(uint64_t hash, const char *text, size_t len, bool special, const int32_t *ids, size_t n,
                   size_t bytes) {
    entry *e = malloc(bytes);
    if (e) {
        *e = (entry){.hash = hash, .len = len, .n = n, .bytes = bytes, .special = special};
        if (n) {
            memcpy(e->ids, ids, n * sizeof *ids);
        }
        memcpy(e->ids + n, text, len);
    }
    return e;
}

void ba_remembered_add(ba_remembered *r, uint64_t hash, const char *text, size_t len, bool special, const int32_t *ids,
                       size_t n) {
    size_t bytes;
    if (!ba_multiply_sizes(n, sizeof *ids, &bytes) || !ba_add_sizes(bytes, len, &bytes) ||
        !ba_add_sizes(bytes, sizeof(entry), &bytes) || bytes > r->most / 8) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    entry *e = find(r, hash, text, len, special) ? NULL : make(hash, text, len, special, ids, n, bytes);
    if (e) {
        while (r->count.bytes + bytes > r->most) {
            drop_oldest(r);
        }
        e->next = r->slot[hash & (SLOTS - 1)];
        r->slot[hash & (SLOTS - 1)] = e;
        link_use(r, e);
        r->count.bytes += bytes;
        r->count.texts++;
    }
    pthread_mutex_unlock(&r->lock);
}
