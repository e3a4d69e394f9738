/* Talking to a Redis server within limits. */
#include "redis.h"

#include "kernels/base/clock.h"

#include <hiredis/sds.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static const double SILENCE_S = 0.25, PATIENCE_S = 0.5, LEAST_RATE = 10e6, FIRST_RETRY_S = 5, LAST_RETRY_S = 60;

/* A server that hangs up must not end the program: SIGPIPE is blocked in this thread while it writes. */
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

/* Keeps the reason: the server's words may hold anything, so only printable characters of them. */
static void remember(ba_redis_wire *l, const char *why) {
    snprintf(l->why, sizeof l->why, "%s", why);
    for (char *c = l->why; *c; c++) {
        *c = *c >= ' ' && *c <= '~' ? *c : '?';
    }
}

static void say(const ba_redis *t, const char *why, const char *then) {
    char line[BA_ERR_LEN];
    ba_fail(line, "store redis:%s:%d: %s%s", t->base.spec.place, (int)t->base.spec.size, why, then);
    t->base.remark(line);
}

/* Ends a connection that failed. One remark until it works again. */
static void hang_up(ba_redis *t, ba_redis_wire *l, const char *why) {
    remember(l, why);
    redisFree(l->c);
    l->c = NULL;
    l->wait = l->wait > 0 ? 2 * l->wait : FIRST_RETRY_S;
    l->wait = l->wait < LAST_RETRY_S ? l->wait : LAST_RETRY_S;
    l->retry_at = ba_now() + l->wait;
    if (!l->said) {
        l->said = true;
        say(t, l->why, "; going on without, trying again later");
    }
}

/* A server that wants a password, or another one: said once for both connections, with the cure. */
static void lock_out(ba_redis *t, ba_redis_wire *l, const char *why) {
    char line[sizeof l->why];
    snprintf(line, sizeof line, "%.100s: give --store redis://[USER]:PASSWORD@HOST:PORT, or set REDISCLI_AUTH", why);
    l->said = true;
    hang_up(t, l, line);
    if (!atomic_exchange(&t->locked_out, true)) {
        say(t, l->why, "; going on without");
    }
}

/* Whether the exchange has used up what it was given. */
static bool is_too_slow(const ba_redis_wire *l) {
    const double s = ba_now() - l->start;
    return s > PATIENCE_S && ((double)l->bytes < LEAST_RATE * s || (l->patience > 0 && s > l->patience));
}

static void send_all(ba_redis *t, ba_redis_wire *l) {
    sigset_t before;
    int done = 0;
    bool held = hold_sigpipe(&before);
    while (l->c && !done) {
        const size_t left = sdslen(l->c->obuf);
        if (redisBufferWrite(l->c, &done) != REDIS_OK) {
            hang_up(t, l, l->c->errstr);
            break;
        }
        l->bytes += done ? left : left - sdslen(l->c->obuf);
        if (!done && is_too_slow(l)) {
            hang_up(t, l, "it is slower than encoding");
        }
    }
    if (held) {
        let_sigpipe(&before);
    }
}

/* Reads what has come; hangs up on a server that is slow, or that sends more than was asked for. */
static void read_some(ba_redis *t, ba_redis_wire *l) {
    const size_t had = l->c->reader->len;
    if (is_too_slow(l)) {
        hang_up(t, l, "it is slower than encoding");
    } else if (redisBufferRead(l->c) != REDIS_OK) {
        hang_up(t, l, l->c->err == REDIS_ERR_IO ? "it does not answer" : l->c->errstr);
    } else {
        l->bytes += l->c->reader->len - had;
        if (l->bytes > l->most) {
            hang_up(t, l, "it sends more than was asked for");
        }
    }
}

/* The next reply, or NULL: the connection is gone. */
static redisReply *next_reply(ba_redis *t, ba_redis_wire *l) {
    void *reply = NULL;
    send_all(t, l);
    while (l->c && !reply) {
        if (redisGetReplyFromReader(l->c, &reply) != REDIS_OK) {
            hang_up(t, l, l->c->errstr);
        } else if (!reply) {
            read_some(t, l);
        }
    }
    return reply;
}

