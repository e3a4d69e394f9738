#include "store_spec.h"

#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t half_of_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : UINT64_C(1) << 30;
}

/* Where the next tier begins, or the text ends. */
static char *next_tier(char *text) {
    static const char *const begins[] = {",gpu:", ",ram:", ",lmdb:", ",redis:"};
    char *end = text + strlen(text);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        char *at = strstr(text, begins[i]);
        end = at && at < end ? at : end;
    }
    return end;
}

/* Up to the last '@' of the tier, since a password may hold any character, a comma too. */
void ba_store_spec_mask(char *text) {
    static const char name[] = "redis:";
    for (char *at = text; (at = strstr(at, name));) {
        char *from = at + strlen(name);
        from += strspn(from, "/");
        char *mark = memrchr(from, '@', (size_t)(next_tier(from) - from));
        if (mark && mark - from > 3) {
            memmove(from + 3, mark, strlen(mark) + 1);
        }
        for (size_t i = 0; mark && i < 3 && from[i] != '@'; i++) {
            from[i] = '*';
        }
        at = from;
    }
}

static int fail(const char *whole, const char *what, char err[BA_ERR_LEN]) {
    char list[128] = "gpu:SIZE, ram:SIZE", policies[64] = "", *masked = strdup(whole);
    const ba_tier_ops *ops;
    const ba_policy *policy;
    for (size_t i = 0, used = strlen(list); (ops = ba_tier_at(i)) && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, ", %s", ops->usage);
    }
    for (size_t i = 0, used = 0; (policy = ba_policy_at(i)) && used < sizeof policies; i++) {
        used += (size_t)snprintf(policies + used, sizeof policies - used, "%s:%s", i ? ", " : "", policy->name);
    }
    if (masked) {
        ba_store_spec_mask(masked);
    }
    ba_fail(err, "--store %.200s: %s; tiers are %s, each may end with %s or :q8", masked ? masked : "", what, list,
            policies);
    free(masked);
    return -1;
}

/* The words at the end of a tier: a policy, a coding. */
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

static int hex_of(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "%40" becomes "@", in place, as in any URL (RFC 3986, section 2.1). */
static void decode_percent(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        int high = *from == '%' ? hex_of(from[1]) : -1, low = high < 0 ? -1 : hex_of(from[2]);
        *to++ = low < 0 ? *from : (char)(high << 4 | low);
        from += low < 0 ? 0 : 2;
    }
    *to = '\0';
}

/* "//USER:PASSWORD@HOST" without port becomes HOST; the two others are copied. NULL: out of memory. */
static char *take_login(char *place, ba_tier_spec *t) {
    char *mark = strrchr(place, '@');
    place += strncmp(place, "//", 2) == 0 ? 2 : 0;
    if (mark) {
        *mark = '\0';
        char *colon = strchr(place, ':'), *password = colon ? colon + 1 : place;
        if (colon) {
            *colon = '\0';
            decode_percent(place);
            t->user = strdup(place);
        }
        decode_percent(password);
        t->password = strdup(password);
        if (!t->password || (colon && !t->user)) {
            return NULL;
        }
        place = mark + 1;
    }
    size_t n = strlen(place);
    bool six = n > 2 && place[0] == '[' && place[n - 1] == ']'; /* an address of IPv6 */
    return six ? strndup(place + 1, n - 2) : strdup(place);
}

/* "ram", or "gpu": the memory of a backend's device. */
static int parse_memory(const char *size, bool device, const ba_tier_spec *t, const char *whole, ba_store_spec *out,
                        char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    bool *given = device ? &out->device_given : &out->ram_given;
    if (*given) {
        return fail(whole, "memory is named twice", err);
    }
    if (t->coding != BA_CODING_EXACT || ba_parse_size(size, device ? &out->device : &out->ram, why)) {
        return fail(whole, "memory needs a size, and holds exact KV", err);
    }
    *given = true;
    *(device ? &out->device_policy : &out->ram_policy) = t->policy;
    return 0;
}

