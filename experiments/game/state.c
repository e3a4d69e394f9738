#include "state.h"

#include "sim/base/json_read.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Scans valid or invalid JSON outside of its strings. */
typedef struct scan {
    const char *text;
    size_t len, at;
} scan;

/* Moves past the string that begins at s->at. */
static void skip_string(scan *s) {
    for (s->at++; s->at < s->len && s->text[s->at] != '"'; s->at++) {
        s->at += s->text[s->at] == '\\';
    }
    s->at += s->at < s->len;
}

static size_t number_length(const scan *s) {
    size_t n = 0;
    while (s->at + n < s->len && s->text[s->at + n] && strchr("+-.eE0123456789", s->text[s->at + n])) {
        n++;
    }
    return n;
}

/* Moves to the next number outside of strings; its length, or 0 at the end. */
static size_t next_number(scan *s) {
    while (s->at < s->len) {
        char c = s->text[s->at];
        if (c == '"') {
            skip_string(s);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            return number_length(s);
        } else {
            s->at++;
        }
    }
    return 0;
}

/* Refuses before parsing what would exhaust the stack, and numbers that are longer than any game needs. */
static int check_text(const char *text, size_t len, const char *name, char err[BA_ERR_LEN]) {
    size_t depth = 0;
    for (scan s = {text, len, 0}; s.at < len;) {
        char c = text[s.at];
        if (c == '"') {
            skip_string(&s);
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= depth && (c == '}' || c == ']');
        if (depth > BA_STATE_DEPTH) {
            return ba_fail(err, "%s: nested deeper than %d levels", name, BA_STATE_DEPTH);
        }
        s.at++;
    }
    scan s = {text, len, 0};
    for (size_t n; (n = next_number(&s)); s.at += n) {
        if (n > BA_STATE_NUMBER) {
            return ba_fail(err, "%s: a number of %zu characters (%.12s...); at most %d are read", name, n, text + s.at,
                           BA_STATE_NUMBER);
        }
    }
    return 0;
}

/* The k-th number in the text is the k-th number in the tree. */
static int keep_spelling(cJSON *item, scan *s) {
    for (; item; item = item->next) {
        if (cJSON_IsNumber(item)) {
            size_t n = next_number(s);
            item->valuestring = strndup(s->text + s->at, n);
            if (!item->valuestring) {
                return -1;
            }
            item->type = (item->type & ~0xFF) | cJSON_Raw;
            s->at += n;
        } else if (item->child && keep_spelling(item->child, s)) {
            return -1;
        }
    }
    return 0;
}

static int by_name(const void *a, const void *b) {
    const cJSON *const *x = a, *const *y = b;
    return strcmp((*x)->string, (*y)->string);
}

/* Members of an object in the order of their names. */
static int sort_members(cJSON *object, const char *name, char err[BA_ERR_LEN]) {
    size_t n = 0;
    for (const cJSON *m = object->child; m; m = m->next) {
        n++;
    }
    cJSON **member = malloc((n + 1) * sizeof *member);
    if (!member) {
        return ba_fail(err, "out of memory");
    }
    n = 0;
    for (cJSON *m = object->child; m; m = m->next) {
        member[n++] = m;
    }
    qsort(member, n, sizeof *member, by_name);
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        if (i && strcmp(member[i - 1]->string, member[i]->string) == 0) {
            rc = ba_fail(err, "%s: \"%s\" occurs twice in one object; it is unclear which one counts", name,
                         member[i]->string);
        }
        member[i]->prev = member[i ? i - 1 : n - 1]; /* cJSON's lists: the first one points back to the last */
        member[i]->next = i + 1 < n ? member[i + 1] : NULL;
    }
    object->child = n ? member[0] : NULL;
    free(member);
    return rc;
}

static int sort_all(cJSON *item, const char *name, char err[BA_ERR_LEN]) {
    int rc = cJSON_IsObject(item) ? sort_members(item, name, err) : 0;
    for (cJSON *child = item->child; child && !rc; child = child->next) {
        rc = sort_all(child, name, err);
    }
    return rc;
}

int ba_state_parse(const char *text, size_t len, const char *name, cJSON **out, char err[BA_ERR_LEN]) {
    *out = NULL;
    if (check_text(text, len, name, err)) {
        return -1;
    }
    char why[BA_ERR_LEN];
    cJSON *root;
    if (ba_json_parse(text, len, &root, why) != 0) {
        return ba_fail(err, "%s: not JSON: %s", name, why);
    }
    int rc = keep_spelling(root, &(scan){text, len, 0}) ? ba_fail(err, "out of memory") : sort_all(root, name, err);
    if (rc) {
        cJSON_Delete(root);
        return -1;
    }
    *out = root;
    return 0;
}
