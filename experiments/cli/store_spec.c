#include "store_spec.h"

#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t half_of_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : UINT64_C(1) << 30;
}

static int fail(const char *item, const char *what, char err[BA_ERR_LEN]) {
    char list[128] = "ram:SIZE", policies[64] = "";
    const ba_tier_ops *ops;
    const ba_policy *policy;
    for (size_t i = 0, used = strlen(list); (ops = ba_tier_at(i)) && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, ", %s", ops->usage);
    }
    for (size_t i = 0, used = 0; (policy = ba_policy_at(i)) && used < sizeof policies; i++) {
        used += (size_t)snprintf(policies + used, sizeof policies - used, "%s:%s", i ? ", " : "", policy->name);
    }
    return ba_fail(err, "--store %.200s: %s; tiers are %s, each with %s or :q8 behind it if you like", item, what, list,
                   policies);
}

/* Words behind a tier: a policy, a coding. */
static bool take_word(const char *word, ba_tier_spec *t) {
    const ba_policy *policy = ba_policy_find(word);
    if (policy) {
        t->policy = policy;
    } else if (strcmp(word, "q8") == 0) {
        t->coding = BA_CODING_Q8;
    } else {
        return false;
    }
    return true;
}

static const ba_tier_ops *find_tier(const char *name) {
    const ba_tier_ops *ops;
    for (size_t i = 0; (ops = ba_tier_at(i)) && strcmp(ops->name, name) != 0; i++) {
    }
    return ops;
}

/* One item, which is cut up. */
static int parse_item(char *item, const char *whole, ba_store_spec *out, char err[BA_ERR_LEN]) {
    ba_tier_spec t = {.policy = ba_policy_at(0)};
    char *rest = strchr(item, ':'), *word, why[BA_ERR_LEN];
    if (!rest) {
        return fail(whole, "no tier without a ':'", err);
    }
    *rest++ = 0;
    while ((word = strrchr(rest, ':')) && take_word(word + 1, &t)) {
        *word = 0;
    }
    bool ram = strcmp(item, "ram") == 0;
    if (ram) {
        if (out->ram_given || t.coding != BA_CODING_EXACT || ba_parse_size(rest, &out->ram, why)) {
            return fail(whole, out->ram_given ? "memory is named twice" : "memory needs a size, and holds exact KV",
                        err);
        }
        out->ram_given = true;
        out->ram_policy = t.policy;
        return 0;
    }
    t.ops = find_tier(item);
    if (!t.ops) {
        return fail(whole, "no such tier", err);
    }
    if (out->n_tier == BA_MAX_TIERS) {
        return fail(whole, "too many tiers", err);
    }
    word = strrchr(rest, ':');
    if (word && ba_parse_size(word + 1, &t.size, why) == 0) {
        *word = 0;
    } else if (!t.ops->sized) {
        return fail(whole, "a port is needed", err);
    }
    if (!t.ops->sized && (t.size == 0 || t.size > 65535)) {
        return fail(whole, "a port is a number from 1 to 65535", err);
    }
    if (!*rest) {
        return fail(whole, "it does not say where", err);
    }
    for (size_t i = 0; i < out->n_tier; i++) {
        if (out->tier[i].ops == t.ops && out->tier[i].size == t.size && strcmp(out->tier[i].place, rest) == 0) {
            return fail(whole, "named twice", err);
        }
    }
    t.place = strdup(rest);
    if (!t.place) {
        return ba_fail(err, "out of memory");
    }
    out->tier[out->n_tier++] = t;
    return 0;
}

int ba_store_spec_parse(const char *text, ba_store_spec *out, char err[BA_ERR_LEN]) {
    *out = (ba_store_spec){.ram = half_of_memory(), .ram_policy = ba_policy_at(0)};
    char *copy = text ? strdup(text) : NULL, *next = copy;
    int rc = text && !copy ? ba_fail(err, "out of memory") : 0;
    for (char *item; !rc && (item = strsep(&next, ","));) {
        rc = parse_item(item, text, out, err);
    }
    free(copy);
    return rc;
}

void ba_store_spec_free(ba_store_spec *spec) {
    for (size_t i = 0; i < spec->n_tier; i++) {
        free(spec->tier[i].place);
    }
    spec->n_tier = 0;
}
