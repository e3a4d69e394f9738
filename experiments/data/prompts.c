#include "prompts.h"

#include "sim/base/grow.h"
#include "sim/base/json_read.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ba_prompts {
    cJSON *root;
    const cJSON *family; /* what this family words differently, or NULL */
};

/* The file itself, put into the program where it is built. */
__asm__(".pushsection .rodata\n"
        ".globl ba_prompts_json\n"
        ".hidden ba_prompts_json\n"
        "ba_prompts_json:\n"
        ".incbin \"experiments/data/prompts.json\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char ba_prompts_json[];

static const ba_chat plain_chat = {.family = "plain", .bare_begin = "", .answer_open = "\nAnswer:"};

static const ba_chat *chat_of(const ba_tokenizer *tok) {
    const ba_chat *chat = ba_chat_of(ba_tokenizer_vocab(tok));
    return chat ? chat : &plain_chat;
}

int ba_prompts_open(const char *path, const ba_tokenizer *tok, ba_prompts **out, char err[BA_ERR_LEN]) {
    if (ba_chat_settled(ba_tokenizer_vocab(tok), err) != 0) {
        return -1;
    }
    ba_prompts *p = calloc(1, sizeof *p);
    if (!p) {
        return ba_fail(err, "out of memory");
    }
    if (path ? ba_json_read(path, &p->root, err) : !(p->root = cJSON_Parse(ba_prompts_json))) {
        free(p);
        return path ? -1 : ba_fail(err, "out of memory");
    }
    p->family = ba_json_get(ba_json_get(p->root, "families"), chat_of(tok)->family);
    *out = p;
    return 0;
}

void ba_prompts_close(ba_prompts *p) {
    if (p) {
        cJSON_Delete(p->root);
        free(p);
    }
}

typedef struct buffer {
    char *text;
    size_t len, cap;
} buffer;

static int append(buffer *b, const char *s, size_t n) {
    if (ba_grow(&b->text, &b->cap, b->len + n + 1, 1)) {
        return -1;
    }
    memcpy(b->text + b->len, s, n);
    b->len += n;
    b->text[b->len] = 0;
    return 0;
}

/* The field whose {name} begins at s; NULL: there is none. */
static const ba_prompt_field *field_at(const char *s, const ba_prompt_field *fields) {
    for (const ba_prompt_field *f = fields; f && f->name; f++) {
        size_t n = strlen(f->name);
        if (strncmp(s + 1, f->name, n) == 0 && s[n + 1] == '}') {
            return f;
        }
    }
    return NULL;
}

char *ba_prompts_fill(const ba_prompts *p, const char *task, const char *part, const ba_prompt_field *fields,
                      char err[BA_ERR_LEN]) {
    const cJSON *text = ba_json_get(ba_json_get(p->family, task), part);
    text = text ? text : ba_json_get(ba_json_get(p->root, task), part);
    bool none = !cJSON_IsString(text);
    if (none && strcmp(part, "system") != 0) {
        ba_fail(err, "the prompts have no text for %s.%s", task, part);
        return NULL;
    }
    buffer b = {0};
    int rc = append(&b, "", 0);
    for (const char *s = none ? "" : text->valuestring; *s && !rc;) {
        const ba_prompt_field *f = *s == '{' ? field_at(s, fields) : NULL;
        rc = f ? append(&b, f->text, strlen(f->text)) : append(&b, s, 1);
        s += f ? strlen(f->name) + 2 : 1;
    }
    if (rc) {
        ba_fail(err, "out of memory");
        free(b.text);
        return NULL;
    }
    return b.text;
}

void ba_parts_free(ba_part *part, size_t n) {
    for (size_t i = 0; part && i < n; i++) {
        free(part[i].text);
    }
    free(part);
}

typedef struct id_list {
    int32_t *ids;
    size_t n;
} id_list;

/* Appends the ids of a text. Chat marks are control tokens; what comes out of a data file never is. */
static int encode(id_list *list, const ba_tokenizer *tok, bool marks, const char *text, char err[BA_ERR_LEN]) {
    size_t n = 0;
    int32_t *ids = NULL;
    if (ba_tokenize(tok, text, strlen(text), marks, &ids, &n, err) != 0) {
        return -1;
    }
    int32_t *more = n ? realloc(list->ids, (list->n + n) * sizeof *more) : NULL;
    if (more) {
        memcpy(more + list->n, ids, n * sizeof *more);
        *list = (id_list){more, list->n + n};
    }
    free(ids);
    return n && !more ? ba_fail(err, "out of memory") : 0;
}

static int add(ba_prompt *p, const ba_tokenizer *tok, ba_role role, const char *marks, const char *text,
               char err[BA_ERR_LEN]) {
    id_list list = {0};
    int rc = encode(&list, tok, true, marks, err);
    if (rc == 0) {
        rc = encode(&list, tok, false, text, err);
    }
    if (rc == 0 && ba_prompt_add(p, role, list.ids, list.n) != 0) {
        rc = ba_fail(err, "out of memory");
    }
    free(list.ids);
    return rc;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A copy of the text; where the template trims what a user says, without white space before the first part and after
 * the last. NULL: out of memory. */
static char *trimmed(const ba_chat *chat, const char *text, bool first, bool last) {
    size_t n = strlen(text);
    for (; chat->trims && first && is_space(*text); text++, n--) {
    }
    while (chat->trims && last && n && is_space(text[n - 1])) {
        n--;
    }
    return strndup(text, n);
}

ba_prompt *ba_parts_prompt(const ba_part *part, size_t n, const ba_tokenizer *tok, char err[BA_ERR_LEN]) {
    const ba_chat *chat = chat_of(tok);
    ba_prompt *p = ba_prompt_new(tok);
    int rc = p ? 0 : ba_fail(err, "out of memory");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char *text = trimmed(chat, part[i].text, i == 0, i + 1 == n);
        rc =
            text ? add(p, tok, part[i].role, i == 0 ? chat->bare_begin : "", text, err) : ba_fail(err, "out of memory");
        free(text);
    }
    if (rc == 0) {
        rc = add(p, tok, BA_ROLE_TASK, chat->answer_open, "", err);
    }
    if (rc != 0) {
        ba_prompt_free(p);
        return NULL;
    }
    return p;
}

int ba_answer_ids(const char *answer, const ba_tokenizer *tok, int32_t **ids, size_t *n, char err[BA_ERR_LEN]) {
    const char *space = chat_of(tok) == &plain_chat ? " " : "";
    char *text = NULL;
    *ids = NULL;
    *n = 0;
    if (asprintf(&text, "%s%s", space, answer) < 0) {
        return ba_fail(err, "out of memory");
    }
    int rc = ba_tokenize(tok, text, strlen(text), false, ids, n, err);
    free(text);
    return rc;
}
