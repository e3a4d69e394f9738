/* A conversation as a prompt: its turns in the words of the model's chat template, each cut into blocks. */
#include "prompt.h"

#include "sim/base/grow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct id_list {
    int32_t *ids;
    size_t n, cap;
} id_list;

/* A text and what the template writes before and after it. */
typedef struct worded {
    const char *head, *text, *tail;
    size_t head_n, text_n, tail_n;
} worded;

/* Appends the ids of a text. Marks of the template are control tokens; what people say never is. */
static int encode(id_list *list, const ba_tokenizer *tok, bool marks, const char *text, size_t len,
                  char err[BA_ERR_LEN]) {
    size_t n = 0;
    int32_t *ids = NULL;
    if (ba_tokenize(tok, text, len, marks, &ids, &n, err) != 0) {
        return -1;
    }
    int rc = ba_grow(&list->ids, &list->cap, list->n + n + 1, sizeof *list->ids);
    if (rc == 0 && n) {
        memcpy(list->ids + list->n, ids, n * sizeof *ids);
        list->n += n;
    }
    free(ids);
    return rc == 0 ? 0 : ba_fail(err, "out of memory");
}

static int add(ba_prompt *p, const ba_tokenizer *tok, ba_role role, const worded *w, char err[BA_ERR_LEN]) {
    id_list list = {0};
    int rc = encode(&list, tok, true, w->head, w->head_n, err);
    if (rc == 0) {
        rc = encode(&list, tok, false, w->text, w->text_n, err);
    }
    if (rc == 0) {
        rc = encode(&list, tok, true, w->tail, w->tail_n, err);
    }
    if (rc == 0 && list.n && ba_prompt_add(p, role, list.ids, list.n) != 0) {
        rc = ba_fail(err, "out of memory");
    }
    free(list.ids);
    return rc;
}

/* A turn of a user, cut as the paper cuts a message. last: the turn that is answered. */
static int add_cut(ba_prompt *p, const ba_tokenizer *tok, const worded *w, bool last, char err[BA_ERR_LEN]) {
    size_t begin[BA_MESSAGE_BLOCKS + 1] = {0};
    size_t n = ba_segment_message(w->text, w->text_n, BA_MESSAGE_BLOCKS, begin);
    if (n == 0 && w->text_n) {
        return ba_fail(err, "out of memory");
    }
    n = n ? n : 1; /* an empty text still has its marks */
    for (size_t i = 0; i < n; i++) {
        size_t end = i + 1 < n ? begin[i + 1] : w->text_n;
        worded part = {w->head,        w->text + begin[i],        w->tail, i == 0 ? w->head_n : 0,
                       end - begin[i], i + 1 == n ? w->tail_n : 0};
        if (add(p, tok, last && i + 1 == n ? BA_ROLE_QUESTION : BA_ROLE_PASSAGE, &part, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static bool is(const ba_message *m, const char *role) {
    return strcmp(m->role, role) == 0;
}

/* What the template writes before message i; NULL and err: it has no such turn there. */
static const char *text_before(const ba_chat *chat, const ba_message *m, size_t i, char err[BA_ERR_LEN]) {
    bool after_user = i > 0 && is(&m[i - 1], "user");
    const char *before = NULL;
    if (is(&m[i], "system")) {
        before = i == 0 ? chat->system_open : NULL;
    } else if (is(&m[i], "assistant")) {
        before = after_user ? chat->past_open : NULL;
    } else if (is(&m[i], "user") && !after_user) {
        before = i == 0 ? chat->begin : is(&m[i - 1], "system") ? chat->system_close : chat->past_close;
    }
    if (!before) {
        ba_fail(err, "message %zu is of role '%.32s', which the model's chat template (%s) does not word there", i + 1,
                m[i].role, chat->family);
    }
    return before;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(worded *w) {
    while (w->text_n && is_space(*w->text)) {
        w->text++;
        w->text_n--;
    }
    while (w->text_n && is_space(w->text[w->text_n - 1])) {
        w->text_n--;
    }
}

static int word_turn(const ba_chat *chat, const ba_message *m, size_t n, size_t i, worded *w, char err[BA_ERR_LEN]) {
    const char *before = text_before(chat, m, i, err);
    const char *after = i + 1 < n && before ? text_before(chat, m, i + 1, err) : chat->answer_open;
    if (!before || !after) {
        return -1;
    }
    if (chat->cuts_thoughts && is(&m[i], "assistant") && strstr(m[i].content, "</think>")) {
        return ba_fail(err,
                       "message %zu holds </think>, up to which the model's chat template drops an earlier answer; "
                       "give the answer alone",
                       i + 1);
    }
    size_t cut = i ? ba_chat_cut(chat, before) : 0;
    w->head = before + cut;
    w->head_n = strlen(w->head);
    w->tail = after;
    w->tail_n = i + 1 < n ? ba_chat_cut(chat, after) : strlen(after);
    if (is(&m[i], "user") ? chat->trims : is(&m[i], "system") ? chat->trims_system : chat->trims_answer) {
        trim(w);
    }
    return 0;
}

static int add_turn(ba_prompt *p, const ba_tokenizer *tok, const ba_message *m, size_t n, size_t i,
                    char err[BA_ERR_LEN]) {
    const ba_chat *chat = ba_chat_of(ba_tokenizer_vocab(tok));
    worded w = {"", m[i].content, "\n", 0, strlen(m[i].content), 1}; /* without a template: lines */
    if (chat && word_turn(chat, m, n, i, &w, err) != 0) {
        return -1;
    }
    return is(&m[i], "user") ? add_cut(p, tok, &w, i + 1 == n, err)
                             : add(p, tok, is(&m[i], "system") ? BA_ROLE_SYSTEM : BA_ROLE_PASSAGE, &w, err);
}

int ba_prompt_from_messages(const ba_message *message, size_t n, const ba_tokenizer *tok, ba_prompt **out,
                            char err[BA_ERR_LEN]) {
    *out = NULL;
    if (n == 0 || !is(&message[n - 1], "user")) {
        return ba_fail(err, "the last message must be the user's, which is answered");
    }
    if (ba_chat_settled(ba_tokenizer_vocab(tok), err) != 0) {
        return -1;
    }
    ba_prompt *p = ba_prompt_new(tok);
    if (!p) {
        return ba_fail(err, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        if (!is(&message[i], "system") && !is(&message[i], "user") && !is(&message[i], "assistant")) {
            ba_prompt_free(p);
            return ba_fail(err, "message %zu is of role '%.32s'; there is system, user, assistant", i + 1,
                           message[i].role);
        }
        if (add_turn(p, tok, message, n, i, err) != 0) {
            ba_prompt_free(p);
            return -1;
        }
    }
    *out = p;
    return 0;
}
