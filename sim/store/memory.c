/* Entries in memory: a table by address, pins, and a byte budget. */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

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

/* Pinned entries may exceed the budget while a run needs them. */
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

void ba_memory_pin(ba_store *s, ba_entry *e) {
    if (e->pins++ == 0) {
        s->stats.pinned++;
    }
}

ba_entry *ba_memory_use(ba_store *s, ba_entry *e) {
    if (!e->pins && !e->place) {
        ba_victims_remove(&e->use);
    }
    ba_use_touch(&e->use, s->policy, ++s->tick, s->age);
    ba_memory_pin(s, e);
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

void ba_memory_clear(ba_store *s) {
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

ba_entry *ba_memory_find(const ba_store *s, const ba_address *a, ba_lookup *why) {
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

ba_entry *ba_memory_record(ba_store *s, const ba_address *a) {
    ba_lookup why;
    ba_entry *e = ba_memory_find(s, a, &why);
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

ba_entry *ba_memory_insert(ba_store *s, const ba_address *a, const ba_content *c) {
    ba_entry *e = ba_memory_record(s, a);
    double *aux = c->n_aux ? copy_of(c->aux, c->n_aux * sizeof *aux) : NULL;
    int32_t *ids = s->n_level ? copy_of(c->ids, c->n * sizeof *ids) : NULL;
    if (!e || (c->n_aux && !aux) || (s->n_level && !ids)) {
        s->be->ops->kv_free(s->be, c->kv);
        free(aux);
        free(ids);
        return NULL;
    }
    e->kv = c->kv;
    e->use.bytes = c->bytes;
    e->use.seconds = c->seconds;
    e->aux = aux;
    e->n_aux = c->n_aux;
    e->ids = ids;
    e->too_large = c->bytes > s->stats.budget;
    e->evicted = false;
    ba_use_touch(&e->use, s->policy, ++s->tick, s->age);
    ba_memory_pin(s, e);
    s->stats.entries++;
    s->stats.bytes += c->bytes;
    shrink(s);
    return e;
}

const ba_kv *ba_entry_kv(const ba_entry *e) {
    return e->kv;
}

const double *ba_entry_aux(const ba_entry *e, size_t *n) {
    *n = e->n_aux;
    return e->aux;
}
