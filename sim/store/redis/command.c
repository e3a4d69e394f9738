/* How blocks are named on the server: one hash per text ("blockattn:" and the hash of its tokens), one field per block
 * (all other parts of its address), so that the reasons for a miss come with the answer. */
#include "redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ba_redis_key_of(const ba_address *a, char key[BA_REDIS_KEY + 1]) {
    snprintf(key, BA_REDIS_KEY + 1, "blockattn:%016llx%016llx", (unsigned long long)a->ids[0],
             (unsigned long long)a->ids[1]);
}

static const char *field_of(const ba_address *a) {
    return (const char *)a + sizeof *a - BA_REDIS_FIELD;
}

/* 16 hex digits. */
static bool read_hex(const char *digits, uint64_t *out) {
    char text[17] = "", *end;
    memcpy(text, digits, 16);
    *out = strtoull(text, &end, 16);
    return strspn(text, "0123456789abcdef") == 16;
}

bool ba_redis_address_of(const redisReply *key, const redisReply *field, ba_address *out) {
    uint64_t high, low;
    if (key->type != REDIS_REPLY_STRING || key->len != BA_REDIS_KEY || field->type != REDIS_REPLY_STRING ||
        field->len != BA_REDIS_FIELD || !read_hex(key->str + BA_REDIS_PREFIX, &high) ||
        !read_hex(key->str + BA_REDIS_PREFIX + 16, &low)) {
        return false;
    }
    *out = (ba_address){.ids = {high, low}};
    memcpy((char *)out + sizeof *out - BA_REDIS_FIELD, field->str, BA_REDIS_FIELD);
    return true;
}

void ba_redis_say(ba_redis_wire *l, const char *name, const ba_address *a, const void *value, size_t n) {
    char key[BA_REDIS_KEY + 1];
    ba_redis_key_of(a, key);
    const char *word[] = {name, key, field_of(a), value};
    const size_t len[] = {strlen(name), BA_REDIS_KEY, BA_REDIS_FIELD, n};
    redisAppendCommandArgv(l->c, value ? 4 : 3, word, len);
}
