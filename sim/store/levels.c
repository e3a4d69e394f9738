/* Between memory and the tiers: blocks are offered to tiers, and loaded from them after every check. */
#include "parts.h"

#include "q8.h"

#include <stdlib.h>
#include <string.h>

/* What went through 8 bits is no longer exact, and must not be kept as if it were. */
void ba_levels_offer(ba_store *s, const ba_origin *origin, ba_entry *e, size_t n, ba_coding was, size_t end) {
    if (s->be->ops->fault && s->be->ops->fault(s->be)) { /* what it computed last may be anything */
        return;
    }
    for (size_t i = 0; i < end && !s->levels_off; i++) {
        ba_block block;
        if (was != BA_CODING_EXACT && s->level[i].stats.spec->coding != was) {
            continue;
        }
        ba_block_make(&block, origin, &e->address, s->be, e->kv, e->aux, e->n_aux, e->ids, n, e->use.seconds);
        e->pins++;
        if (!ba_writer_put(s->level[i].writer, &block, e)) {
            e->pins--;
        }
    }
}

/* The block that tier i must have for a plan. */
static ba_block_need need_of(const ba_store *s, size_t i, const ba_origin *o, const ba_address *memory,
                             const ba_wanted *w) {
    const ba_tier_spec *spec = s->level[i].stats.spec;
    const ba_q8_shape shape = {o->layers, o->kv_heads, o->head_dim, w->n};
    return (ba_block_need){.address = ba_block_address(*memory, spec->coding, spec->key),
                           .coding = spec->coding,
                           .layers = o->layers,
                           .kv_heads = o->kv_heads,
                           .head_dim = o->head_dim,
                           .tokens = w->n,
                           .n_aux = w->n_aux,
                           .kv_bytes = spec->coding == BA_CODING_Q8
                                           ? ba_q8_bytes(&shape)
                                           : s->be->ops->kv_bytes(s->be, o->layers, o->kv_heads, o->head_dim, w->n),
                           .key = spec->key,
                           .ids = w->ids};
}

ba_tier_ask ba_levels_ask(const ba_store *s, size_t i, const ba_origin *origin, const ba_address *memory,
                          const ba_wanted *w) {
    const ba_block_need need = need_of(s, i, origin, memory, w);
    return (ba_tier_ask){
        .address = need.address, .bytes = ba_block_need_bytes(&need), .seconds = s->token_s * (double)w->n};
}

static ba_kv *kv_copy(ba_store *s, const ba_block_need *need, const unsigned char *from) {
    const ba_backend_ops *ops = s->be->ops;
    if (need->coding == BA_CODING_Q8) {
        return ba_q8_restore(s->be, &(ba_q8_shape){need->layers, need->kv_heads, need->head_dim, need->tokens}, from);
    }
    ba_kv *kv = ops->kv_new(s->be, need->layers, need->kv_heads, need->head_dim, need->tokens);
    if (kv && ops->kv_load) {
        if (ops->kv_load(s->be, kv, from)) {
            ops->kv_free(s->be, kv);
            return NULL;
        }
    } else if (kv) {
        void *part[2];
        size_t bytes[2];
        ops->kv_parts(s->be, kv, part, bytes);
        memcpy(part[0], from, bytes[0]);
        memcpy(part[1], from + bytes[0], bytes[1]);
    }
    return kv;
}

/* A copy of the block in memory; NULL: out of memory. */
static ba_entry *take_copy(ba_store *s, size_t i, bool pinned, const ba_origin *o, const ba_address *memory,
                           const ba_block_need *need, const ba_block_view *v, const double *aux) {
    ba_kv *kv = kv_copy(s, need, v->kv);
    if (!kv) {
        return NULL;
    }
    const ba_content c = {.kv = kv,
                          .bytes =
                              s->be->ops->kv_bytes(s->be, need->layers, need->kv_heads, need->head_dim, need->tokens),
                          .aux = aux,
                          .n_aux = need->n_aux,
                          .ids = need->ids,
                          .n = need->tokens,
                          .seconds = v->head.seconds};
    ba_entry *e = ba_memory_insert(s, memory, &c);
    if (!e) {
        return NULL;
    }
    if (pinned) {
        ba_use_pin(&e->use, true, s->policy, s->age);
    }
    if (!s->be->ops->kv_load) {
        ba_levels_offer(s, o, e, need->tokens, need->coding, i);
    }
    return e;
}

