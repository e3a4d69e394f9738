#include "rag.h"

#include "field.h"
#include "lines.h"
#include "sim/base/grow.h"
#include "sim/base/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ba_item_free(ba_item *it) {
    for (size_t i = 0; i < it->n_answer; i++) {
        free(it->answers[i]);
    }
    for (size_t i = 0; i < it->n_doc; i++) {
        free(it->doc[i].title);
        free(it->doc[i].text);
    }
    free(it->answers);
    free(it->doc);
    free(it->id);
    free(it->question);
}

void ba_items_free(ba_items *items) {
    for (size_t i = 0; i < items->n; i++) {
        ba_item_free(&items->item[i]);
    }
    free(items->item);
    *items = (ba_items){0};
}

/* Copy of a string field; NULL and err if it is missing or not a string. */
static char *text_of(const cJSON *o, const char *field, char err[BA_ERR_LEN]) {
    const char *text = ba_field_text(o, field, err);
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy) {
        ba_fail(err, "out of memory");
    }
    return copy;
}

static int parse_documents(const cJSON *list, ba_item *it, char err[BA_ERR_LEN]) {
    it->doc = calloc((size_t)cJSON_GetArraySize(list), sizeof *it->doc);
    if (!it->doc) {
        return ba_fail(err, "out of memory");
    }
    const cJSON *d;
    cJSON_ArrayForEach(d, list) {
        ba_document *doc = &it->doc[it->n_doc++];
        if (cJSON_IsString(d)) {
            if (!(doc->text = strdup(d->valuestring))) {
                return ba_fail(err, "out of memory");
            }
            continue;
        }
        bool titled = ba_json_get(d, "title") != NULL;
        if ((titled && !(doc->title = text_of(d, "title", err))) || !(doc->text = text_of(d, "text", err))) {
            return -1;
        }
    }
    return 0;
}

static int parse_answers(const cJSON *list, ba_item *it, char err[BA_ERR_LEN]) {
    it->answers = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *it->answers);
    if (!it->answers) {
        return ba_fail(err, "out of memory");
    }
    const cJSON *a;
    cJSON_ArrayForEach(a, list) {
        if (!cJSON_IsString(a)) {
            return ba_fail(err, "field \"answers\" holds something that is not a text");
        }
        if (!(it->answers[it->n_answer++] = strdup(a->valuestring))) {
            it->n_answer--;
            return ba_fail(err, "out of memory");
        }
    }
    return 0;
}

/* The question and its documents. */
static int parse_asked(const cJSON *o, ba_item *it, char err[BA_ERR_LEN]) {
    const cJSON *docs = ba_field_list(o, "documents", "documents", err);
    return docs && (it->question = text_of(o, "question", err)) ? parse_documents(docs, it, err) : -1;
}

static int parse_item(const cJSON *o, ba_item *it, char err[BA_ERR_LEN]) {
    const cJSON *answers = cJSON_GetObjectItemCaseSensitive(o, "answers"), *id = ba_json_get(o, "id"),
                *all = ba_json_get(o, "all");
    if (parse_asked(o, it, err) != 0) {
        return -1;
    }
    if (!cJSON_IsArray(answers)) {
        return ba_field_wrong(o, "answers", "a list of texts", err);
    }
    if (all && !cJSON_IsBool(all)) {
        return ba_field_wrong(o, "all", "true or false", err);
    }
    it->all = cJSON_IsTrue(all);
    if (cJSON_IsNumber(id) && asprintf(&it->id, "%.15g", id->valuedouble) < 0) {
        it->id = NULL;
        return ba_fail(err, "out of memory");
    }
    if (id && !cJSON_IsNumber(id) && !(it->id = text_of(o, "id", err))) {
        return -1;
    }
    return parse_answers(answers, it, err);
}

int ba_item_parse(const cJSON *o, ba_item *it, char err[BA_ERR_LEN]) {
    *it = (ba_item){0};
    int rc = parse_item(o, it, err);
    if (rc != 0) {
        ba_item_free(it);
    }
    return rc;
}

int ba_item_asked(const cJSON *o, ba_item *it, char err[BA_ERR_LEN]) {
    const cJSON *answers = cJSON_GetObjectItemCaseSensitive(o, "answers");
    *it = (ba_item){0};
    int rc = parse_asked(o, it, err);
    if (rc == 0 && answers) {
        rc = cJSON_IsArray(answers) ? parse_answers(answers, it, err)
                                    : ba_field_wrong(o, "answers", "a list of texts", err);
    }
    if (rc != 0) {
        ba_item_free(it);
    }
    return rc;
}

