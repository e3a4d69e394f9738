#include "rag.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static void free_item(ba_item *it) {
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
        free_item(&items->item[i]);
    }
    free(items->item);
    *items = (ba_items){0};
}

/* Copy of a string field; NULL and err if it is missing or not a string. */
static char *text_of(const cJSON *o, const char *field, char err[BA_ERR_LEN]) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    if (!cJSON_IsString(v)) {
        ba_fail(err, "field \"%s\" is missing or not a string", field);
        return NULL;
    }
    char *copy = strdup(v->valuestring);
    if (!copy) {
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
        if (!(doc->title = text_of(d, "title", err)) || !(doc->text = text_of(d, "text", err))) {
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
            return ba_fail(err, "field \"answers\" holds something that is not a string");
        }
        if (!(it->answers[it->n_answer++] = strdup(a->valuestring))) {
            it->n_answer--;
            return ba_fail(err, "out of memory");
        }
    }
    return 0;
}

static int parse_item(const char *line, ba_item *it, char err[BA_ERR_LEN]) {
    *it = (ba_item){0};
    cJSON *o = cJSON_Parse(line);
    if (!cJSON_IsObject(o)) {
        cJSON_Delete(o);
        return ba_fail(err, "not a JSON object");
    }
    const cJSON *docs = cJSON_GetObjectItemCaseSensitive(o, "documents");
    const cJSON *answers = cJSON_GetObjectItemCaseSensitive(o, "answers");
    int rc = 0;
    if (!cJSON_IsArray(docs) || cJSON_GetArraySize(docs) == 0) {
        rc = ba_fail(err, "field \"documents\" is missing or not a list with documents");
    } else if (!cJSON_IsArray(answers)) {
        rc = ba_fail(err, "field \"answers\" is missing or not a list");
    } else if (!(it->id = text_of(o, "id", err)) || !(it->question = text_of(o, "question", err)) ||
               parse_documents(docs, it, err) || parse_answers(answers, it, err)) {
        rc = -1;
    }
    cJSON_Delete(o);
    if (rc) {
        free_item(it);
    }
    return rc;
}

/* One line without its end, malloc'ed; NULL at the end of the file or with *failed set. */
static char *read_line(gzFile f, bool *failed) {
    size_t len = 0, cap = 1 << 16;
    char *line = malloc(cap);
    *failed = !line;
    while (line && gzgets(f, line + len, (int)(cap - len))) {
        len += strlen(line + len);
        if (len && line[len - 1] == '\n') {
            line[len - 1] = 0;
            return line;
        }
        if (len + 1 >= cap) {
            char *longer = cap < (size_t)1 << 28 ? realloc(line, cap *= 2) : NULL;
            if (!longer) {
                *failed = true;
                break;
            }
            line = longer;
        }
    }
    int code;
    gzerror(f, &code);
    *failed = *failed || (code != Z_OK && code != Z_STREAM_END);
    if (*failed || len == 0) {
        free(line);
        return NULL;
    }
    return line;
}

int ba_items_read(const char *path, size_t limit, ba_items *out, char err[BA_ERR_LEN]) {
    *out = (ba_items){0};
    gzFile f = gzopen(path, "rb");
    if (!f) {
        return ba_fail(err, "%s: %s", path, strerror(errno ? errno : ENOMEM));
    }
    bool failed = false;
    char *line, why[BA_ERR_LEN];
    int rc = 0;
    for (size_t n = 1; !rc && (!limit || out->n < limit) && (line = read_line(f, &failed)); n++) {
        if (line[strspn(line, " \t\r")]) {
            ba_item *more = realloc(out->item, (out->n + 1) * sizeof *more);
            out->item = more ? more : out->item;
            if (!more) {
                rc = ba_fail(err, "out of memory");
            } else if (parse_item(line, &out->item[out->n], why)) {
                rc = ba_fail(err, "%s: line %zu: %s", path, n, why);
            } else {
                out->n++;
            }
        }
        free(line);
    }
    if (failed) {
        rc = ba_fail(err, "%s: cannot be read to the end (damaged, or a line of more than 256 MB)", path);
    }
    gzclose(f);
    if (!rc && out->n == 0) {
        rc = ba_fail(err, "%s: no items", path);
    }
    if (rc) {
        ba_items_free(out);
    }
    return rc;
}

