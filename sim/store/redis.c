/* The tier that many machines share: a Redis server. One hash per text ("blockattn:" and the hash of its tokens), one
 * field per block (the rest of its address), so that the reasons for a miss come with the answer. What stays and what
 * goes is the server's own business (maxmemory).
 *
 * A lookup must never take longer than encoding would: it is given up when nothing comes for SILENCE_S, or when so
 * little comes that it is not worth it. The server is then left alone for a while, longer every time. Lookups and
 * writing have a connection each, since they are two threads. */
#include "tiers.h"

#include "kernels/base/clock.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static const double SILENCE_S = 0.25, PATIENCE_S = 0.5, LEAST_RATE = 10e6, FIRST_RETRY_S = 5, LAST_RETRY_S = 60;
static const size_t MAX_VALUE = 512u << 20; /* the server's default limit of a string */

enum { PREFIX = 10, KEY = PREFIX + 32, FIELD = sizeof(ba_address) - 2 * sizeof(uint64_t) };

/* One connection; used by one thread. */
typedef struct wire {
    redisContext *c;
    double retry_at, wait;
    double start;   /* of the exchange */
    uint64_t bytes; /* read in it */
} wire;

/* A block that was asked for ahead of its lookup. */
typedef struct fetched {
    ba_address address;
    redisReply *value; /* NULL: not there, or handed out */
    ba_lookup why;
} fetched;

typedef struct redis {
    ba_tier base;
    wire look, keep;
    fetched *ahead; /* [n_ahead] */
    size_t n_ahead;
    atomic_bool said;
} redis;

/* ---- talking --------------------------------------------------------------------------------------------------- */

/* A server that hangs up must not end the program: SIGPIPE is kept off this thread while it writes. */
static bool hold_sigpipe(sigset_t *before) {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    return pthread_sigmask(SIG_BLOCK, &pipe, before) == 0 && !sigismember(before, SIGPIPE);
}

