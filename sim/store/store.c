#include "store.h"

#include "kernels/base/clock.h"

#include "q8.h"

#include <stdlib.h>
#include <string.h>

/* An entry outlives its KV: what is left of an evicted one explains the next miss. */
struct ba_entry {
    ba_use use; /* first: the heap of victims holds these. In it while unpinned and with KV in memory */
    ba_address address;
    ba_kv *kv; /* NULL: evicted, or never kept */
    double *aux;
    size_t n_aux;
    int32_t *ids; /* [n], for the tiers; NULL without any */
    size_t pins;  /* runs and tiers being written */
    bool too_large, evicted;
    size_t place;         /* of the KV: 0 is memory, else a view of what tier place - 1 holds */
    ba_tier_bytes mapped; /* there */
    const void *proved;   /* bytes in a mapping whose checksum held in this process */
    ba_entry *next;       /* in the bucket */
};

typedef struct level {
    ba_tier *tier;
    ba_writer *behind;
    ba_store_tier_stats stats;
} level;

struct ba_store {
    ba_backend *be;
    const ba_policy *policy;
    ba_remark remark;
    ba_entry **bucket;
    size_t n_bucket; /* a power of two */
    size_t n_record;
    ba_victims victims;
    uint64_t tick;
    double age;
    ba_store_stats stats;
    level level[BA_MAX_TIERS];
    size_t n_level;
    bool levels_off;
};

ba_store *ba_store_new(ba_backend *be, uint64_t budget) {
    ba_store *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->be = be;
    s->policy = ba_policy_at(0);
    s->n_bucket = 1024;
    s->bucket = calloc(s->n_bucket, sizeof *s->bucket);
    s->stats.budget = budget;
    if (!s->bucket) {
        free(s);
        return NULL;
    }
    return s;
}

int ba_store_open(ba_backend *be, const ba_store_spec *spec, ba_remark remark, ba_store **out, char err[BA_ERR_LEN]) {
    ba_store *s = ba_store_new(be, spec->ram);
    *out = NULL;
    if (!s) {
        return ba_fail(err, "out of memory");
    }
    if (spec->n_tier && !be->ops->kv_parts) {
        ba_store_free(s);
        return ba_fail(err, "backend %s keeps KV on its device: give --store ram:SIZE alone", be->ops->name);
    }
    s->policy = spec->ram_policy;
    s->remark = remark;
    /* What waits to be written is in memory twice over if it was evicted meanwhile. */
    const uint64_t waiting = spec->ram < UINT64_C(1) << 30 ? UINT64_C(1) << 30 : spec->ram;
    for (size_t i = 0; i < spec->n_tier; i++) {
        level *l = &s->level[i];
        if (spec->tier[i].ops->open(&spec->tier[i], remark, true, &l->tier, err)) {
            ba_store_free(s);
            return -1;
        }
        l->stats.spec = &l->tier->spec;
        l->behind = ba_writer_new(l->tier, waiting);
        if (!l->behind) {
            ba_store_free(s);
            return ba_fail(err, "out of memory");
        }
        s->n_level++;
    }
    *out = s;
    return 0;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static void drop_kv(ba_store *s, ba_entry *e) {
    s->be->ops->kv_free(s->be, e->kv);
    free(e->aux);
    free(e->ids);
    e->kv = NULL;
    e->aux = NULL;
    e->ids = NULL;
    e->n_aux = 0;
    if (e->place) {
        ba_tier *tier = s->level[e->place - 1].tier;
        tier->ops->release(tier, &e->mapped);
        e->place = 0;
    } else {
        s->stats.bytes -= e->use.bytes;
        s->stats.entries--;
    }
}

/* Pinned entries may exceed the budget for as long as a run needs them. */
static void shrink(ba_store *s) {
    ba_use *first;
    while (s->stats.bytes > s->stats.budget && (first = ba_victims_first(&s->victims))) {
        ba_entry *e = (ba_entry *)first;
        ba_victims_remove(first);
        s->age = e->use.worth;
        drop_kv(s, e);
        e->evicted = true;
        s->stats.evictions++;
    }
}

static void pin(ba_store *s, ba_entry *e) {
    if (e->pins++ == 0) {
        s->stats.pinned++;
    }
}

/* An entry with KV, used once more. */
static ba_entry *use(ba_store *s, ba_entry *e) {
    if (!e->pins && !e->place) {
        ba_victims_remove(&e->use);
    }
    ba_use_touch(&e->use, s->policy, ++s->tick, s->age);
    pin(s, e);
    return e;
}

void ba_store_release(ba_store *s, ba_entry *e) {
    if (!e || --e->pins > 0) {
        return;
    }
    s->stats.pinned--;
    if (e->place || e->too_large) {
        drop_kv(s, e);
        return;
    }
    ba_victims_add(&s->victims, &e->use);
    shrink(s);
}

/* Takes back what the tiers are done with. */
static void settle(ba_store *s) {
    for (size_t i = 0; i < s->n_level; i++) {
        for (ba_entry *e; (e = ba_writer_done(s->level[i].behind));) {
            ba_store_release(s, e);
        }
    }
}

void ba_store_flush(ba_store *s) {
    for (size_t i = 0; i < s->n_level; i++) {
        ba_writer_flush(s->level[i].behind);
    }
    settle(s);
}

void ba_store_clear(ba_store *s) {
    ba_store_flush(s);
    ba_victims_clear(&s->victims);
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
    for (size_t i = 0; i < BA_MAX_TIERS; i++) {
        ba_writer_free(s->level[i].behind);
        if (s->level[i].tier) {
            s->level[i].tier->ops->close(s->level[i].tier);
        }
    }
    ba_victims_free(&s->victims);
    free(s->bucket);
    free(s);
}

/* The record of an address, or NULL; *why: whether it has KV, or the closest reason why there is none. */
static ba_entry *find(const ba_store *s, const ba_address *a, ba_lookup *why) {
    *why = BA_MISS_NEW;
    for (ba_entry *e = s->bucket[a->ids[1] & (s->n_bucket - 1)]; e; e = e->next) {
        ba_lookup reason = ba_address_compare(a, &e->address);
        if (reason == BA_HIT) {
            *why = e->kv ? BA_HIT : e->too_large ? BA_MISS_TOO_LARGE : e->evicted ? BA_MISS_EVICTED : BA_MISS_NEW;
            return e;
        }
        *why = reason < *why ? reason : *why;
    }
    return NULL;
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
            ba_entry **to = &bucket[e->address.ids[1] & (n - 1)];
            e->next = *to;
            *to = e;
        }
    }
    free(s->bucket);
    s->bucket = bucket;
    s->n_bucket = n;
}

