#include "fields.h"

#include "adapter_fields.h"
#include "config_fields.h"
#include "sim/base/json_read.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool ba_is_set(const cJSON *item) {
    return item && !cJSON_IsNull(item);
}

size_t ba_whole_or(const cJSON *item, size_t otherwise) {
    return ba_is_set(item) ? (size_t)item->valuedouble : otherwise;
}

double ba_real_or(const cJSON *item, double otherwise) {
    return ba_is_set(item) ? item->valuedouble : otherwise;
}

bool ba_bool_or(const cJSON *item, bool otherwise) {
    return ba_is_set(item) ? cJSON_IsTrue(item) : otherwise;
}

const char *ba_text_or(const cJSON *item, const char *otherwise) {
    return ba_is_set(item) ? item->valuestring : otherwise;
}

/* Whether `family` is one of the words of the list. */
static bool is_of(const char *families, const char *family) {
    size_t n = strlen(family);
    for (const char *w = families; w && n && (w = strstr(w, family)); w += n) {
        if ((w == families || w[-1] == ' ') && (w[n] == ' ' || w[n] == '\0')) {
            return true;
        }
    }
    return !families;
}

/* The row of a field for this family, NULL: none has the name. A field that only other families read gets `ignored`. */
static const ba_field_row *row_of(const ba_field_row *rows, const char *family, const char *name) {
    static const ba_field_row ignored = {.use = BA_FIELD_PASS};
    const ba_field_row *found = NULL;
    for (const ba_field_row *r = rows; r->shown.field; r++) {
        if (strcmp(r->shown.field, name) == 0) {
            if (is_of(r->families, family)) {
                return r;
            }
            found = &ignored;
        }
    }
    return found;
}

static bool has_type(const cJSON *item, unsigned types) {
    size_t whole;
    return ((types & BA_JSON_WHOLE) && ba_json_whole(item, &whole)) ||
           ((types & BA_JSON_REAL) && cJSON_IsNumber(item) && isfinite(item->valuedouble)) ||
           ((types & BA_JSON_BOOL) && cJSON_IsBool(item)) || ((types & BA_JSON_TEXT) && cJSON_IsString(item)) ||
           ((types & BA_JSON_OBJECT) && cJSON_IsObject(item)) || ((types & BA_JSON_LIST) && cJSON_IsArray(item));
}

static int wrong_type(const ba_field_row *r, const char *path, char err[BA_ERR_LEN]) {
    static const struct {
        unsigned type;
        const char *name;
    } names[] = {{BA_JSON_WHOLE, "a whole number, not negative"},
                 {BA_JSON_REAL, "a finite number"},
                 {BA_JSON_BOOL, "true or false"},
                 {BA_JSON_TEXT, "a string"},
                 {BA_JSON_OBJECT, "an object"},
                 {BA_JSON_LIST, "a list"}};
    char list[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if ((r->types & names[i].type) && used < sizeof list) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? " or " : "", names[i].name);
        }
    }
    return ba_fail(err, "%s: '%s' must be %s", path, r->shown.field, list);
}

/* Whether the value is one of those that change nothing. */
static bool is_neutral(const cJSON *item, const char *neutral) {
    for (const char *from = neutral; from && *from;) {
        size_t n = strcspn(from, "|");
        cJSON *one = cJSON_ParseWithLength(from, n);
        bool same = one && cJSON_Compare(item, one, true);
        cJSON_Delete(one);
        if (same) {
            return true;
        }
        from += n + (from[n] == '|');
    }
    return false;
}

static int refuse(const ba_field_row *r, const cJSON *item, const char *path, char err[BA_ERR_LEN]) {
    char value[64] = "set";
    if (!cJSON_PrintPreallocated((cJSON *)item, value, sizeof value, false)) {
        snprintf(value, sizeof value, "set");
    }
    return ba_fail(err, "%s: '%s' is %s, which is not supported: %s", path, r->shown.field, value, r->shown.why);
}

static int take(const ba_field_row *r, const cJSON *item, const char *path, void *out, char err[BA_ERR_LEN]) {
    if (r->use == BA_FIELD_PASS) {
        return 0;
    }
    if (r->use == BA_FIELD_REFUSE) {
        return cJSON_IsNull(item) || is_neutral(item, r->neutral) ? 0 : refuse(r, item, path, err);
    }
    if (!cJSON_IsNull(item) && !has_type(item, r->types)) {
        return wrong_type(r, path, err);
    }
    memcpy((char *)out + r->at, &item, sizeof item);
    return 0;
}

int ba_fields_read(const ba_field_row *rows, const char *family, const cJSON *object, const char *path, void *out,
                   char err[BA_ERR_LEN]) {
    const cJSON *item;
    cJSON_ArrayForEach(item, object) {
        const ba_field_row *r = row_of(rows, family, item->string);
        if (cJSON_GetObjectItemCaseSensitive(object, item->string) != item) {
            return ba_fail(err, "%s: '%.64s' is there twice; take one of them out", path, item->string);
        }
        if (!r && !cJSON_IsNull(item)) {
            return ba_fail(err,
                           "%s: '%.64s' is a field that this program does not know, so it may change what is computed; "
                           "take it out if it does not",
                           path, item->string);
        }
        if (r && take(r, item, path, out, err) != 0) {
            return -1;
        }
    }
    return 0;
}

const ba_field *ba_model_field_at(size_t i) {
    const ba_field_row *const tables[] = {ba_config_rows, ba_rope_rows, ba_wrapper_rows, ba_adapter_rows};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        for (const ba_field_row *r = tables[t]; r->shown.field; r++) {
            if (i-- == 0) {
                return &r->shown;
            }
        }
    }
    return NULL;
}
