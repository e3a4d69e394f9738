/* Reading a step by the table row of its type. */
#include "step.h"

#include "sim/base/json_read.h"
#include "sim/base/utf8.h"
#include <string.h>

typedef struct context {
    const char *where, *type;
    char *err;
} context;

static int bad(const context *c, const char *field, const char *why) {
    return ba_fail(c->err, "%s %s: '%s' %s", c->where, c->type, field, why);
}

static int choose(const context *c, const cJSON *item, const char *field, const char *const *names, int *out) {
    for (int i = 0; cJSON_IsString(item) && names[i]; i++) {
        if (strcmp(item->valuestring, names[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    return bad(c, field, "has a value that is not known");
}

/* Regular expressions that a matcher of pretokenize.h does: those of the models after which the families are named. */
#define LLAMA3_PATTERN(digits)                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                                               \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct {
    const char *pattern, *family;
} known[] = {
    {LLAMA3_PATTERN("\\p{N}{1,3}"), "llama-bpe"},
    {LLAMA3_PATTERN("\\p{N}"), "qwen2"},
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", "gpt-2"},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", "gpt-2"},
};

static int read_regex(const context *c, const char *field, const char *pattern, ba_step *out) {
    char why[BA_ERR_LEN];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(pattern, known[i].pattern) == 0) {
            out->family = ba_pre_find(known[i].family, why);
            return 0;
        }
    }
    out->text = (ba_span){pattern, strlen(pattern)};
    if (ba_regex_new(out->text, &out->regex, why) == 0) {
        return 0;
    }
    return ba_fail(c->err, "%s %s: '%s' is not a regular expression that Oniguruma knows: %s", c->where, c->type, field,
                   why);
}

static int read_pattern(const context *c, const cJSON *item, const char *field, ba_step *out) {
    const cJSON *text = ba_json_get(item, "String"), *regex = ba_json_get(item, "Regex");
    if (cJSON_GetArraySize(item) != 1 || !(cJSON_IsString(text) || cJSON_IsString(regex))) {
        return bad(c, field, "must be {\"String\": TEXT} or {\"Regex\": EXPRESSION}");
    }
    if (regex) {
        return read_regex(c, field, regex->valuestring, out);
    }
    out->text = (ba_span){text->valuestring, strlen(text->valuestring)};
    /* An empty text matches between all characters, which is a regular expression's business. */
    return out->text.n ? 0 : read_regex(c, field, "", out);
}

static int read_flag(const context *c, const cJSON *item, const ba_step_field *f, ba_step *out) {
    if (!cJSON_IsBool(item)) {
        return bad(c, f->name, "must be true or false");
    }
    out->yes[f->slot] = cJSON_IsTrue(item);
    if (f->value == BA_VALUE_MAYBE) {
        out->yes[f->slot + 1] = true;
    }
    return 0;
}

static int read_character(const context *c, const cJSON *item, const char *field, ba_step *out) {
    int32_t code;
    size_t n = cJSON_IsString(item) ? strlen(item->valuestring) : 0;
    if (n == 0 || ba_utf8_next(item->valuestring, n, &code) != n) {
        return bad(c, field, "must be one character");
    }
    out->text = (ba_span){item->valuestring, n};
    return 0;
}

static int read_field(const context *c, const ba_step_field *f, const cJSON *item, ba_step *out) {
    static const char *const behaviours[] = {"Removed",        "Isolated",   "MergedWithPrevious",
                                             "MergedWithNext", "Contiguous", NULL};
    static const char *const schemes[] = {"always", "first", "never", NULL};
    switch (f->value) {
    case BA_VALUE_FLAG:
    case BA_VALUE_MAYBE:
        return read_flag(c, item, f, out);
    case BA_VALUE_COUNT:
        return ba_json_whole(item, &out->count) && out->count ? 0 : bad(c, f->name, "must be a whole number above 0");
    case BA_VALUE_CHARACTER:
        return read_character(c, item, f->name, out);
    case BA_VALUE_TEXT:
        if (!cJSON_IsString(item)) {
            return bad(c, f->name, "must be a text");
        }
        out->with = (ba_span){item->valuestring, strlen(item->valuestring)};
        return 0;
    case BA_VALUE_PATTERN:
        return read_pattern(c, item, f->name, out);
    case BA_VALUE_BEHAVIOUR:
        return choose(c, item, f->name, behaviours, &out->choice);
    case BA_VALUE_SCHEME:
        return choose(c, item, f->name, schemes, &out->choice);
    case BA_VALUE_HARMLESS:
        break;
    }
    return 0;
}