/* The record of an address without KV, made if need be. NULL: out of memory. */
static ba_entry *record(ba_store *s, const ba_address *a) {
    ba_lookup why;
    ba_entry *e = find(s, a, &why);
    if (e) {
        return e;
    }
    if (s->n_record >= s->n_bucket) {
        grow(s);
    }
    e = calloc(1, sizeof *e);
    if (!e || ba_victims_reserve(&s->victims, s->n_record + 1)) {
        free(e);
        return NULL;
    }
    e->address = *a;
    ba_entry **to = &s->bucket[a->ids[1] & (s->n_bucket - 1)];
    e->next = *to;
    *to = e;
    s->n_record++;
    return e;
}

static void *copy_of(const void *from, size_t bytes) {
    void *to = malloc(bytes ? bytes : 1);
    if (to && bytes) {
        memcpy(to, from, bytes);
    }
    return to;
}

/* Puts KV in memory, pinned; frees it if that cannot be done. */
static ba_entry *insert(ba_store *s, const ba_address *a, const int32_t *ids, size_t n, ba_kv *kv, uint64_t bytes,
                        const double *aux, size_t n_aux, double seconds) {
    ba_entry *e = record(s, a);
    double *aux_copy = n_aux ? copy_of(aux, n_aux * sizeof *aux) : NULL;
    int32_t *ids_copy = s->n_level ? copy_of(ids, n * sizeof *ids) : NULL;
    if (!e || (n_aux && !aux_copy) || (s->n_level && !ids_copy)) {
        s->be->ops->kv_free(s->be, kv);
        free(aux_copy);
        free(ids_copy);
        return NULL;
    }
    e->kv = kv;
    e->use.bytes = bytes;
    e->use.seconds = seconds;
    e->aux = aux_copy;
    e->n_aux = n_aux;
    e->ids = ids_copy;
    e->too_large = bytes > s->stats.budget;
    e->evicted = false;
    ba_use_touch(&e->use, s->policy, ++s->tick, s->age);
    pin(s, e);
    s->stats.entries++;
    s->stats.bytes += bytes;
    shrink(s);
    return e;
}

/* Offers a pinned entry, whose KV was coded this way before, to tiers [0, end). What went through 8 bits is no longer
 * exact, and must not be kept as if it were. */
