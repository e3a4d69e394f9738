#include "parts.h"

#include "kernels/base/clock.h"
#include "ram.h"

#include <stdlib.h>

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

/* Takes over the tier. */
static int add_level(ba_store *s, ba_tier *tier, uint64_t waiting, char err[BA_ERR_LEN]) {
    ba_level *l = &s->level[s->n_level];
    l->tier = tier;
    l->stats.spec = &tier->spec;
    l->writer = ba_writer_new(tier, waiting);
    if (!l->writer) {
        return ba_fail(err,
                       "store %s:%s: no thread can be started to write blocks; raise the limit of processes "
                       "(ulimit -u), or free memory",
                       tier->ops->name, tier->spec.place);
    }
    s->n_level++;
    return 0;
}

static int open_levels(ba_store *s, const ba_store_spec *spec, char err[BA_ERR_LEN]) {
    /* A block that waits to be written stays in memory even if it was evicted meanwhile, in addition to the budget. */
    const uint64_t budget = s->stats.budget, least = UINT64_C(1) << 30, waiting = budget < least ? least : budget;
    ba_tier *tier;
    if (s->be->ops->kv_load && spec->ram_given && spec->ram) {
        tier = ba_ram_new(s->be, spec->ram, spec->ram_policy, s->remark);
        if (!tier) {
            return ba_fail(err, "out of memory");
        }
        if (add_level(s, tier, waiting, err)) {
            return -1;
        }
    }
    for (size_t i = 0; i < spec->n_tier; i++) {
        if (spec->tier[i].ops->open(&spec->tier[i], s->remark, true, &tier, err) || add_level(s, tier, waiting, err)) {
            return -1;
        }
    }
    return 0;
}

/* 0, or -1 and err: the backend cannot have such a store. */
static int check(const ba_backend *be, const ba_store_spec *spec, char err[BA_ERR_LEN]) {
    if (spec->device_given && !be->ops->kv_load) {
        return ba_fail(err, "--store gpu: backend %s keeps KV in the machine's memory: give ram:SIZE", be->ops->name);
    }
    for (size_t i = 0; be->ops->kv_load && i < spec->n_tier; i++) {
        if (spec->tier[i].coding != BA_CODING_EXACT) {
            return ba_fail(err, "--store %s:...:q8: backend %s copies KV as it is, in 16 bits: leave :q8 out",
                           spec->tier[i].ops->name, be->ops->name);
        }
    }
    return 0;
}

/* Bytes of the first place. */
static uint64_t budget_of(ba_backend *be, const ba_store_spec *spec) {
    if (!be->ops->kv_load || spec->device_given) {
        return be->ops->kv_load ? spec->device : spec->ram;
    }
    ba_device device = {0};
    be->ops->device(be, &device);
    return device.memory / 2;
}

int ba_store_open(ba_backend *be, const ba_store_spec *spec, ba_remark remark, ba_store **out, char err[BA_ERR_LEN]) {
    *out = NULL;
    if (check(be, spec, err)) {
        return -1;
    }
    ba_store *s = ba_store_new(be, budget_of(be, spec));
    if (!s) {
        return ba_fail(err, "out of memory");
    }
    s->policy = be->ops->kv_load ? spec->device_policy : spec->ram_policy;
    s->remark = remark;
    s->asked = spec->device_given ? spec->device : 0;
    if (open_levels(s, spec, err)) {
        ba_store_free(s);
        return -1;
    }
    *out = s;
    return 0;
}

double ba_store_land(ba_store *s) {
    const double seconds = s->n_landing ? s->be->ops->kv_loaded(s->be) : 0;
    while (s->n_landing) {
        ba_landing *l = &s->landing[--s->n_landing];
        l->tier->ops->release(l->tier, &l->bytes);
        ba_levels_offer(s, &l->origin, l->entry, l->n, l->coding, l->end);
        ba_store_release(s, l->entry);
    }
    return seconds;
}

/* Releases the entries that writers have finished with. */
static void settle(ba_store *s) {
    for (size_t i = 0; i < s->n_level; i++) {
        for (ba_entry *e; (e = ba_writer_done(s->level[i].writer));) {
            ba_store_release(s, e);
        }
    }
}

