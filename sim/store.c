#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* An entry outlives its KV: what is left of an evicted one explains the next miss. */
struct ba_entry {
    XXH128_hash_t ids;              /* hash of the tokens alone: all entries of one text share a bucket */
    uint64_t model, adapter, dtype; /* hashes of the origin's strings */
    ba_key key;
    ba_kv *kv; /* NULL: evicted, or never kept */
    uint64_t bytes;
    double *aux;
    size_t n_aux;
    size_t pins;
    bool too_large;
    ba_entry *newer, *older; /* least-recently-used list of unpinned entries with KV */
    ba_entry *next;          /* in the bucket */
};

struct ba_store {
    ba_backend *be;
    ba_entry **bucket;
    size_t n_bucket; /* a power of two */
    size_t n_record;
    ba_entry *newest, *oldest;
    ba_store_stats stats;
};

const char *ba_lookup_name(ba_lookup why) {
    static const char *const name[BA_LOOKUP_COUNT] = {
        [BA_HIT] = "hit",
        [BA_MISS_NEW] = "never seen",
        [BA_MISS_EVICTED] = "evicted",
        [BA_MISS_MODEL] = "other model or adapter",
        [BA_MISS_DTYPE] = "other backend or dtype",
        [BA_MISS_CONTEXT] = "same tokens, other context",
        [BA_MISS_TOO_LARGE] = "larger than the budget",
    };
    return (unsigned)why < BA_LOOKUP_COUNT ? name[why] : "?";
}

ba_store *ba_store_new(ba_backend *be, uint64_t budget) {
    ba_store *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->be = be;
    s->n_bucket = 1024;
    s->bucket = calloc(s->n_bucket, sizeof *s->bucket);
    s->stats.budget = budget;
    if (!s->bucket) {
        free(s);
        return NULL;
    }
    return s;
}