static bool is_about_password(const char *error) {
    return strncmp(error, "NOAUTH", 6) == 0 || strncmp(error, "WRONGPASS", 9) == 0 ||
           strncmp(error, "NOPERM", 6) == 0 || strstr(error, "invalid password");
}

redisReply *ba_redis_reply(ba_redis *t, ba_redis_wire *l, int type) {
    redisReply *r = next_reply(t, l);
    if (!r || r->type == type || (r->type == REDIS_REPLY_NIL && type == REDIS_REPLY_STRING)) {
        return r;
    }
    l->refused = true;
    if (r->type != REDIS_REPLY_ERROR) {
        hang_up(t, l, "its answer is of the wrong kind");
    } else if (is_about_password(r->str)) {
        lock_out(t, l, r->str);
    } else {
        remember(l, r->str);
        if (!l->said) {
            l->said = true;
            say(t, l->why, "");
        }
    }
    freeReplyObject(r);
    return NULL;
}

/* Shows the password, from the option or, as redis-cli does, from REDISCLI_AUTH. */
static void log_in(ba_redis *t, ba_redis_wire *l) {
    const ba_tier_spec *spec = &t->base.spec;
    const char *password = spec->password ? spec->password : getenv("REDISCLI_AUTH");
    if (!password || !*password) {
        return;
    }
    if (spec->user && *spec->user) {
        redisAppendCommand(l->c, "AUTH %s %s", spec->user, password);
    } else {
        redisAppendCommand(l->c, "AUTH %s", password);
    }
    redisReply *r = ba_redis_reply(t, l, REDIS_REPLY_STATUS);
    if (!r && l->c) {
        lock_out(t, l, "the password is refused");
    }
    freeReplyObject(r);
}

#if HIREDIS_MAJOR >= 1
static void limit_elements(ba_redis_wire *l) {}
#else
/* The library allocates as many elements as a reply announces, before any of them has come. */
static void *make_array(const redisReadTask *task, int elements) {
    redisReplyObjectFunctions *library = task->privdata;
    return elements > BA_REDIS_MOST_FIELDS ? NULL : library->createArray(task, elements);
}

static void limit_elements(ba_redis_wire *l) {
    redisReader *reader = l->c->reader;
    reader->privdata = reader->fn;
    l->make = *reader->fn;
    l->make.createArray = make_array;
    reader->fn = &l->make;
}
#endif

void ba_redis_adopt(ba_redis_wire *l, redisContext *c) {
    l->c = c;
    limit_elements(l);
}

bool ba_redis_begin(ba_redis *t, ba_redis_wire *l, uint64_t most, double patience) {
    const struct timeval silence = {0, (suseconds_t)(SILENCE_S * 1e6)};
    l->start = ba_now();
    l->bytes = 0;
    l->most = most + BA_REDIS_LIST_BYTES;
    l->patience = patience;
    l->refused = false;
    if (l->c || l->start < l->retry_at) {
        return l->c != NULL;
    }
    redisContext *c = redisConnectWithTimeout(t->base.spec.place, (int)t->base.spec.size, silence);
    if (!c) {
        return false;
    }
    ba_redis_adopt(l, c);
    if (l->c->err || redisSetTimeout(l->c, silence) != REDIS_OK) {
        hang_up(t, l, l->c->errstr);
        return false;
    }
    log_in(t, l);
    return l->c != NULL;
}

void ba_redis_end(ba_redis_wire *l) {
    if (l->c && !l->refused) {
        l->wait = 0;
        l->said = false;
    }
}

int ba_redis_fail(const ba_redis *t, const ba_redis_wire *l, char err[BA_ERR_LEN]) {
    return ba_fail(err, "store redis:%s:%d: %s", t->base.spec.place, (int)t->base.spec.size,
                   *l->why ? l->why : "it does not answer");
}