void ba_store_flush(ba_store *s) {
    ba_store_land(s);
    for (size_t i = 0; i < s->n_level; i++) {
        ba_writer_flush(s->level[i].writer);
    }
    settle(s);
}

void ba_store_clear(ba_store *s) {
    ba_store_flush(s);
    ba_memory_clear(s);
}

void ba_store_free(ba_store *s) {
    if (!s) {
        return;
    }
    ba_store_clear(s);
    for (size_t i = 0; i < BA_STORE_LEVELS; i++) {
        ba_writer_free(s->level[i].writer);
        if (s->level[i].tier) {
            s->level[i].tier->ops->close(s->level[i].tier);
        }
    }
    ba_victims_free(&s->victims);
    free(s->bucket);
    free(s->landing);
    free(s);
}

ba_entry *ba_store_add(ba_store *s, const ba_origin *origin, ba_key key, const int32_t *ids, size_t n, ba_kv *kv,
                       uint64_t bytes, const double *aux, size_t n_aux, double seconds) {
    const ba_address a = ba_address_of(origin, key, ids, n);
    const ba_content c = {kv, bytes, aux, n_aux, ids, n, seconds};
    ba_lookup why;
    settle(s);
    s->token_s = n ? seconds / (double)n : s->token_s;
    ba_entry *e = ba_memory_find(s, &a, &why);
    if (why == BA_HIT) { /* another run encoded it meanwhile: the first one stays, both are the same bits */
        s->be->ops->kv_free(s->be, kv);
        return ba_memory_use(s, e);
    }
    e = ba_memory_insert(s, &a, &c);
    if (e) {
        ba_levels_offer(s, origin, e, n, BA_CODING_EXACT, s->n_level);
    }
    return e;
}

ba_entry *ba_store_find(ba_store *s, const ba_origin *origin, const ba_wanted *w, ba_finding *found) {
    const ba_address a = ba_address_of(origin, w->key, w->ids, w->n);
    settle(s);
    *found = (ba_finding){.n_place = 1};
    ba_entry *known = ba_memory_find(s, &a, &found->why), *e = NULL;
    found->by_place[0] = found->why;
    if (found->why == BA_HIT) {
        e = ba_memory_use(s, known);
        found->place = e->place;
    }
    double start = ba_now();
    for (size_t i = 0; !e && i < s->n_level && !s->levels_off; i++) {
        ba_level *l = &s->level[i];
        ba_lookup why;
        e = ba_levels_load(s, i, origin, &a, known, w, &why, &found->load_bytes);
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

void ba_store_expect(ba_store *s, const ba_origin *origin, const ba_wanted *w, size_t n) {
    ba_tier_ask *ask = s->n_level && !s->levels_off ? malloc((n + 1) * sizeof *ask) : NULL;
    size_t m = 0;
    for (size_t i = 0; ask && i < n; i++) {
        const ba_address a = ba_address_of(origin, w[i].key, w[i].ids, w[i].n);
        ba_lookup why;
        ba_memory_find(s, &a, &why);
        if (why != BA_HIT) {
            ask[m++].which = i;
        }
    }
    for (size_t level = 0; m && level < s->n_level; level++) {
        ba_tier *tier = s->level[level].tier;
        for (size_t j = 0; j < m; j++) {
            const size_t which = ask[j].which;
            const ba_wanted *one = &w[which];
            const ba_address a = ba_address_of(origin, one->key, one->ids, one->n);
            ask[j] = ba_levels_ask(s, level, origin, &a, one);
            ask[j].which = which;
        }
        m = tier->ops->expect(tier, ask, m);
    }
    free(ask);
}

void ba_store_use_tiers(ba_store *s, bool on) {
    s->levels_off = !on;
}

void ba_store_hold(ba_store *s, bool on) {
    for (size_t i = 0; i < s->n_level; i++) {
        ba_writer_hold(s->level[i].writer, on);
    }
}

ba_store_stats ba_store_get_stats(const ba_store *s) {
    return s->stats;
}

uint64_t ba_store_asked(const ba_store *s) {
    return s->asked;
}

size_t ba_store_tiers(const ba_store *s) {
    return s->n_level;
}

ba_store_tier_stats ba_store_get_tier_stats(const ba_store *s, size_t tier) {
    ba_store_tier_stats t = s->level[tier].stats;
    t.written = ba_writer_get_stats(s->level[tier].writer);
    return t;
}
