#include "rules.h"

#include "sim/base/json_read.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void ba_rules_free(ba_rules *rules) {
    for (size_t i = 0; i < rules->n; i++) {
        ba_rule *r = &rules->rule[i];
        for (size_t k = 0; k < r->n_part; k++) {
            free(r->part[k]);
        }
        free(r->part);
        free(r->key);
    }
    *rules = (ba_rules){0};
}

/* One reference token, ~1 and ~0 undone. */
static char *unescape(const char *s, size_t n) {
    char *out = malloc(n + 1);
    size_t used = 0;
    for (size_t i = 0; out && i < n; i++) {
        bool escape = s[i] == '~' && i + 1 < n && (s[i + 1] == '0' || s[i + 1] == '1');
        out[used++] = escape ? (s[++i] == '0' ? '~' : '/') : s[i];
    }
    if (out) {
        out[used] = 0;
    }
    return out;
}

static int parse_pointer(ba_rule *r, const char *at, const char *name, char err[BA_ERR_LEN]) {
    if (*at && *at != '/') {
        return ba_fail(err, "%s: \"at\": \"%s\" is not a JSON pointer: it begins with /", name, at);
    }
    size_t n = 0;
    for (const char *c = at; *c; c++) {
        n += *c == '/';
    }
    r->part = calloc(n + 1, sizeof *r->part);
    if (!r->part) {
        return ba_fail(err, "out of memory");
    }
    while (*at) {
        size_t len = strcspn(++at, "/");
        bool any = len == 1 && *at == '*';
        r->part[r->n_part] = any ? NULL : unescape(at, len);
        if (!any && !r->part[r->n_part]) {
            return ba_fail(err, "out of memory");
        }
        r->n_part++;
        at += len;
    }
    return 0;
}

static int only(const cJSON *object, const char *const *known, const char *name, char err[BA_ERR_LEN]) {
    for (const cJSON *m = object->child; m; m = m->next) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], m->string) != 0) {
            i++;
        }
        if (!known[i]) {
            return ba_fail(err, "%s: field %s: unknown", name, m->string);
        }
    }
    return 0;
}

static int take_limit(const cJSON *object, size_t *limit, const char *name, char err[BA_ERR_LEN]) {
    if (ba_json_size(object, "max_tokens", limit, name, err)) {
        return -1;
    }
    return *limit ? 0 : ba_fail(err, "%s: 'max_tokens' must be 1 or more", name);
}

static int parse_rule(const cJSON *item, size_t limit, const char *name, ba_rule *r, char err[BA_ERR_LEN]) {
    static const char *const known[] = {"at", "max_tokens", "key", NULL};
    const char *at = NULL, *key = NULL;
    if (!cJSON_IsObject(item)) {
        return ba_fail(err, "%s: field rules: must be a list of objects like {\"at\": \"/units/*\"}", name);
    }
    r->max_tokens = limit;
    if (only(item, known, name, err) || ba_json_string(item, "at", &at, name, err) ||
        ba_json_string(item, "key", &key, name, err) || take_limit(item, &r->max_tokens, name, err)) {
        return -1;
    }
    if (!at) {
        return ba_fail(err, "%s: a rule without \"at\"", name);
    }
    if (key && !(r->key = strdup(key))) {
        return ba_fail(err, "out of memory");
    }
    return parse_pointer(r, at, name, err);
}

static int parse_all(const cJSON *doc, const char *name, ba_rules *out, char err[BA_ERR_LEN]) {
    static const char *const known[] = {"about", "max_tokens", "rules", NULL};
    if (!cJSON_IsObject(doc)) {
        return ba_fail(err, "%s: must be a JSON object with the field rules", name);
    }
    const cJSON *list = ba_json_get(doc, "rules"), *item;
    out->max_tokens = SIZE_MAX;
    if (only(doc, known, name, err) || take_limit(doc, &out->max_tokens, name, err)) {
        return -1;
    }
    if (list && !cJSON_IsArray(list)) {
        return ba_fail(err, "%s: field rules: must be a list", name);
    }
    cJSON_ArrayForEach(item, list) {
        if (out->n == BA_MAX_RULES) {
            return ba_fail(err, "%s: field rules: more than %d", name, BA_MAX_RULES);
        }
        if (parse_rule(item, out->max_tokens, name, &out->rule[out->n++], err)) {
            return -1;
        }
    }
    return 0;
}

int ba_rules_parse(const char *text, size_t len, const char *name, ba_rules *out, char err[BA_ERR_LEN]) {
    *out = (ba_rules){0};
    char why[BA_ERR_LEN];
    cJSON *doc;
    int rc = ba_json_parse(text, len, &doc, why) == 0 ? parse_all(doc, name, out, err)
                                                      : ba_fail(err, "%s: not JSON: %s", name, why);
    cJSON_Delete(doc);
    if (rc) {
        ba_rules_free(out);
    }
    return rc;
}
