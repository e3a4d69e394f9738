/* Looking after the blocks on a server: listing, counting, removing. */
#include "redis.h"

#include "kernels/base/clock.h"

#include <stdio.h>
#include <string.h>

enum {
    CURSOR = 24,          /* digits of a cursor, and NUL */
    MOST_TEXTS = 1 << 24, /* no store of this program has as many */
    MOST_IDLE_S = 60      /* without a text of ours, among the keys of others */
};

typedef int (*visit_field)(ba_redis *t, void *arg, const ba_address *a, char err[BA_ERR_LEN]);

int ba_redis_remove(ba_tier *tier, const ba_address *a, char err[BA_ERR_LEN]) {
    ba_redis *t = (ba_redis *)tier;
    if (!ba_redis_begin(t, &t->keep, 0, 0)) {
        return ba_redis_fail(t, &t->keep, err);
    }
    ba_redis_say(&t->keep, "HDEL", a, NULL, 0);
    redisReply *r = ba_redis_reply(t, &t->keep, REDIS_REPLY_INTEGER);
    freeReplyObject(r);
    return r ? 0 : ba_redis_fail(t, &t->keep, err);
}

/* All fields of one text. */
static int walk_text(ba_redis *t, const redisReply *key, visit_field visit, void *arg, char err[BA_ERR_LEN]) {
    if (!ba_redis_begin(t, &t->look, 0, 0)) {
        return ba_redis_fail(t, &t->look, err);
    }
    redisAppendCommand(t->look.c, "HKEYS %b", key->str, key->len);
    redisReply *fields = ba_redis_reply(t, &t->look, REDIS_REPLY_ARRAY);
    int rc = fields ? 0 : ba_redis_fail(t, &t->look, err);
    for (size_t i = 0; !rc && i < fields->elements; i++) {
        ba_address a;
        if (ba_redis_address_of(key, fields->element[i], &a)) {
            rc = visit(t, arg, &a, err);
        }
    }
    freeReplyObject(fields);
    return rc;
}

/* One step of SCAN from `cursor`, which gets the next one. NULL, and err. */
static redisReply *scan(ba_redis *t, char cursor[CURSOR], char err[BA_ERR_LEN]) {
    if (!ba_redis_begin(t, &t->look, 0, 0)) {
        ba_redis_fail(t, &t->look, err);
        return NULL;
    }
    redisAppendCommand(t->look.c, "SCAN %s MATCH blockattn:* COUNT 1000", cursor);
    redisReply *r = ba_redis_reply(t, &t->look, REDIS_REPLY_ARRAY);
    if (!r) {
        ba_redis_fail(t, &t->look, err);
        return NULL;
    }
    const redisReply *next = r->elements == 2 ? r->element[0] : NULL;
    if (!next || next->type != REDIS_REPLY_STRING || r->element[1]->type != REDIS_REPLY_ARRAY || next->len == 0 ||
        next->len >= CURSOR || strspn(next->str, "0123456789") != next->len) {
        freeReplyObject(r);
        ba_fail(err, "store redis:%s:%d: its answer to SCAN is none", t->base.spec.place, (int)t->base.spec.size);
        return NULL;
    }
    snprintf(cursor, CURSOR, "%s", next->str);
    return r;
}

/* How far a walk has come. A server may send cursors for ever, so one that comes back, too many texts or too long a time
 * without any end it. The cursor that is compared changes at every power of two (R. P. Brent, "An improved Monte Carlo
 * factorization algorithm", BIT 20, 1980, section 2), so that every loop is found while one cursor is kept. */
typedef struct progress {
    char marked[CURSOR];
    size_t steps, next_mark, texts;
    double last; /* text of ours */
} progress;

static bool goes_on_for_ever(progress *p, const char *cursor) {
    if (strcmp(cursor, p->marked) == 0 || p->texts > MOST_TEXTS || ba_now() - p->last > MOST_IDLE_S) {
        return true;
    }
    if (++p->steps == p->next_mark) {
        snprintf(p->marked, sizeof p->marked, "%s", cursor);
        p->next_mark *= 2;
    }
    return false;
}

static int walk(ba_redis *t, visit_field visit, void *arg, char err[BA_ERR_LEN]) {
    char cursor[CURSOR] = "0";
    progress p = {.next_mark = 1, .last = ba_now()};
    do {
        redisReply *r = scan(t, cursor, err);
        if (!r) {
            return -1;
        }
        int rc = 0;
        for (size_t i = 0; !rc && i < r->element[1]->elements; i++) {
            const redisReply *key = r->element[1]->element[i];
            if (key->type == REDIS_REPLY_STRING && key->len == BA_REDIS_KEY) {
                rc = walk_text(t, key, visit, arg, err);
                p.texts++;
                p.last = ba_now();
            }
        }
        freeReplyObject(r);
        if (rc) {
            return rc;
        }
        if (strcmp(cursor, "0") != 0 && goes_on_for_ever(&p, cursor)) {
            return ba_fail(err, "store redis:%s:%d: its SCAN does not end", t->base.spec.place, (int)t->base.spec.size);
        }
    } while (strcmp(cursor, "0") != 0);
    return 0;
}

typedef struct walker {
    ba_tier_visit visit;
    void *arg;
} walker;

static int show_block(ba_redis *t, void *arg, const ba_address *a, char err[BA_ERR_LEN]) {
    const walker *w = arg;
    const ba_use use = {0};
    if (!ba_redis_begin(t, &t->look, BA_REDIS_VALUE_BYTES, 0)) {
        return ba_redis_fail(t, &t->look, err);
    }
    ba_redis_say(&t->look, "HGET", a, NULL, 0);
    redisReply *r = ba_redis_reply(t, &t->look, REDIS_REPLY_STRING);
    if (!r) {
        return ba_redis_fail(t, &t->look, err);
    }
    int rc = r->type == REDIS_REPLY_STRING ? w->visit(w->arg, a, r->str, r->len, &use) : 0;
    freeReplyObject(r);
    return rc;
}

int ba_redis_each(ba_tier *tier, ba_tier_visit visit, void *arg, char err[BA_ERR_LEN]) {
    walker w = {visit, arg};
    return walk((ba_redis *)tier, show_block, &w, err);
}

static int add_block(ba_redis *t, void *arg, const ba_address *a, char err[BA_ERR_LEN]) {
    ba_tier_stats *s = arg;
    if (!ba_redis_begin(t, &t->look, 0, 0)) {
        return ba_redis_fail(t, &t->look, err);
    }
    ba_redis_say(&t->look, "HSTRLEN", a, NULL, 0);
    redisReply *r = ba_redis_reply(t, &t->look, REDIS_REPLY_INTEGER);
    if (!r) {
        return ba_redis_fail(t, &t->look, err);
    }
    s->entries++;
    s->bytes += r->integer > 0 ? (uint64_t)r->integer : 0;
    freeReplyObject(r);
    return 0;
}

int ba_redis_stats(ba_tier *tier, ba_tier_stats *out, char err[BA_ERR_LEN]) {
    *out = (ba_tier_stats){0};
    return walk((ba_redis *)tier, add_block, out, err);
}
