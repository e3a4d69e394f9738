/* A Redis server's replies: the first byte of the input says what is asked, all others are what comes back. Whatever it
 * is, a lookup ends, what is handed out is within what was asked for, and remarks are printable lines. */
#include "targets.h"

#include "sim/store/redis/redis.h"
#include "sim/store/tiers.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ASKED = 2, BYTES = 4096 };

static void *open_nothing(const ba_fuzz *self, const char *folder) {
    (void)folder;
    return strdup(self->name);
}

/* A remark has no argument of ours: what it finds lives here. */
static bool printable;

static void remark(const char *line) {
    for (; *line; line++) {
        printable = printable && *line >= ' ' && *line <= '~';
    }
}

static int visit(void *arg, const ba_address *address, const void *bytes, size_t n, const ba_use *use) {
    size_t *sum = arg;
    (void)address, (void)use;
    for (size_t i = 0; i < n; i++) {
        *sum += ((const unsigned char *)bytes)[i];
    }
    return 0;
}

static bool look_up(ba_tier *t) {
    ba_tier_ask ask[ASKED] = {{.address = {.ids = {1, 2}, .key = {3, 4}}, .bytes = BYTES, .which = 0},
                              {.address = {.ids = {1, 2}, .key = {5, 6}}, .bytes = BYTES, .which = 1}};
    const ba_tier_ask same[ASKED] = {ask[0], ask[1]};
    bool held = t->ops->expect(t, ask, ASKED) <= ASKED;
    for (size_t i = 0; i < ASKED; i++) {
        ba_tier_bytes bytes;
        size_t sum = 0;
        ba_lookup why = t->ops->get(t, &same[i], &bytes);
        held = held && (unsigned)why < BA_LOOKUP_COUNT;
        if (why == BA_HIT) {
            visit(&sum, NULL, bytes.at, bytes.n, NULL);
            t->ops->release(t, &bytes);
        }
    }
    return ba_fuzz_check(held, "a lookup is a hit, or a miss with a reason");
}

static void put(ba_tier *t) {
    ba_block block = {.head = {.address = {.ids = {1, 2}}}};
    const ba_block *all[ASKED] = {&block, &block};
    for (size_t i = 0; i < BA_BLOCK_PARTS; i++) {
        block.part[i] = (struct iovec){&block.head, i ? 0 : sizeof block.head};
    }
    t->ops->put(t, all, ASKED);
}

static bool ask(ba_tier *t, unsigned what) {
    const ba_address a = {.ids = {1, 2}};
    char err[BA_ERR_LEN] = "-";
    ba_tier_stats stats;
    size_t sum = 0;
    switch (what % 5) {
    case 0:
        return look_up(t);
    case 1:
        put(t);
        return true;
    case 2:
        return ba_fuzz_check(!t->ops->stats(t, &stats, err) || *err, "a walk that fails says why");
    case 3:
        return ba_fuzz_check(!t->ops->each(t, visit, &sum, err) || *err, "a walk that fails says why");
    default:
        return ba_fuzz_check(!t->ops->remove(t, &a, err) || *err, "a failure says why");
    }
}

static bool take(void *state, const unsigned char *data, size_t size) {
    (void)state;
    static char host[] = "fuzz";
    int ends[2], other;
    if (!size || socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) {
        return true;
    }
    ba_redis *t = calloc(1, sizeof *t);
    redisContext *c = t ? redisConnectFd(ends[0]) : NULL;
    if (!c) {
        free(t);
        close(ends[0]);
        close(ends[1]);
        return true;
    }
    other = ends[1];
    printable = true;
    t->base = (ba_tier){&ba_tier_redis, {.ops = &ba_tier_redis, .place = host, .size = 1}, remark};
    ba_redis_adopt(data[0] % 5 == 1 || data[0] % 5 == 4 ? &t->keep : &t->look, c);
    t->look.retry_at = t->keep.retry_at = 1e300; /* there is no other connection */
    bool held = write(other, data + 1, size - 1) == (ssize_t)(size - 1) && shutdown(other, SHUT_WR) == 0;
    held = !held || ask(&t->base, data[0]);
    t->base.ops->close(&t->base);
    close(other);
    return ba_fuzz_check(printable, "remarks are printable") && held;
}

static int seed(const ba_fuzz *self, const char *folder) {
    (void)self;
    static const char key[] = "$42\r\nblockattn:00000000000000010000000000000002\r\n";
    static const struct {
        const char *name, *head, *tail;
    } seeds[] = {
        {"hit", "\0$5\r\nblock\r\n*0\r\n$-1\r\n*0\r\n", ""},
        {"fields", "\0$-1\r\n*1\r\n$48\r\n012345678901234567890123456789012345678901234567\r\n$-1\r\n*0\r\n", ""},
        {"error", "\0-LOADING not yet\r\n-NOAUTH Authentication required.\r\n", ""},
        {"put", "\1:0\r\n:1\r\n:1\r\n", ""},
        {"stats", "\2*2\r\n$1\r\n0\r\n*1\r\n",
         "*1\r\n$48\r\n012345678901234567890123456789012345678901234567\r\n:9\r\n"},
        {"each", "\3*2\r\n$2\r\n17\r\n*1\r\n",
         "*1\r\n$48\r\n012345678901234567890123456789012345678901234567\r\n$3\r\nabc\r\n*2\r\n$1\r\n0\r\n*0\r\n"},
        {"remove", "\4:1\r\n", ""},
    };
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        char text[512];
        size_t n = 1 + strlen(seeds[i].head + 1);
        memcpy(text, seeds[i].head, n);
        if (*seeds[i].tail) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", key, seeds[i].tail);
        }
        if (ba_fuzz_write(folder, seeds[i].name, text, n)) {
            return -1;
        }
    }
    return 0;
}

const ba_fuzz ba_fuzz_redis = {"redis", NULL, open_nothing, take, free, seed};