/* Every member of the object is a field of the type. */
static int check_members(const context *c, const cJSON *json, const ba_step_type *type) {
    const cJSON *member;
    cJSON_ArrayForEach(member, json) {
        bool found = strcmp(member->string, "type") == 0;
        for (size_t i = 0; !found && i < BA_STEP_FIELDS && type->field[i].name; i++) {
            found = strcmp(member->string, type->field[i].name) == 0;
        }
        if (!found) {
            return bad(c, member->string, "is not known; it might change what the step does");
        }
    }
    return 0;
}

static const ba_step_type *find_type(const char *name, const ba_step_type *(*table)(size_t i)) {
    const ba_step_type *type;
    for (size_t i = 0; name && (type = table(i)); i++) {
        if (strcmp(type->name, name) == 0) {
            return type;
        }
    }
    return NULL;
}

int ba_step_parse(const cJSON *json, const char *where, const ba_step_type *(*table)(size_t i), ba_step *out,
                  char err[BA_ERR_LEN]) {
    const cJSON *name = ba_json_get(json, "type");
    const ba_step_type *type = find_type(cJSON_IsString(name) ? name->valuestring : NULL, table);
    if (!type || type->refused) {
        return ba_fail(err, "%s: a step of type '%.40s' is not supported%s%s", where,
                       cJSON_IsString(name) ? name->valuestring : "", type ? ": " : "", type ? type->refused : "");
    }
    const context c = {where, type->name, err};
    *out = type->start;
    out->type = type;
    if (check_members(&c, json, type) != 0) {
        return -1;
    }
    for (size_t i = 0; i < BA_STEP_FIELDS && type->field[i].name; i++) {
        const ba_step_field *f = &type->field[i];
        const cJSON *item = ba_json_get(json, f->name);
        int rc = item ? read_field(&c, f, item, out) : f->required ? bad(&c, f->name, "is missing") : 0;
        if (rc) {
            ba_step_free(out);
            return rc;
        }
    }
    const char *wrong = type->check ? type->check(out) : NULL;
    if (wrong) {
        ba_step_free(out);
        return ba_fail(err, "%s %s: %s", where, type->name, wrong);
    }
    return 0;
}

void ba_step_free(ba_step *s) {
    ba_regex_free(s->regex);
    s->regex = NULL;
}

/* A family's pieces are the matches of its regular expression, which leaves nothing between them. */
static int scan_family(const ba_pre *family, const char *text, size_t n, ba_match found, void *to) {
    for (size_t at = 0, len; at < n; at += len) {
        len = ba_pre_next(family, text + at, n - at);
        if (found(to, at, at + len)) {
            return -1;
        }
    }
    return 0;
}

static int scan_text(ba_span what, const char *text, size_t n, ba_match found, void *to) {
    size_t at = 0;
    for (const char *p; (p = memmem(text + at, n - at, what.s, what.n));) {
        size_t start = (size_t)(p - text);
        at = start + what.n;
        if (found(to, start, at)) {
            return -1;
        }
    }
    return 0;
}

int ba_step_scan(const ba_step *s, const char *text, size_t n, ba_match found, void *to) {
    return s->family  ? scan_family(s->family, text, n, found, to)
           : s->regex ? ba_regex_scan(s->regex, text, n, found, to)
                      : scan_text(s->text, text, n, found, to);
}