typedef struct id_list {
    int32_t *ids;
    size_t n;
} id_list;

/* Appends the ids of the parts, joined. Chat marks are control tokens; what comes out of a data file never is. */
static int encode(id_list *list, const ba_tokenizer *tok, bool marks, const char *const *part, size_t n_part) {
    size_t len = 0, n = 0;
    for (size_t i = 0; i < n_part; i++) {
        len += strlen(part[i]);
    }
    char *text = malloc(len + 1), *end = text;
    int32_t *ids = NULL, *more = NULL;
    for (size_t i = 0; text && i < n_part; i++) {
        end = stpcpy(end, part[i]);
    }
    int rc = text ? ba_tokenize(tok, text, len, marks, &ids, &n) : -1;
    if (!rc && n) {
        more = realloc(list->ids, (list->n + n) * sizeof *more);
        rc = more ? 0 : -1;
    }
    if (more) {
        memcpy(more + list->n, ids, n * sizeof *more);
        *list = (id_list){more, list->n + n};
    }
    free(ids);
    free(text);
    return rc;
}

/* One segment: marks, plain text, marks. */
static int add(ba_prompt *p, const ba_tokenizer *tok, ba_role role, const char *open, const char *const *part,
               size_t n_part, const char *close) {
    id_list list = {0};
    int rc = encode(&list, tok, true, &open, 1) || encode(&list, tok, false, part, n_part) ||
                     encode(&list, tok, true, &close, 1) || ba_prompt_add(p, role, list.ids, list.n)
                 ? -1
                 : 0;
    free(list.ids);
    return rc;
}

ba_prompt *ba_item_prompt(const ba_item *item, const ba_tokenizer *tok) {
    static const ba_chat plain = {"plain", "", "", "", "", "\nAnswer:", ""};
    const ba_chat *chat = ba_chat_of(ba_tokenizer_vocab(tok));
    chat = chat ? chat : &plain;
    const char *system = "You answer questions from search documents. They follow, each with its title.\n\n";
    const char *question[] = {
        "\nPlease write a high-quality answer for the given question using only the provided search "
        "documents (some of which might be irrelevant).\nQuestion: ",
        item->question};
    char close[256];
    snprintf(close, sizeof close, "%s%s", chat->user_close, chat->answer_open);
    ba_prompt *p = ba_prompt_new(tok);
    int rc = p ? add(p, tok, BA_ROLE_SYSTEM, chat->user_open, &system, 1, "") : -1;
    for (size_t i = 0; !rc && i < item->n_doc; i++) {
        const char *doc[] = {"- Title: ", item->doc[i].title, "\n", item->doc[i].text, "\n"};
        rc = add(p, tok, BA_ROLE_PASSAGE, "", doc, 5, "");
    }
    if (!rc) {
        rc = add(p, tok, BA_ROLE_QUESTION, "", question, 2, "");
    }
    if (!rc) {
        rc = add(p, tok, BA_ROLE_TASK, close, NULL, 0, "");
    }
    if (rc) {
        ba_prompt_free(p);
        return NULL;
    }
    return p;
}

int ba_item_answer(const ba_item *item, const ba_tokenizer *tok, int32_t **ids, size_t *n) {
    *ids = NULL;
    *n = 0;
    if (!item->n_answer) {
        return 0;
    }
    const ba_chat *chat = ba_chat_of(ba_tokenizer_vocab(tok));
    const char *space = chat ? "" : " ";
    size_t len = strlen(space) + strlen(item->answers[0]);
    char *text = malloc(len + 1);
    if (!text) {
        return -1;
    }
    stpcpy(stpcpy(text, space), item->answers[0]);
    int rc = ba_tokenize(tok, text, len, false, ids, n);
    free(text);
    return rc;
}