static void let_sigpipe(const sigset_t *before) {
    sigset_t pipe;
    const struct timespec now = {0};
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    while (sigtimedwait(&pipe, NULL, &now) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* Ends a connection that failed; one remark until it works again. */
static void hang_up(redis *t, wire *l, const char *why) {
    char line[BA_ERR_LEN];
    ba_fail(line, "store redis:%s:%d: %s; going on without, trying again later", t->base.spec.place,
            (int)t->base.spec.size, why);
    redisFree(l->c); /* `why` may be in it */
    l->c = NULL;
    l->wait = l->wait > 0 ? 2 * l->wait : FIRST_RETRY_S;
    l->wait = l->wait < LAST_RETRY_S ? l->wait : LAST_RETRY_S;
    l->retry_at = ba_now() + l->wait;
    if (!atomic_exchange(&t->said, true)) {
        t->base.remark(line);
    }
}

/* The next reply, or NULL: the connection is gone. */
static redisReply *next_reply(redis *t, wire *l) {
    void *reply = NULL;
    int done = 0;
    sigset_t before;
    bool held = hold_sigpipe(&before);
    while (l->c && !done) {
        if (redisBufferWrite(l->c, &done) != REDIS_OK) {
            hang_up(t, l, l->c->errstr);
        }
    }
    if (held) {
        let_sigpipe(&before);
    }
    while (l->c) {
        if (redisGetReplyFromReader(l->c, &reply) != REDIS_OK) {
            hang_up(t, l, l->c->errstr);
        } else if (reply) {
            return reply;
        } else {
            double s = ba_now() - l->start;
            size_t had = l->c->reader->len;
            if (s > PATIENCE_S && (double)l->bytes < LEAST_RATE * s) {
                hang_up(t, l, "it is slower than encoding");
            } else if (redisBufferRead(l->c) != REDIS_OK) {
                hang_up(t, l, l->c->err == REDIS_ERR_IO ? "it does not answer" : l->c->errstr);
            } else {
                l->bytes += l->c->reader->len - had;
            }
        }
    }
    return NULL;
}

/* A reply of this type, or NULL. An error of the server is said, and the connection goes on. */
static redisReply *expect_reply(redis *t, wire *l, int type) {
    redisReply *r = next_reply(t, l);
    if (!r || r->type == type || (r->type == REDIS_REPLY_NIL && type == REDIS_REPLY_STRING)) {
        return r;
    }
    char why[BA_ERR_LEN];
    ba_fail(why, "%.200s", r->type == REDIS_REPLY_ERROR ? r->str : "its answer is of the wrong kind");
    bool refused = r->type == REDIS_REPLY_ERROR;
    freeReplyObject(r);
    if (!refused) {
        hang_up(t, l, why);
    } else if (!atomic_exchange(&t->said, true)) {
        char line[BA_ERR_LEN];
        ba_fail(line, "store redis:%s:%d: %.300s", t->base.spec.place, (int)t->base.spec.size, why);
        t->base.remark(line);
    }
    return NULL;
}

/* Whether there is a connection; makes one if it is time. */
static bool dial(redis *t, wire *l) {
    const struct timeval silence = {0, (suseconds_t)(SILENCE_S * 1e6)};
    const char *password = getenv("REDISCLI_AUTH"); /* as redis-cli does */
    l->start = ba_now();
    l->bytes = 0;
    if (l->c || l->start < l->retry_at) {
        return l->c != NULL;
    }
    l->c = redisConnectWithTimeout(t->base.spec.place, (int)t->base.spec.size, silence);
    if (!l->c) {
        return false;
    }
    if (l->c->err || redisSetTimeout(l->c, silence) != REDIS_OK) {
        hang_up(t, l, l->c->errstr);
        return false;
    }
    if (password && *password) {
        redisAppendCommand(l->c, "AUTH %s", password);
        redisReply *r = expect_reply(t, l, REDIS_REPLY_STATUS);
        if (r) {
            freeReplyObject(r);
        } else if (l->c) {
            hang_up(t, l, "the password in $REDISCLI_AUTH is refused");
        }
    }
    return l->c != NULL;
}

static void worked(redis *t, wire *l) {
    l->wait = 0;
    t->said = false;
}

static void key_of(const ba_address *a, char key[KEY + 1]) {
    snprintf(key, KEY + 1, "blockattn:%016llx%016llx", (unsigned long long)a->ids[0], (unsigned long long)a->ids[1]);
}

/* The rest of an address, as the field's name. */
static const char *field_of(const ba_address *a) {
    return (const char *)a + sizeof *a - FIELD;
}

/* 16 hex digits. */
static bool read_hex(const char *digits, uint64_t *out) {
    char text[17] = "", *end;
    memcpy(text, digits, 16);
    *out = strtoull(text, &end, 16);
    return end == text + 16;
}

/* false: this is no field of ours. */
static bool address_of(const redisReply *key, const redisReply *field, ba_address *out) {
    uint64_t high, low;
    if (key->type != REDIS_REPLY_STRING || key->len != KEY || field->type != REDIS_REPLY_STRING ||
        field->len != FIELD || !read_hex(key->str + PREFIX, &high) || !read_hex(key->str + PREFIX + 16, &low)) {
        return false;
    }
    *out = (ba_address){.ids = {high, low}};
    memcpy((char *)out + sizeof *out - FIELD, field->str, FIELD);
    return true;
}

/* One command about a block: name, key, field and (or NULL) a value. */
static void say(wire *l, const char *name, const ba_address *a, const void *value, size_t n) {
    char key[KEY + 1];
    key_of(a, key);
    const char *word[] = {name, key, field_of(a), value};
    const size_t len[] = {strlen(name), KEY, FIELD, n};
    redisAppendCommandArgv(l->c, value ? 4 : 3, word, len);
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static void forget(redis *t) {
    for (size_t i = 0; i < t->n_ahead; i++) {
        freeReplyObject(t->ahead[i].value);
    }
    free(t->ahead);
    t->ahead = NULL;
    t->n_ahead = 0;
}

static void redis_close(ba_tier *tier) {
    redis *t = (redis *)tier;
    forget(t);
    redisFree(t->look.c);
    redisFree(t->keep.c);
    free(t);
}

/* Where blocks may be made again, a server that is away is no reason not to begin. */
static int redis_open(const ba_tier_spec *spec, ba_remark remark, bool create, ba_tier **out, char err[BA_ERR_LEN]) {
    redis *t = calloc(1, sizeof *t);
    if (!t) {
        return ba_fail(err, "out of memory");
    }
    t->base = (ba_tier){&ba_tier_redis, *spec, remark};
    t->said = !create; /* then the caller says it */
    if (!dial(t, &t->look) && !create) {
        redis_close(&t->base);
        return ba_fail(err, "store redis:%s:%d: no server answers there", spec->place, (int)spec->size);
    }
    if (!create) {
        t->said = false;
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
        if (address_of(key, fields->element[i], &other)) {
            ba_lookup reason = ba_address_compare(a, &other);
            why = reason < why ? reason : why;
        }
    }
    return why;
}

static void read_answer(redis *t, fetched *f) {
    char key[KEY + 1];
    key_of(&f->address, key);
    redisReply named = {.type = REDIS_REPLY_STRING, .str = key, .len = KEY};
    redisReply *value = expect_reply(t, &t->look, REDIS_REPLY_STRING);
    redisReply *fields = t->look.c ? expect_reply(t, &t->look, REDIS_REPLY_ARRAY) : NULL;
    if (value && value->type == REDIS_REPLY_STRING) {
        f->value = value;
        f->why = BA_HIT;
    } else {
        f->why = value && fields ? why_not(&f->address, &named, fields) : BA_MISS_AWAY;
        freeReplyObject(value);
    }
    freeReplyObject(fields);
}

static size_t redis_expect(ba_tier *tier, ba_address *a, size_t n) {
    redis *t = (redis *)tier;
    size_t left = 0;
    forget(t);
    t->ahead = calloc(n + 1, sizeof *t->ahead);
    if (!t->ahead) {
        return n;
    }
    t->n_ahead = n;
    bool there = dial(t, &t->look);
    for (size_t i = 0; i < n; i++) {
        t->ahead[i] = (fetched){a[i], NULL, BA_MISS_AWAY};
        if (there) {
            char key[KEY + 1];
            key_of(&a[i], key);
            say(&t->look, "HGET", &a[i], NULL, 0);
            redisAppendCommand(t->look.c, "HKEYS %s", key);
        }
    }
    for (size_t i = 0; t->look.c && i < n; i++) {
        read_answer(t, &t->ahead[i]);
    }
    if (t->look.c) {
        worked(t, &t->look);
    }
    for (size_t i = 0; i < n; i++) {
        if (t->ahead[i].why != BA_HIT) {
            a[left++] = a[i];
        }
    }
    return left;
}

static fetched *find_ahead(redis *t, const ba_address *a) {
    for (size_t i = 0; i < t->n_ahead; i++) {
        if (memcmp(&t->ahead[i].address, a, sizeof *a) == 0) {
            return &t->ahead[i];
        }
    }
    return NULL;
}

static ba_lookup redis_get(ba_tier *tier, const ba_address *a, ba_tier_bytes *out) {
    redis *t = (redis *)tier;
    fetched *f = find_ahead(t, a);
    if (!f || (f->why == BA_HIT && !f->value)) {
        ba_address copy = *a;
        redis_expect(tier, &copy, 1);
        f = find_ahead(t, a);
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

static void redis_put(ba_tier *tier, const ba_block *const *block, size_t n) {
    redis *t = (redis *)tier;
    wire *l = &t->keep;
    size_t sent = 0;
    bool *there = calloc(n + 1, sizeof *there);
    if (!there || !dial(t, l)) {
        free(there);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        say(l, "HEXISTS", &block[i]->head.address, NULL, 0);
    }
    for (size_t i = 0; l->c && i < n; i++) {
        redisReply *r = expect_reply(t, l, REDIS_REPLY_INTEGER);
        there[i] = !r || r->integer;
        freeReplyObject(r);
    }
    for (size_t i = 0; l->c && i < n; i++) {
        size_t bytes;
        char *all = there[i] || ba_block_bytes(block[i]) > MAX_VALUE ? NULL : joined(block[i], &bytes);
        if (all) {
            say(l, "HSET", &block[i]->head.address, all, bytes);
            l->bytes += bytes;
            sent++;
        }
        free(all);
    }
    bool refused = false;
    for (size_t i = 0; l->c && i < sent; i++) {
        redisReply *r = expect_reply(t, l, REDIS_REPLY_INTEGER);
        refused |= !r;
        freeReplyObject(r);
    }
    if (l->c && !refused) {
        worked(t, l);
    }
    free(there);
}

/* ---- looking after it ------------------------------------------------------------------------------------------ */

static int fail(const redis *t, char err[BA_ERR_LEN]) {
    return ba_fail(err, "store redis:%s:%d: it does not answer", t->base.spec.place, (int)t->base.spec.size);
}

static int redis_remove(ba_tier *tier, const ba_address *a, char err[BA_ERR_LEN]) {
    redis *t = (redis *)tier;
    if (!dial(t, &t->keep)) {
        return fail(t, err);
    }
    say(&t->keep, "HDEL", a, NULL, 0);
    redisReply *r = expect_reply(t, &t->keep, REDIS_REPLY_INTEGER);
    freeReplyObject(r);
    return r ? 0 : fail(t, err);
}

typedef int (*visit_field)(redis *t, void *arg, const ba_address *a, char err[BA_ERR_LEN]);

/* All fields of one text. */
static int walk_text(redis *t, const redisReply *key, visit_field visit, void *arg, char err[BA_ERR_LEN]) {
    redisAppendCommand(t->look.c, "HKEYS %b", key->str, key->len);
    redisReply *fields = expect_reply(t, &t->look, REDIS_REPLY_ARRAY);
    int rc = fields ? 0 : fail(t, err);
    for (size_t i = 0; !rc && i < fields->elements; i++) {
        ba_address a;
        if (address_of(key, fields->element[i], &a)) {
            rc = visit(t, arg, &a, err);
        }
    }
    freeReplyObject(fields);
    return rc;
}

static int walk(redis *t, visit_field visit, void *arg, char err[BA_ERR_LEN]) {
    char cursor[32] = "0";
    int rc = 0;
    do {
        if (!dial(t, &t->look)) {
            return fail(t, err);
        }
        redisAppendCommand(t->look.c, "SCAN %s MATCH blockattn:* COUNT 100", cursor);
        redisReply *r = expect_reply(t, &t->look, REDIS_REPLY_ARRAY);
        if (!r || r->elements != 2 || r->element[0]->type != REDIS_REPLY_STRING ||
            r->element[1]->type != REDIS_REPLY_ARRAY) {
            freeReplyObject(r);
            return fail(t, err);
        }
        snprintf(cursor, sizeof cursor, "%s", r->element[0]->str);
        for (size_t i = 0; !rc && t->look.c && i < r->element[1]->elements; i++) {
            const redisReply *key = r->element[1]->element[i];
            rc = key->type == REDIS_REPLY_STRING && key->len == KEY ? walk_text(t, key, visit, arg, err) : 0;
        }
        freeReplyObject(r);
    } while (!rc && strcmp(cursor, "0") != 0);
    return rc;
}

typedef struct walker {
    ba_tier_visit visit;
    void *arg;
} walker;

static int show_block(redis *t, void *arg, const ba_address *a, char err[BA_ERR_LEN]) {
    const walker *w = arg;
    const ba_use use = {0};
    t->look.start = ba_now();
    t->look.bytes = 0;
    say(&t->look, "HGET", a, NULL, 0);
    redisReply *r = expect_reply(t, &t->look, REDIS_REPLY_STRING);
    int rc = !r ? fail(t, err) : r->type == REDIS_REPLY_STRING ? w->visit(w->arg, a, r->str, r->len, &use) : 0;
    freeReplyObject(r);
    return rc;
}

static int redis_each(ba_tier *tier, ba_tier_visit visit, void *arg, char err[BA_ERR_LEN]) {
    walker w = {visit, arg};
    return walk((redis *)tier, show_block, &w, err);
}

static int add_block(redis *t, void *arg, const ba_address *a, char err[BA_ERR_LEN]) {
    ba_tier_stats *s = arg;
    say(&t->look, "HSTRLEN", a, NULL, 0);
    redisReply *r = expect_reply(t, &t->look, REDIS_REPLY_INTEGER);
    if (!r) {
        return fail(t, err);
    }
    s->entries++;
    s->bytes += (uint64_t)r->integer;
    freeReplyObject(r);
    return 0;
}

static int redis_stats(ba_tier *tier, ba_tier_stats *out, char err[BA_ERR_LEN]) {
    *out = (ba_tier_stats){0};
    return walk((redis *)tier, add_block, out, err);
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
    .remove = redis_remove,
    .each = redis_each,
    .stats = redis_stats,
};