/* The next line's item. 1; 0: there are no more; -1 and err. */
static int read_item(ba_lines *lines, const char *path, ba_items *out, size_t *cap, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    cJSON *o = NULL;
    int got = ba_lines_next(lines, &o, why);
    if (got <= 0) {
        return got == 0 ? 0 : ba_fail(err, "%s", why);
    }
    if (ba_grow(&out->item, cap, out->n + 1, sizeof *out->item) != 0) {
        cJSON_Delete(o);
        return ba_fail(err, "out of memory");
    }
    bool bad = got == BA_LINE_BAD || ba_item_parse(o, &out->item[out->n], why) != 0;
    cJSON_Delete(o);
    if (bad) {
        return ba_fail(err, "%s: line %zu: %s", path, ba_lines_number(lines), why);
    }
    ba_item *item = &out->item[out->n++];
    if (!item->id && asprintf(&item->id, "%zu", ba_lines_number(lines) - 1) < 0) {
        item->id = NULL;
        return ba_fail(err, "out of memory");
    }
    return 1;
}

int ba_items_read(const char *path, size_t limit, ba_items *out, char err[BA_ERR_LEN]) {
    *out = (ba_items){0};
    ba_lines *lines;
    if (ba_lines_open(path, &lines, err)) {
        return -1;
    }
    size_t cap = 0;
    int rc = 1;
    while (rc == 1 && (!limit || out->n < limit)) {
        rc = read_item(lines, path, out, &cap, err);
    }
    ba_lines_close(lines);
    if (rc >= 0 && out->n == 0) {
        rc = ba_fail(err, "%s: no items", path);
    }
    if (rc < 0) {
        ba_items_free(out);
        return -1;
    }
    return 0;
}

/* Appends the items of one file. */
static int add_items(const char *path, size_t limit, ba_items *out, char err[BA_ERR_LEN]) {
    ba_items more;
    if (ba_items_read(path, limit, &more, err)) {
        return -1;
    }
    ba_item *all = realloc(out->item, (out->n + more.n) * sizeof *all);
    if (!all) {
        ba_items_free(&more);
        return ba_fail(err, "out of memory");
    }
    memcpy(all + out->n, more.item, more.n * sizeof *all);
    *out = (ba_items){all, out->n + more.n};
    free(more.item);
    return 0;
}

int ba_items_read_list(const char *list, size_t limit, ba_items *out, char err[BA_ERR_LEN]) {
    char *copy = strdup(list), *rest = copy, *path;
    *out = (ba_items){0};
    int rc = copy ? 0 : ba_fail(err, "out of memory");
    while (!rc && (path = strsep(&rest, ","))) {
        rc = *path ? add_items(path, limit, out, err) : ba_fail(err, "--data %s: an empty name in the list", list);
    }
    free(copy);
    if (rc) {
        ba_items_free(out);
    }
    return rc;
}

int ba_item_parts(const ba_item *item, const ba_prompts *prompts, ba_order order, ba_part **parts, size_t *n,
                  char err[BA_ERR_LEN]) {
    ba_part *part = calloc(item->n_doc + 2, sizeof *part);
    if (!part) {
        return ba_fail(err, "out of memory");
    }
    part[0] = (ba_part){BA_ROLE_SYSTEM, ba_prompts_fill(prompts, "rag", "system", NULL, err)};
    for (size_t i = 0; i < item->n_doc; i++) {
        const ba_document *d = &item->doc[order == BA_BEST_FIRST ? item->n_doc - 1 - i : i];
        const ba_prompt_field fields[] = {{"title", d->title ? d->title : ""}, {"text", d->text}, {0}};
        char *text = d->title ? NULL : ba_prompts_fill(prompts, "rag", "untitled", fields, err);
        part[1 + i] = (ba_part){BA_ROLE_PASSAGE, text ? text : ba_prompts_fill(prompts, "rag", "passage", fields, err)};
    }
    const ba_prompt_field fields[] = {{"question", item->question}, {0}};
    part[1 + item->n_doc] = (ba_part){BA_ROLE_QUESTION, ba_prompts_fill(prompts, "rag", "question", fields, err)};
    *parts = part;
    *n = item->n_doc + 2;
    for (size_t i = 0; i < *n; i++) {
        if (!part[i].text) {
            ba_parts_free(part, *n);
            return -1;
        }
    }
    return 0;
}

int ba_item_prompt(const ba_item *item, const ba_tokenizer *tok, ba_prompt **out, char err[BA_ERR_LEN]) {
    ba_prompts *prompts = NULL;
    ba_part *part = NULL;
    size_t n = 0;
    int rc = -1;
    *out = NULL;
    if (ba_prompts_open(NULL, tok, &prompts, err) != 0 ||
        ba_item_parts(item, prompts, BA_BEST_LAST, &part, &n, err) != 0) {
        goto done;
    }
    *out = ba_parts_prompt(part, n, tok, err);
    rc = *out ? 0 : -1;
done:
    ba_parts_free(part, n);
    ba_prompts_close(prompts);
    return rc;
}

int ba_item_answer(const ba_item *item, const ba_tokenizer *tok, int32_t **ids, size_t *n, char err[BA_ERR_LEN]) {
    *ids = NULL;
    *n = 0;
    return item->n_answer ? ba_answer_ids(item->answers[0], tok, ids, n, err) : 0;
}