static void offer(ba_store *s, const ba_origin *origin, ba_entry *e, size_t n, ba_coding was, size_t end) {
    for (size_t i = 0; i < end && !s->levels_off; i++) {
        ba_block block;
        if (was != BA_CODING_EXACT && s->level[i].stats.spec->coding != was) {
            continue;
        }
        ba_block_make(&block, origin, &e->address, s->be, e->kv, e->aux, e->n_aux, e->ids, n, e->use.seconds);
        e->pins++;
        if (!ba_writer_put(s->level[i].behind, &block, e)) {
            e->pins--;
        }
    }
}

ba_entry *ba_store_add(ba_store *s, const ba_origin *origin, ba_key key, const int32_t *ids, size_t n, ba_kv *kv,
                       uint64_t bytes, const double *aux, size_t n_aux, double seconds) {
    ba_address a = ba_address_of(origin, key, ids, n);
    ba_lookup why;
    settle(s);
    ba_entry *e = find(s, &a, &why);
    if (why == BA_HIT) { /* another run encoded it meanwhile: the first one stays, both are the same bits */
        s->be->ops->kv_free(s->be, kv);
        return use(s, e);
    }
    e = insert(s, &a, ids, n, kv, bytes, aux, n_aux, seconds);
    if (e) {
        offer(s, origin, e, n, BA_CODING_EXACT, s->n_level);
    }
    return e;
}

/* ---- tiers ----------------------------------------------------------------------------------------------------- */

/* Whether the bytes are the block wanted, all of it, for this backend. `proved`: the body's checksum held before. */
static bool is_block(const ba_store *s, const ba_tier_bytes *bytes, const ba_origin *o, const ba_address *wanted,
                     const int32_t *ids, size_t n, bool proved, ba_block_view *v, char err[BA_ERR_LEN]) {
    if (ba_block_look(bytes->at, bytes->n, v, err)) {
        return false;
    }
    const ba_block_head *h = &v->head;
    const ba_q8_shape shape = {o->layers, o->kv_heads, o->head_dim, n};
    size_t exact = s->be->ops->kv_bytes(s->be, o->layers, o->kv_heads, o->head_dim, n);
    size_t kv_bytes = h->coding == BA_CODING_Q8 ? ba_q8_bytes(&shape) : exact;
    if (memcmp(&h->address, wanted, sizeof *wanted) != 0 || h->tokens != n || h->layers != o->layers ||
        h->kv_heads != o->kv_heads || h->head_dim != o->head_dim || h->kv_bytes != kv_bytes) {
        ba_fail(err, "the header is that of another block");
        return false;
    }
    if (!proved && !ba_block_holds(v)) {
        ba_fail(err, "the checksum is wrong");
        return false;
    }
    if (memcmp(v->ids, ids, n * sizeof *ids) != 0) {
        ba_fail(err, "its tokens are others");
        return false;
    }
    return true;
}

static ba_kv *kv_copy(ba_store *s, const ba_origin *o, size_t n, ba_coding coding, const unsigned char *from) {
    if (coding == BA_CODING_Q8) {
        return ba_q8_restore(s->be, &(ba_q8_shape){o->layers, o->kv_heads, o->head_dim, n}, from);
    }
    ba_kv *kv = s->be->ops->kv_new(s->be, o->layers, o->kv_heads, o->head_dim, n);
    if (kv) {
        void *part[2];
        size_t bytes[2];
        s->be->ops->kv_parts(s->be, kv, part, bytes);
        memcpy(part[0], from, bytes[0]);
        memcpy(part[1], from + bytes[0], bytes[1]);
    }
    return kv;
}

/* An entry for a block that tier i holds. NULL: out of memory. Takes over the bytes. */
static ba_entry *take(ba_store *s, size_t i, ba_tier_bytes *bytes, const ba_origin *o, const ba_address *a,
                      const int32_t *ids, size_t n, const ba_block_view *v) {
    ba_tier *tier = s->level[i].tier;
    double *aux = copy_of(v->aux, v->head.n_aux * sizeof *aux);
    ba_entry *e = NULL;
    ba_kv *kv = NULL;
    bool view = tier->ops->maps && v->head.coding == BA_CODING_EXACT && (uintptr_t)v->kv % BA_KV_ALIGN == 0;
    if (aux && !view && (kv = kv_copy(s, o, n, v->head.coding, v->kv))) {
        uint64_t size = s->be->ops->kv_bytes(s->be, o->layers, o->kv_heads, o->head_dim, n);
        e = insert(s, a, ids, n, kv, size, aux, v->head.n_aux, v->head.seconds);
        if (e) {
            if (bytes->pinned) {
                ba_use_pin(&e->use, true, s->policy, s->age);
            }
            offer(s, o, e, n, v->head.coding, i);
        }
    } else if (aux && view && (e = record(s, a)) &&
               (kv = s->be->ops->kv_view(s->be, o->layers, o->kv_heads, o->head_dim, n, v->kv))) {
        e->kv = kv;
        e->aux = aux;
        e->n_aux = v->head.n_aux;
        e->place = i + 1;
        e->mapped = *bytes;
        e->proved = bytes->at;
        e->evicted = e->too_large = false;
        pin(s, e);
        return e;
    } else {
        e = NULL;
    }
    free(aux);
    tier->ops->release(tier, bytes);
    return e;
}