/* Takes the size or port from the end of `rest`, which keeps the place. */
static int parse_size(char *rest, ba_tier_spec *t, const char *whole, char err[BA_ERR_LEN]) {
    char *word = strrchr(rest, ':'), why[BA_ERR_LEN];
    if (word && ba_parse_size(word + 1, &t->size, why) == 0) {
        *word = '\0';
    } else if (!t->ops->sized) {
        return fail(whole, "a port is needed", err);
    }
    if (!t->ops->sized && (t->size == 0 || t->size > 65535)) {
        return fail(whole, "a port is a number from 1 to 65535", err);
    }
    return 0;
}

static void free_tier(ba_tier_spec *t) {
    if (t->password) {
        explicit_bzero(t->password, strlen(t->password));
    }
    free(t->place);
    free(t->user);
    free(t->password);
}

/* One item, which is cut up. */
static int parse_item(char *item, const char *whole, ba_store_spec *out, char err[BA_ERR_LEN]) {
    ba_tier_spec t = {.policy = ba_policy_at(0)};
    char *rest = strchr(item, ':'), *word;
    if (!rest) {
        return fail(whole, "no tier without a ':'", err);
    }
    *rest++ = '\0';
    while ((word = strrchr(rest, ':')) && take_word(word + 1, &t)) {
        *word = '\0';
    }
    if (strcmp(item, "ram") == 0 || strcmp(item, "gpu") == 0) {
        return parse_memory(rest, *item == 'g', &t, whole, out, err);
    }
    t.ops = find_tier(item);
    if (!t.ops) {
        return fail(whole, "no such tier", err);
    }
    if (out->n_tier == BA_MAX_TIERS) {
        return fail(whole, "too many tiers", err);
    }
    if (parse_size(rest, &t, whole, err)) {
        return -1;
    }
    t.place = t.ops->sized ? strdup(rest) : take_login(rest, &t);
    if (!t.place) {
        free_tier(&t);
        return ba_fail(err, "out of memory");
    }
    if (!*t.place) {
        free_tier(&t);
        return fail(whole, "it does not say where", err);
    }
    for (size_t i = 0; i < out->n_tier; i++) {
        if (out->tier[i].ops == t.ops && out->tier[i].size == t.size && strcmp(out->tier[i].place, t.place) == 0) {
            free_tier(&t);
            return fail(whole, "named twice", err);
        }
    }
    out->tier[out->n_tier++] = t;
    return 0;
}

static int read_key(const char *path, ba_store_spec *out, char err[BA_ERR_LEN]) {
    char *text, why[BA_ERR_LEN];
    size_t n;
    if (ba_read_file(path, BA_KEY_MOST + 2, &text, &n, why)) {
        return ba_fail(err, "--store-key %.400s", why);
    }
    out->key = calloc(1, sizeof *out->key);
    int rc = out->key ? ba_store_key_make(text, n, out->key, why) : ba_fail(why, "out of memory");
    explicit_bzero(text, n);
    free(text);
    if (rc) {
        return ba_fail(err, "--store-key %s: %.300s", path, why);
    }
    for (size_t i = 0; i < out->n_tier; i++) {
        out->tier[i].key = out->key;
    }
    return 0;
}

int ba_store_spec_parse(const char *text, const char *key_file, ba_store_spec *out, char err[BA_ERR_LEN]) {
    *out = (ba_store_spec){.ram = half_of_memory(), .ram_policy = ba_policy_at(0), .device_policy = ba_policy_at(0)};
    char *copy = strdup(text ? text : ""), *next = text ? copy : NULL;
    int rc = copy ? 0 : ba_fail(err, "out of memory");
    for (char *item; !rc && (item = strsep(&next, ","));) {
        rc = parse_item(item, text, out, err);
    }
    if (copy && text) {
        explicit_bzero(copy, strlen(text));
    }
    free(copy);
    return rc || !key_file ? rc : read_key(key_file, out, err);
}

void ba_store_spec_free(ba_store_spec *spec) {
    for (size_t i = 0; i < spec->n_tier; i++) {
        free_tier(&spec->tier[i]);
    }
    spec->n_tier = 0;
    if (spec->key) {
        ba_store_key_wipe(spec->key);
        free(spec->key);
        spec->key = NULL;
    }
}
