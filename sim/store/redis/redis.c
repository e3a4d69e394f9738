/* The tier that many machines share: a Redis server. What stays and what goes is the server's own decision (maxmemory).
 * A lookup must never take longer than encoding would: redis_wire.c gives it up when nothing comes, or too little. */
#include "redis.h"
#include "sim/store/tiers.h"

#include <stdlib.h>
#include <string.h>

/* ---- opening --------------------------------------------------------------------------------------------------- */

static void forget(ba_redis *t) {
    for (size_t i = 0; i < t->n_ahead; i++) {
        freeReplyObject(t->ahead[i].value);
    }
    free(t->ahead);
    t->ahead = NULL;
    t->n_ahead = 0;
}

static void redis_close(ba_tier *tier) {
    ba_redis *t = (ba_redis *)tier;
    forget(t);
    redisFree(t->look.c);
    redisFree(t->keep.c);
    free(t);
}

/* Blocks can be made again, so a run may begin without the server; a command that looks after it may not. */
static int redis_open(const ba_tier_spec *spec, ba_remark remark, bool create, ba_tier **out, char err[BA_ERR_LEN]) {
    ba_redis *t = calloc(1, sizeof *t);
    if (!t) {
        return ba_fail(err, "out of memory");
    }
    t->base = (ba_tier){&ba_tier_redis, *spec, remark};
    t->look.said = t->keep.said = !create; /* then the caller prints err instead */
    t->locked_out = !create;
    if (!ba_redis_begin(t, &t->look, 0, 0) && !create) {
        char why[BA_ERR_LEN];
        ba_redis_fail(t, &t->look, why);
        ba_fail(err, "%.400s (no server answers there, or none that lets us in)", why);
        redis_close(&t->base);
        return -1;
    }
    *out = &t->base;
    return 0;
}

/* ---- looking up ------------------------------------------------------------------------------------------------ */

/* The closest reason among the fields of the text's hash. */
static ba_lookup why_not(const ba_address *a, const redisReply *key, const redisReply *fields) {
    ba_lookup why = BA_MISS_NEW;
    for (size_t i = 0; i < fields->elements; i++) {
        ba_address other;
        if (ba_redis_address_of(key, fields->element[i], &other)) {
            ba_lookup reason = ba_address_compare(a, &other);
            why = reason < why ? reason : why;
        }
    }
    return why;
}

static void ask_for(ba_redis_wire *l, const ba_address *a) {
    char key[BA_REDIS_KEY + 1];
    ba_redis_key_of(a, key);
    ba_redis_say(l, "HGET", a, NULL, 0);
    redisAppendCommand(l->c, "HKEYS %s", key);
}

static void read_answer(ba_redis *t, ba_redis_fetched *f) {
    char key[BA_REDIS_KEY + 1];
    ba_redis_key_of(&f->address, key);
    const redisReply named = {.type = REDIS_REPLY_STRING, .str = key, .len = BA_REDIS_KEY};
    redisReply *value = ba_redis_reply(t, &t->look, REDIS_REPLY_STRING);
    redisReply *fields = t->look.c ? ba_redis_reply(t, &t->look, REDIS_REPLY_ARRAY) : NULL;
    if (value && value->type == REDIS_REPLY_STRING) {
        f->value = value;
        f->why = BA_HIT;
    } else {
        f->why = value && fields ? why_not(&f->address, &named, fields) : BA_MISS_AWAY;
        freeReplyObject(value);
    }
    freeReplyObject(fields);
}

static size_t redis_expect(ba_tier *tier, ba_tier_ask *ask, size_t n) {
    ba_redis *t = (ba_redis *)tier;
    uint64_t most = 0;
    double seconds = 0;
    forget(t);
    t->ahead = calloc(n + 1, sizeof *t->ahead);
    if (!t->ahead) {
        return n;
    }
    t->n_ahead = n;
    for (size_t i = 0; i < n; i++) {
        t->ahead[i] = (ba_redis_fetched){ask[i].address, NULL, BA_MISS_AWAY};
        most += ask[i].bytes < BA_REDIS_VALUE_BYTES ? ask[i].bytes : BA_REDIS_VALUE_BYTES;
        seconds += ask[i].seconds;
    }
    bool there = ba_redis_begin(t, &t->look, most, seconds);
    for (size_t i = 0; there && i < n; i++) {
        ask_for(&t->look, &ask[i].address);
    }
    for (size_t i = 0; t->look.c && i < n; i++) {
        read_answer(t, &t->ahead[i]);
    }
    ba_redis_end(&t->look);
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        if (t->ahead[i].why != BA_HIT) {
            ask[left++] = ask[i];
        }
    }
    return left;
}

