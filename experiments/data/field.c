#include "field.h"

#include "sim/base/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LIST = 200 };

/* Names of members, as many as fit. */
static void list_names(const cJSON *object, char out[LIST]) {
    const cJSON *item;
    size_t used = 0;
    snprintf(out, LIST, "nothing");
    cJSON_ArrayForEach(item, object) {
        size_t n = strlen(item->string);
        if (used + n + 6 > LIST) {
            snprintf(out + used, LIST - used, ", ..");
            return;
        }
        used += (size_t)snprintf(out + used, LIST - used, "%s%s", used ? ", " : "", item->string);
    }
}

static void describe(const cJSON *item, char out[LIST + 32]) {
    enum { SHOWN = 40 };
    char names[LIST];
    if (cJSON_IsString(item)) {
        size_t n = strlen(item->valuestring), cut = n > SHOWN ? SHOWN : n;
        cut = ba_utf8_valid(item->valuestring, cut);
        snprintf(out, LIST + 32, "the text \"%.*s%s\"", (int)cut, item->valuestring, cut < n ? ".." : "");
    } else if (cJSON_IsNumber(item)) {
        snprintf(out, LIST + 32, "the number %.10g", item->valuedouble);
    } else if (cJSON_IsArray(item)) {
        int n = cJSON_GetArraySize(item);
        snprintf(out, LIST + 32, n ? "a list of %d" : "an empty list", n);
    } else if (cJSON_IsObject(item)) {
        list_names(item, names);
        snprintf(out, LIST + 32, "an object of %s", names);
    } else {
        snprintf(out, LIST + 32, "%s", cJSON_IsNull(item) ? "null" : cJSON_IsTrue(item) ? "true" : "false");
    }
}

int ba_field_wrong(const cJSON *object, const char *field, const char *needed, char err[BA_ERR_LEN]) {
    char found[LIST + 32];
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field);
    if (!cJSON_IsObject(object)) {
        describe(object, found);
        return ba_fail(err, "%s, where an object with the field \"%s\" is needed", found, field);
    }
    if (!item) {
        list_names(object, found);
        return ba_fail(err, "field \"%s\" is missing; found: %s", field, found);
    }
    describe(item, found);
    return ba_fail(err, "field \"%s\" is %s, where %s is needed", field, found, needed);
}

const char *ba_field_text(const cJSON *object, const char *field, char err[BA_ERR_LEN]) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field);
    if (!cJSON_IsString(item)) {
        ba_field_wrong(object, field, "a text", err);
        return NULL;
    }
    return item->valuestring;
}

const cJSON *ba_field_list(const cJSON *object, const char *field, const char *of, char err[BA_ERR_LEN]) {
    char needed[64];
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field);
    if (!cJSON_IsArray(item) || !item->child) {
        snprintf(needed, sizeof needed, "a list of %s", of);
        ba_field_wrong(object, field, needed, err);
        return NULL;
    }
    return item;
}

int ba_text_check(const char *text, size_t n, size_t first, char err[BA_ERR_LEN]) {
    size_t bad = ba_utf8_valid(text, n), line = first, begin = 0;
    const char *nul = memchr(text, 0, bad);
    bad = nul ? (size_t)(nul - text) : bad;
    if (bad == n) {
        return 0;
    }
    for (size_t i = 0; i < bad; i++) {
        if (text[i] == '\n') {
            line++;
            begin = i + 1;
        }
    }
    return ba_fail(err, "line %zu: byte %zu is %s", line, bad - begin + 1, nul ? "NUL" : "no text in UTF-8");
}
