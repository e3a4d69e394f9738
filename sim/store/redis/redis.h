/* The inside of the tier on a Redis server, shared by redis*.c.
 *
 * The server is not trusted with this process's memory or time. An exchange (commands and their replies) has a limit of
 * bytes and of time, set when it begins; a server that exceeds one is hung up on, and left alone for a while, longer
 * every time. Lookups and writes have a connection each, since two threads use them. */
#ifndef BA_STORE_REDIS_H
#define BA_STORE_REDIS_H

#include "sim/store/tier.h"

#include <hiredis/hiredis.h>
#include <stdatomic.h>

enum {
    BA_REDIS_PREFIX = 10, /* of a key: "blockattn:" */
    BA_REDIS_KEY = BA_REDIS_PREFIX + 32,
    BA_REDIS_FIELD = sizeof(ba_address) - 2 * sizeof(uint64_t),
    BA_REDIS_MOST_FIELDS = 1 << 16,   /* elements of one reply */
    BA_REDIS_LIST_BYTES = 1 << 22,    /* of a reply that lists MOST_FIELDS fields */
    BA_REDIS_VALUE_BYTES = 512 << 20, /* the server's own limit of a string */
};

/* One connection, used by one thread. */
typedef struct ba_redis_wire {
    redisContext *c;
    redisReplyObjectFunctions make; /* of replies: the library's, with a limit of elements */
    double retry_at, wait;          /* after a failure: when it is tried again; the pause before that */
    double start;                   /* of the exchange */
    double patience;                /* s that it may take; 0: only the rate of bytes counts */
    uint64_t bytes, most;           /* moved in it; and the limit */
    bool refused;                   /* the server answered something in it with an error */
    bool said;                      /* a remark was made since it last worked */
    char why[256];                  /* of the last failure */
} ba_redis_wire;

/* A block that was asked for ahead of its lookup. */
typedef struct ba_redis_fetched {
    ba_address address;
    redisReply *value; /* NULL: none, or handed out */
    ba_lookup why;
} ba_redis_fetched;

typedef struct ba_redis {
    ba_tier base;
    ba_redis_wire look, keep;
    ba_redis_fetched *ahead; /* [n_ahead] */
    size_t n_ahead;
    atomic_bool locked_out; /* said that the server wants another password */
} ba_redis;

/* redis_wire.c. Begins an exchange of at most so many bytes and seconds (0: no limit of its own), on a connection that is
 * made if there is none and it is time; false: there is no connection. */
bool ba_redis_begin(ba_redis *t, ba_redis_wire *l, uint64_t most, double patience);
/* Uses an open connection from here on; the wire owns it. */
void ba_redis_adopt(ba_redis_wire *l, redisContext *c);
/* A reply of this type (or NIL where STRING is asked for), or NULL. After an error of the server the connection goes on. */
redisReply *ba_redis_reply(ba_redis *t, ba_redis_wire *l, int type);
/* The exchange is over: if all went well, the next failure is worth a remark again. */
void ba_redis_end(ba_redis_wire *l);
/* Fills err with the wire's last failure; -1. */
int ba_redis_fail(const ba_redis *t, const ba_redis_wire *l, char err[BA_ERR_LEN]);

/* redis_command.c. Sends a command about a block: its name, key, field and (or NULL) a value. */
void ba_redis_say(ba_redis_wire *l, const char *name, const ba_address *a, const void *value, size_t n);
/* The key under which all blocks of one text are. */
void ba_redis_key_of(const ba_address *a, char key[BA_REDIS_KEY + 1]);
/* false: this is no field of ours. */
bool ba_redis_address_of(const redisReply *key, const redisReply *field, ba_address *out);

/* redis_walk.c: operations of the table that look after the server's blocks, as documented in tier.h. */
int ba_redis_remove(ba_tier *tier, const ba_address *a, char err[BA_ERR_LEN]);
int ba_redis_each(ba_tier *tier, ba_tier_visit visit, void *arg, char err[BA_ERR_LEN]);
int ba_redis_stats(ba_tier *tier, ba_tier_stats *out, char err[BA_ERR_LEN]);

#endif