static ba_redis_fetched *find_ahead(ba_redis *t, const ba_address *a) {
    for (size_t i = 0; i < t->n_ahead; i++) {
        if (memcmp(&t->ahead[i].address, a, sizeof *a) == 0) {
            return &t->ahead[i];
        }
    }
    return NULL;
}

static ba_lookup redis_get(ba_tier *tier, const ba_tier_ask *ask, ba_tier_bytes *out) {
    ba_redis *t = (ba_redis *)tier;
    ba_redis_fetched *f = find_ahead(t, &ask->address);
    if (!f || (f->why == BA_HIT && !f->value)) {
        ba_tier_ask copy = *ask;
        redis_expect(tier, &copy, 1);
        f = find_ahead(t, &ask->address);
    }
    if (!f || f->why != BA_HIT) {
        return f ? f->why : BA_MISS_AWAY;
    }
    *out = (ba_tier_bytes){f->value->str, f->value->len, false, f->value};
    f->value = NULL;
    return BA_HIT;
}

static void redis_release(ba_tier *tier, ba_tier_bytes *bytes) {
    (void)tier;
    freeReplyObject(bytes->hold);
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static char *joined(const ba_block *p, size_t *n) {
    char *all = malloc(*n = ba_block_bytes(p)), *to = all;
    for (size_t i = 0; all && i < BA_BLOCK_PARTS; i++) {
        if (p->part[i].iov_len) {
            memcpy(to, p->part[i].iov_base, p->part[i].iov_len);
        }
        to += p->part[i].iov_len;
    }
    return all;
}

/* Sends the blocks that the server lacks; how many. */
static size_t send_missing(ba_redis_wire *l, const ba_block *const *block, const bool *there, size_t n) {
    size_t sent = 0;
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        char *all = there[i] || ba_block_bytes(block[i]) > BA_REDIS_VALUE_BYTES ? NULL : joined(block[i], &bytes);
        if (all) {
            ba_redis_say(l, "HSET", &block[i]->head.address, all, bytes);
            sent++;
        }
        free(all);
    }
    return sent;
}

static void redis_put(ba_tier *tier, const ba_block *const *block, size_t n) {
    ba_redis *t = (ba_redis *)tier;
    ba_redis_wire *l = &t->keep;
    bool *there = calloc(n + 1, sizeof *there);
    if (!there) {
        return;
    }
    uint64_t most = 0;
    for (size_t i = 0; i < n; i++) {
        most += ba_block_bytes(block[i]) + sizeof(ba_address);
    }
    if (ba_redis_begin(t, l, 2 * most, 0)) {
        for (size_t i = 0; i < n; i++) {
            ba_redis_say(l, "HEXISTS", &block[i]->head.address, NULL, 0);
        }
    }
    for (size_t i = 0; l->c && i < n; i++) {
        redisReply *r = ba_redis_reply(t, l, REDIS_REPLY_INTEGER);
        there[i] = !r || r->integer;
        freeReplyObject(r);
    }
    size_t sent = l->c ? send_missing(l, block, there, n) : 0;
    for (size_t i = 0; l->c && i < sent; i++) {
        freeReplyObject(ba_redis_reply(t, l, REDIS_REPLY_INTEGER));
    }
    if (sent) { /* a full server still answers questions: only what it keeps shows that it works */
        ba_redis_end(l);
    }
    free(there);
}

const ba_tier_ops ba_tier_redis = {
    .name = "redis",
    .usage = "redis:HOST:PORT",
    .open = redis_open,
    .close = redis_close,
    .expect = redis_expect,
    .get = redis_get,
    .release = redis_release,
    .put = redis_put,
    .remove = ba_redis_remove,
    .each = ba_redis_each,
    .stats = ba_redis_stats,
};