/* The block from tier i, or NULL and why. */
static ba_entry *load(ba_store *s, size_t i, const ba_origin *o, const ba_address *memory, const ba_entry *known,
                      const int32_t *ids, size_t n, ba_lookup *why, uint64_t *loaded) {
    level *l = &s->level[i];
    ba_tier *tier = l->tier;
    ba_address a = ba_block_address(*memory, l->stats.spec->coding);
    ba_tier_bytes bytes;
    ba_block_view v;
    char what[BA_ERR_LEN], line[BA_ERR_LEN], name[17];
    *why = tier->ops->get(tier, &a, &bytes);
    if (*why != BA_HIT) {
        return NULL;
    }
    if (!is_block(s, &bytes, o, &a, ids, n, known && known->proved == bytes.at, &v, what)) {
        *why = BA_MISS_DAMAGED;
        tier->ops->release(tier, &bytes);
        ba_writer_remove(l->behind, &a);
        ba_address_name(&a, name);
        ba_fail(line, "store %s:%s: block %s: %.200s; it is removed and encoded again", tier->ops->name,
                l->stats.spec->place, name, what);
        s->remark(line);
        return NULL;
    }
    *loaded += bytes.n;
    ba_entry *e = take(s, i, &bytes, o, memory, ids, n, &v);
    if (e) {
        ba_writer_touch(l->behind, &a);
    } else {
        *why = BA_MISS_AWAY;
    }
    return e;
}

ba_entry *ba_store_find(ba_store *s, const ba_origin *origin, ba_key key, const int32_t *ids, size_t n,
                        ba_finding *found) {
    ba_address a = ba_address_of(origin, key, ids, n);
    settle(s);
    *found = (ba_finding){.n_place = 1};
    ba_entry *known = find(s, &a, &found->why), *e = NULL;
    found->by_place[0] = found->why;
    if (found->why == BA_HIT) {
        e = use(s, known);
        found->place = e->place;
    }
    double start = ba_now();
    for (size_t i = 0; !e && i < s->n_level && !s->levels_off; i++) {
        level *l = &s->level[i];
        ba_lookup why;
        e = load(s, i, origin, &a, known, ids, n, &why, &found->load_bytes);
        l->stats.lookups[why]++;
        found->by_place[found->n_place++] = why;
        found->why = why < found->why ? why : found->why;
        if (e) {
            found->place = i + 1;
            l->stats.load_bytes += found->load_bytes;
            l->stats.load_s += ba_now() - start;
        }
    }
    found->load_s = ba_now() - start;
    s->stats.lookups[found->why]++;
    return e;
}

void ba_store_expect(ba_store *s, const ba_address *address, size_t n) {
    ba_address *missing = s->n_level && !s->levels_off ? malloc((n + 1) * sizeof *missing) : NULL;
    size_t m = 0;
    for (size_t i = 0; missing && i < n; i++) {
        ba_lookup why;
        find(s, &address[i], &why);
        if (why != BA_HIT) {
            missing[m++] = address[i];
        }
    }
    for (size_t i = 0; m && i < s->n_level; i++) {
        ba_tier *tier = s->level[i].tier;
        for (size_t j = 0; j < m; j++) {
            missing[j] = ba_block_address(missing[j], s->level[i].stats.spec->coding);
        }
        m = tier->ops->expect(tier, missing, m);
    }
    free(missing);
}

void ba_store_use_tiers(ba_store *s, bool on) {
    s->levels_off = !on;
}

void ba_store_hold(ba_store *s, bool on) {
    for (size_t i = 0; i < s->n_level; i++) {
        ba_writer_hold(s->level[i].behind, on);
    }
}

/* ---- what there is --------------------------------------------------------------------------------------------- */

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

size_t ba_store_tiers(const ba_store *s) {
    return s->n_level;
}

ba_store_tier_stats ba_store_get_tier_stats(const ba_store *s, size_t tier) {
    ba_store_tier_stats t = s->level[tier].stats;
    t.written = ba_writer_get_stats(s->level[tier].behind);
    return t;
}
