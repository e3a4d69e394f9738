/* Records of any table: columns by name, cells that hold one value or several. */
#include "convert.h"
#include "field.h"
#include "sim/base/json_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of a column, whose name may lead into objects; NULL if it is not there. */
static const cJSON *value_of(const cJSON *o, const char *name) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    const char *dot = strchr(name, '.');
    char first[256];
    if (v || !dot || (size_t)(dot - name) >= sizeof first) {
        return v;
    }
    snprintf(first, sizeof first, "%.*s", (int)(dot - name), name);
    v = cJSON_GetObjectItemCaseSensitive(o, first);
    return cJSON_IsObject(v) ? value_of(v, dot + 1) : NULL;
}

/* Receives each text of a cell, with the title that its object has. */
typedef struct sink {
    ba_record *r;
    const char *column, *title; /* title: of the column of titles, or NULL */
    bool documents;
} sink;

static int give(const sink *s, const char *text, const char *title, char err[BA_ERR_LEN]) {
    if (!text[strspn(text, " \t\r\n")]) {
        return 0;
    }
    return s->documents ? ba_record_document(s->r, title ? title : s->title, strdup(text), (double)NAN, -1, err)
                        : ba_record_answer(s->r, text, err);
}

/* One element of a list: a text, a number, or (of documents) an object with a text and maybe a title. */
static int give_element(const sink *s, const cJSON *v, char err[BA_ERR_LEN]) {
    if (cJSON_IsString(v)) {
        return give(s, v->valuestring, NULL, err);
    }
    if (cJSON_IsNumber(v)) {
        char number[32];
        snprintf(number, sizeof number, "%.15g", v->valuedouble);
        const char *text = ba_record_keep(s->r, number, strlen(number));
        return text ? give(s, text, NULL, err) : ba_fail(err, "out of memory");
    }
    if (s->documents && cJSON_IsObject(v)) {
        const char *text = ba_field_text(v, "text", err);
        return text ? give(s, text, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v, "title")), err) : -1;
    }
    return ba_fail(err, "column \"%s\" is a list that holds something else than texts%s", s->column,
                   s->documents ? " and objects with a \"text\"" : "");
}

static int give_list(const sink *s, const cJSON *list, char err[BA_ERR_LEN]) {
    const cJSON *v;
    cJSON_ArrayForEach(v, list) {
        if (give_element(s, v, err)) {
            return -1;
        }
    }
    return 0;
}

/* A cell that is a JSON list. Lists in the spelling of Python would pass as one long text, so they are refused. */
static int give_json(const sink *s, const char *text, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    cJSON *list = NULL;
    if (ba_json_parse(text, strlen(text), &list, why)) {
        return ba_fail(err,
                       "column \"%s\" begins like a list but is none in JSON (%.200s); as JSON it is [\"a\", \"b\"]",
                       s->column, why);
    }
    s->r->scratch = s->r->scratch ? s->r->scratch : cJSON_CreateArray();
    if (!cJSON_AddItemToArray(s->r->scratch, list)) {
        cJSON_Delete(list);
        return ba_fail(err, "out of memory");
    }
    return cJSON_IsArray(list) ? give_list(s, list, err) : give_element(s, list, err);
}

/* Whether a cell means a list: [" or [' or [{ or an empty one, or an object. */
static bool is_list(const char *text) {
    const char *s = text + strspn(text, " \t\r\n");
    if (*s != '[' && *s != '{') {
        return false;
    }
    const char *inside = s + 1 + strspn(s + 1, " \t\r\n");
    return *inside && strchr(*s == '[' ? "\"'{]" : "\"'", *inside);
}

static int give_text(const sink *s, const char *text, const char *separator, char err[BA_ERR_LEN]) {
    if (is_list(text)) {
        return give_json(s, text, err);
    }
    for (const char *end; separator && (end = strstr(text, separator)); text = end + strlen(separator)) {
        const char *part = ba_record_keep(s->r, text, (size_t)(end - text));
        if (!part) {
            return ba_fail(err, "out of memory");
        }
        if (give(s, part, NULL, err)) {
            return -1;
        }
    }
    return give(s, text, NULL, err);
}

static int missing(const cJSON *o, const char *name, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    ba_field_wrong(o, name, "", why);
    return ba_fail(err, "%.*s%s", BA_ERR_LEN - 80, why,
                   strchr(name, '.') ? " (a name with dots leads into objects)" : "");
}

/* The n-th name of a list; false past the last. */
static bool name_at(const char *list, size_t n, char out[256]) {
    for (; list && n; n--) {
        list = strchr(list, ',');
        list = list ? list + 1 : NULL;
    }
    snprintf(out, 256, "%.*s", list ? (int)strcspn(list, ",") : 0, list ? list : "");
    return list && *out;
}

/* Every column of a list. */
static int read_columns(const cJSON *o, const ba_columns *c, const char *names, ba_record *r, char err[BA_ERR_LEN]) {
    char name[256], title[256];
    bool documents = names == c->documents;
    for (size_t i = 0; name_at(names, i, name); i++) {
        const cJSON *v = value_of(o, name), *t = NULL;
        if (documents && name_at(c->titles, i, title) && !(t = value_of(o, title))) {
            return missing(o, title, err);
        }
        sink s = {r, name, cJSON_GetStringValue(t), documents};
        int rc = !v                  ? missing(o, name, err)
                 : cJSON_IsString(v) ? give_text(&s, v->valuestring, c->separator, err)
                 : cJSON_IsArray(v)  ? give_list(&s, v, err)
                 : cJSON_IsNull(v)   ? 0
                                     : give_element(&s, v, err);
        if (rc) {
            return -1;
        }
    }
    return 0;
}

int ba_read_table(const cJSON *o, const ba_columns *c, ba_record *r, char err[BA_ERR_LEN]) {
    const cJSON *question = value_of(o, c->question), *id = value_of(o, c->id ? c->id : "id");
    if (!question) {
        return missing(o, c->question, err);
    }
    if (!cJSON_IsString(question) || !*question->valuestring) {
        return ba_fail(err, "column \"%s\" holds no question", c->question);
    }
    if (c->id && !id) {
        return missing(o, c->id, err);
    }
    r->question = question->valuestring;
    r->order = c->order;
    if (cJSON_IsNumber(id)) {
        char number[32];
        snprintf(number, sizeof number, "%.15g", id->valuedouble);
        r->id = ba_record_keep(r, number, strlen(number));
    } else if (cJSON_IsString(id) && *id->valuestring) {
        r->id = id->valuestring;
    }
    if (read_columns(o, c, c->answers, r, err) || read_columns(o, c, c->documents, r, err)) {
        return -1;
    }
    return r->n_doc ? 0 : ba_fail(err, "no document: the columns %s are empty", c->documents);
}