static void unlink_lru(ba_store *s, ba_entry *e) {
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void drop_kv(ba_store *s, ba_entry *e) {
    s->be->ops->kv_free(s->be, e->kv);
    free(e->aux);
    e->kv = NULL;
    e->aux = NULL;
    e->n_aux = 0;
    s->stats.bytes -= e->bytes;
    s->stats.entries--;
}

/* Pinned entries may exceed the budget for as long as a run needs them. */
static void shrink(ba_store *s) {
    while (s->stats.bytes > s->stats.budget && s->oldest) {
        ba_entry *e = s->oldest;
        unlink_lru(s, e);
        drop_kv(s, e);
        s->stats.evictions++;
    }
}

void ba_store_clear(ba_store *s) {
    for (size_t b = 0; b < s->n_bucket; b++) {
        ba_entry **link = &s->bucket[b];
        while (*link) {
            ba_entry *e = *link;
            if (e->pins) {
                link = &e->next;
                continue;
            }
            *link = e->next;
            if (e->kv) {
                unlink_lru(s, e);
                drop_kv(s, e);
            }
            s->n_record--;
            free(e);
        }
    }
}

void ba_store_free(ba_store *s) {
    if (!s) {
        return;
    }
    ba_store_clear(s);
    free(s->bucket);
    free(s);
}

static uint64_t hash_text(const char *text) {
    return XXH3_64bits(text, strlen(text));
}

typedef struct wanted {
    XXH128_hash_t ids;
    uint64_t model, adapter, dtype;
    ba_key key;
} wanted;

static wanted want(const ba_origin *origin, ba_key key, const int32_t *ids, size_t n) {
    return (wanted){XXH3_128bits(ids, n * sizeof *ids), hash_text(origin->model), hash_text(origin->adapter),
                    hash_text(origin->dtype), key};
}

/* The entry wanted, or NULL and the closest reason why there is none. */
static ba_entry *find(const ba_store *s, const wanted *w, ba_lookup *why) {
    *why = BA_MISS_NEW;
    for (ba_entry *e = s->bucket[w->ids.low64 & (s->n_bucket - 1)]; e; e = e->next) {
        if (!XXH128_isEqual(e->ids, w->ids)) {
            continue;
        }
        bool key = e->key.lo == w->key.lo && e->key.hi == w->key.hi;
        bool model = e->model == w->model && e->adapter == w->adapter;
        bool dtype = e->dtype == w->dtype;
        if (key && model && dtype) {
            *why = e->kv ? BA_HIT : e->too_large ? BA_MISS_TOO_LARGE : BA_MISS_EVICTED;
            return e;
        }
        *why = !model ? BA_MISS_MODEL : !dtype ? BA_MISS_DTYPE : BA_MISS_CONTEXT;
    }
    return NULL;
}

static void pin(ba_store *s, ba_entry *e) {
    if (e->pins++ == 0) {
        s->stats.pinned++;
    }
}

ba_entry *ba_store_find(ba_store *s, const ba_origin *origin, ba_key key, const int32_t *ids, size_t n,
                        ba_lookup *why) {
    wanted w = want(origin, key, ids, n);
    ba_entry *e = find(s, &w, why);
    s->stats.lookups[*why]++;
    if (*why != BA_HIT) {
        return NULL;
    }
    if (!e->pins) {
        unlink_lru(s, e);
    }
    pin(s, e);
    return e;
}

static void grow(ba_store *s) {
    size_t n = s->n_bucket * 2;
    ba_entry **bucket = calloc(n, sizeof *bucket);
    if (!bucket) {
        return; /* longer chains, same answers */
    }
    for (size_t b = 0; b < s->n_bucket; b++) {
        for (ba_entry *e = s->bucket[b], *next; e; e = next) {
            next = e->next;
            ba_entry **to = &bucket[e->ids.low64 & (n - 1)];
            e->next = *to;
            *to = e;
        }
    }
    free(s->bucket);
    s->bucket = bucket;
    s->n_bucket = n;
}

ba_entry *ba_store_add(ba_store *s, const ba_origin *origin, ba_key key, const int32_t *ids, size_t n, ba_kv *kv,
                       uint64_t bytes, const double *aux, size_t n_aux) {
    wanted w = want(origin, key, ids, n);
    ba_lookup why;
    ba_entry *e = find(s, &w, &why);
    double *copy = NULL;
    if (n_aux) {
        copy = malloc(n_aux * sizeof *copy);
        if (!copy) {
            goto fail;
        }
        memcpy(copy, aux, n_aux * sizeof *copy);
    }
    if (e && e->kv) { /* another run encoded it meanwhile: the first one stays, both are the same bits */
        s->be->ops->kv_free(s->be, kv);
        free(copy);
        if (!e->pins) {
            unlink_lru(s, e);
        }
        pin(s, e);
        return e;
    }
    if (!e) {
        if (s->n_record >= s->n_bucket) {
            grow(s);
        }
        e = calloc(1, sizeof *e);
        if (!e) {
            goto fail;
        }
        e->ids = w.ids;
        e->model = w.model;
        e->adapter = w.adapter;
        e->dtype = w.dtype;
        e->key = key;
        ba_entry **to = &s->bucket[w.ids.low64 & (s->n_bucket - 1)];
        e->next = *to;
        *to = e;
        s->n_record++;
    }
    e->kv = kv;
    e->bytes = bytes;
    e->aux = copy;
    e->n_aux = n_aux;
    e->too_large = bytes > s->stats.budget;
    pin(s, e);
    s->stats.entries++;
    s->stats.bytes += bytes;
    shrink(s);
    return e;
fail:
    s->be->ops->kv_free(s->be, kv);
    free(copy);
    return NULL;
}

void ba_store_release(ba_store *s, ba_entry *e) {
    if (!e || --e->pins > 0) {
        return;
    }
    s->stats.pinned--;
    if (e->too_large) {
        drop_kv(s, e);
        return;
    }
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
    shrink(s);
}

const ba_kv *ba_entry_kv(const ba_entry *e) {
    return e->kv;
}

const double *ba_entry_aux(const ba_entry *e, size_t *n) {
    *n = e->n_aux;
    return e->aux;
}

ba_store_stats ba_store_get_stats(const ba_store *s) {
    return s->stats;
}