/* A view into the tier's mapping, which takes over the bytes and aux; NULL: out of memory. */
static ba_entry *take_view(ba_store *s, size_t i, const ba_tier_bytes *bytes, const ba_address *memory,
                           const ba_block_need *need, const ba_block_view *v, double *aux) {
    ba_entry *e = ba_memory_record(s, memory);
    ba_kv *kv =
        e ? s->be->ops->kv_view(s->be, need->layers, need->kv_heads, need->head_dim, need->tokens, v->kv) : NULL;
    if (!kv) {
        return NULL;
    }
    e->kv = kv;
    e->aux = aux;
    e->n_aux = need->n_aux;
    e->place = i + 1;
    e->mapped = *bytes;
    e->proved = bytes->at;
    e->evicted = e->too_large = false;
    ba_memory_pin(s, e);
    return e;
}

/* Remembers bytes that are being copied to a device; false: out of memory, and none are. */
static bool reserve_landing(ba_store *s) {
    if (!s->be->ops->kv_load || s->n_landing < s->landing_room) {
        return true;
    }
    size_t room = s->landing_room ? 2 * s->landing_room : 64;
    ba_landing *more = realloc(s->landing, room * sizeof *more);
    if (more) {
        s->landing = more;
        s->landing_room = room;
    }
    return more;
}

/* An entry for a checked block of tier i; takes over the bytes. NULL: out of memory. */
static ba_entry *take(ba_store *s, size_t i, ba_tier_bytes *bytes, const ba_origin *o, const ba_address *memory,
                      const ba_block_need *need, const ba_block_view *v) {
    ba_tier *tier = s->level[i].tier;
    double *aux = malloc((need->n_aux + 1) * sizeof *aux); /* aligned; in the tier it may be anywhere */
    ba_entry *e = NULL;
    if (aux && reserve_landing(s)) {
        const bool view = s->be->ops->kv_view && tier->ops->maps && need->coding == BA_CODING_EXACT &&
                          (uintptr_t)v->kv % BA_KV_ALIGN == 0;
        memcpy(aux, v->aux, need->n_aux * sizeof *aux);
        if (view && (e = take_view(s, i, bytes, memory, need, v, aux))) {
            return e;
        }
        e = view ? NULL : take_copy(s, i, bytes->pinned, o, memory, need, v, aux);
    }
    free(aux);
    if (e && s->be->ops->kv_load) {
        e->proved = tier->ops->maps ? bytes->at : NULL;
        ba_memory_pin(s, e);
        s->landing[s->n_landing++] = (ba_landing){tier, *bytes, e, *o, need->tokens, i, need->coding};
    } else {
        tier->ops->release(tier, bytes);
    }
    return e;
}

/* A block that is not what the plan needs: it is removed, and a line names it. */
static void reject(ba_store *s, ba_level *l, const ba_address *a, const char *what) {
    char line[BA_ERR_LEN], name[17];
    ba_writer_remove(l->writer, a);
    ba_address_name(a, name);
    ba_fail(line, "store %s:%s: block %s: %.200s; it is removed and encoded again", l->tier->ops->name,
            l->stats.spec->place, name, what);
    s->remark(line);
}

ba_entry *ba_levels_load(ba_store *s, size_t i, const ba_origin *origin, const ba_address *memory,
                         const ba_entry *known, const ba_wanted *w, ba_lookup *why, uint64_t *loaded) {
    ba_level *l = &s->level[i];
    const ba_block_need need = need_of(s, i, origin, memory, w);
    const ba_tier_ask ask = ba_levels_ask(s, i, origin, memory, w);
    ba_tier_bytes bytes;
    ba_block_view v;
    char what[BA_ERR_LEN];
    *why = l->tier->ops->get(l->tier, &ask, &bytes);
    if (*why != BA_HIT) {
        return NULL;
    }
    const bool proved = l->tier->ops->inside || (known && known->proved == bytes.at);
    if (ba_block_check(bytes.at, bytes.n, &need, proved, &v, what)) {
        *why = BA_MISS_DAMAGED;
        l->tier->ops->release(l->tier, &bytes);
        reject(s, l, &need.address, what);
        return NULL;
    }
    *loaded += bytes.n;
    ba_entry *e = take(s, i, &bytes, origin, memory, &need, &v);
    if (!e) {
        *why = BA_MISS_AWAY;
        return NULL;
    }
    ba_writer_touch(l->writer, &need.address);
    return e;
}
