#include "request.h"

#include "field.h"
#include "sim/base/json_read.h"

#include <stdlib.h>
#include <string.h>

static int check_fields(const cJSON *root, char err[BA_ERR_LEN]) {
    static const char *const known[] = {"question", "documents", "id", "answers", "num_local_attention_blocks",
                                        /* of items, which are requests too */
                                        "gold", "has_answer", "source"};
    const cJSON *item;
    cJSON_ArrayForEach(item, root) {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(item->string, known[i]) != 0) {
            i++;
        }
        if (i == sizeof known / sizeof *known) {
            return ba_fail(err,
                           "request: unknown field \"%.64s\" beside \"question\"; there is question, documents, "
                           "num_local_attention_blocks",
                           item->string);
        }
        if (cJSON_GetObjectItemCaseSensitive(root, item->string) != item) {
            return ba_fail(err, "request: field \"%s\" is there twice", item->string);
        }
    }
    return 0;
}

static int ask(const cJSON *root, const ba_tokenizer *tok, ba_request *out, char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    ba_item item;
    size_t local = SIZE_MAX;
    if (!tok) {
        return ba_fail(err, "request: a question needs a model with a vocabulary");
    }
    if (check_fields(root, err) != 0 || ba_json_size(root, "num_local_attention_blocks", &local, "request", err) != 0) {
        return -1;
    }
    if (ba_item_asked(root, &item, why) != 0) {
        return ba_fail(err, "request: %s", why);
    }
    int rc = ba_item_prompt(&item, tok, &out->prompt, err);
    if (rc == 0) {
        out->prompt->local_blocks = local;
    }
    if (rc == 0 && item.n_answer && !(out->answer = strdup(item.answers[0]))) {
        rc = ba_fail(err, "out of memory");
    }
    ba_item_free(&item);
    return rc;
}

void ba_request_free(ba_request *r) {
    ba_prompt_free(r->prompt);
    free(r->answer);
    *r = (ba_request){0};
}

int ba_request_parse(const char *json, size_t len, const ba_tokenizer *tok, size_t n_vocab, ba_request *out,
                     char err[BA_ERR_LEN]) {
    char why[BA_ERR_LEN];
    cJSON *root = NULL;
    *out = (ba_request){0};
    if (memmem(json, len, "\"question\"", 10) && ba_json_parse(json, len, &root, why) == 0 &&
        cJSON_GetObjectItemCaseSensitive(root, "question")) {
        int rc = ask(root, tok, out, err);
        cJSON_Delete(root);
        return rc;
    }
    out->raw = !cJSON_GetObjectItemCaseSensitive(root, "messages") && !memmem(json, len, "\"messages\"", 10);
    cJSON_Delete(root);
    return ba_prompt_parse(json, len, tok, n_vocab, &out->prompt, err);
}

/* ---- documents of a file ---------------------------------------------------------------------------------------- */

/* Adds what is one JSON value to the list: a document, or a list of them. */
static int add_json(cJSON *list, const char *text, size_t n, char err[BA_ERR_LEN]) {
    cJSON *value, *one;
    if (ba_json_parse(text, n, &value, err) != 0) {
        return -1;
    }
    if (!cJSON_IsArray(value)) {
        cJSON_AddItemToArray(list, value);
        return 0;
    }
    while ((one = cJSON_DetachItemFromArray(value, 0))) {
        cJSON_AddItemToArray(list, one);
    }
    cJSON_Delete(value);
    return 0;
}

static size_t line_at(const char *text, size_t n) {
    const char *end = memchr(text, '\n', n);
    return end ? (size_t)(end - text) : n;
}

static bool is_blank(const char *text, size_t n) {
    while (n && strchr(" \t\r\n", text[n - 1])) {
        n--;
    }
    return n == 0;
}

static int add_lines(cJSON *list, const char *text, size_t len, char err[BA_ERR_LEN]) {
    size_t number = 1;
    for (size_t at = 0, n; at < len; at += n + 1, number++) {
        char why[BA_ERR_LEN];
        n = line_at(text + at, len - at);
        if (!is_blank(text + at, n) && add_json(list, text + at, n, why) != 0) {
            return ba_fail(err, "line %zu: %s", number, why);
        }
    }
    return 0;
}

/* Passages of a plain text, between blank lines. */
static int add_passages(cJSON *list, const char *text, size_t len, char err[BA_ERR_LEN]) {
    size_t begin = 0, end = 0;
    for (size_t at = 0, n; at <= len; at += n + 1) {
        n = at < len ? line_at(text + at, len - at) : 0;
        if (n && !is_blank(text + at, n)) {
            end = at + n;
            continue;
        }
        char *passage = end > begin ? strndup(text + begin, end - begin) : NULL;
        if (passage) {
            cJSON_AddItemToArray(list, cJSON_CreateString(passage));
        }
        free(passage);
        begin = end = at + n + 1;
    }
    return cJSON_GetArraySize(list) ? 0 : ba_fail(err, "there is no passage in it");
}

int ba_request_ask(const char *question, const char *documents, size_t len, const ba_tokenizer *tok, ba_request *out,
                   char err[BA_ERR_LEN]) {
    size_t blank = strspn(documents, " \t\r\n");
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "documents");
    int rc = -1;
    *out = (ba_request){0};
    if (ba_text_check(documents, len, 1, err) != 0) {
        goto done;
    }
    rc = documents[blank] == '['   ? add_json(list, documents, len, err)
         : documents[blank] == '{' ? add_lines(list, documents, len, err)
                                   : add_passages(list, documents, len, err);
    cJSON_AddStringToObject(root, "question", question);
    if (rc == 0) {
        rc = ask(root, tok, out, err);
    }
done:
    cJSON_Delete(root);
    return rc;
}
