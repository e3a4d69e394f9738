#include "tune_data.h"

#include "lines.h"
#include "rag.h"
#include "sim/base/grow.h"

#include <stdlib.h>
#include <string.h>

/* ---- ids ---- */

typedef struct id_list {
    int32_t *ids;
    size_t n, cap;
} id_list;

/* Appends the ids of a text. Chat marks are control tokens; what comes out of a data file never is. */
static int encode(id_list *list, const ba_tokenizer *tok, bool marks, const char *text) {
    size_t n = 0;
    int32_t *ids = NULL;
    int rc = ba_tokenize(tok, text, strlen(text), marks, &ids, &n) ||
                     ba_grow(&list->ids, &list->cap, list->n + n + 1, sizeof *list->ids)
                 ? -1
                 : 0;
    if (!rc && n) {
        memcpy(list->ids + list->n, ids, n * sizeof *ids);
        list->n += n;
    }
    free(ids);
    return rc;
}

/* The token that ends an answer: what closes a turn if generation ends there, else the vocabulary's; -1: none. */
static int32_t end_token(const ba_tokenizer *tok) {
    const ba_chat *chat = ba_chat_of(ba_tokenizer_vocab(tok));
    id_list list = {0};
    int32_t end = ba_tokenizer_vocab(tok)->eos;
    if (chat && encode(&list, tok, true, chat->user_close) == 0 && list.n && ba_token_ends(tok, list.ids[0])) {
        end = list.ids[0];
    }
    free(list.ids);
    return end;
}

static int add_end(const ba_tokenizer *tok, ba_example *e) {
    int32_t end = end_token(tok), *more = realloc(e->answer, (e->n + 1) * sizeof *more);
    if (!more) {
        return -1;
    }
    e->answer = more;
    if (end >= 0) {
        e->answer[e->n++] = end;
    }
    return 0;
}

/* ---- forms of lines ---- */

/* Whether it has no response, which is counted rather than reported. */
static const char unanswered[] = "no answer";

static int from_item(const ba_tokenizer *tok, const cJSON *line, ba_example *out, char err[BA_ERR_LEN]) {
    ba_item item;
    if (ba_item_parse(line, &item, err)) {
        return -1;
    }
    int rc = item.n_answer && *item.answers[0] ? 0 : ba_fail(err, "%s", unanswered);
    if (!rc && (!(out->prompt = ba_item_prompt(&item, tok)) || ba_item_answer(&item, tok, &out->answer, &out->n))) {
        rc = ba_fail(err, "out of memory");
    }
    ba_item_free(&item);
    return rc;
}

static int respond(const ba_tokenizer *tok, const char *response, ba_example *out, char err[BA_ERR_LEN]) {
    return !*response                                            ? ba_fail(err, "%s", unanswered)
           : ba_answer_ids(response, tok, &out->answer, &out->n) ? ba_fail(err, "out of memory")
                                                                 : 0;
}

static int from_blocks(const ba_tokenizer *tok, const cJSON *blocks, ba_example *out, char err[BA_ERR_LEN]) {
    int n = cJSON_GetArraySize(blocks);
    ba_part *part = calloc((size_t)n + 1, sizeof *part);
    const cJSON *b;
    int i = 0, rc = part && n ? 0 : ba_fail(err, "field \"blocks\" is no list of texts");
    cJSON_ArrayForEach(b, blocks) {
        if (!rc && (!cJSON_IsString(b) || !*b->valuestring)) {
            rc = ba_fail(err, "field \"blocks\" holds something that is no text, or an empty one");
        }
        if (!rc) {
            part[i].role = i + 1 == n ? BA_ROLE_QUESTION : i == 0 && n > 2 ? BA_ROLE_SYSTEM : BA_ROLE_PASSAGE;
            part[i++].text = strdup(b->valuestring);
        }
    }
    if (!rc && !(out->prompt = ba_parts_prompt(part, (size_t)n, tok))) {
        rc = ba_fail(err, "out of memory");
    }
    ba_parts_free(part, (size_t)i);
    return rc;
}

static int from_official(const ba_tokenizer *tok, const cJSON *line, ba_example *out, char err[BA_ERR_LEN]) {
    const cJSON *blocks = cJSON_GetObjectItemCaseSensitive(line, "blocks");
    const cJSON *prompt = cJSON_GetObjectItemCaseSensitive(line, "prompt");
    const cJSON *response = cJSON_GetObjectItemCaseSensitive(line, "response");
    if (!cJSON_IsString(response)) {
        return ba_fail(err, "field \"response\" is missing or no text");
    }
    if (cJSON_IsArray(blocks)) {
        return from_blocks(tok, blocks, out, err) || respond(tok, response->valuestring, out, err) ? -1 : 0;
    }
    if (!cJSON_IsString(prompt)) {
        return ba_fail(err, "neither \"blocks\" nor \"prompt\" is there");
    }
    return ba_prompt_from_message(prompt->valuestring, strlen(prompt->valuestring), BA_MESSAGE_BLOCKS, false, tok,
                                  &out->prompt, err) ||
                   respond(tok, response->valuestring, out, err)
               ? -1
               : 0;
}

/* One turn as a segment between its marks. */
static int add_turn(ba_prompt *p, const ba_tokenizer *tok, const ba_chat *chat, const char *role, const char *text,
                    bool last) {
    const char *open = "", *close = "\n";
    ba_role as = last ? BA_ROLE_QUESTION : BA_ROLE_PASSAGE;
    if (chat && !strcmp(role, "system")) {
        open = chat->system_open, close = chat->system_close;
    } else if (chat && !strcmp(role, "assistant")) {
        open = chat->answer_open, close = chat->user_close;
    } else if (chat) {
        open = ba_chat_user_open(chat, p->n_seg == 1 && p->seg[0].role == BA_ROLE_SYSTEM), close = chat->user_close;
    }
    if (!strcmp(role, "system") && p->n_seg == 0) {
        as = BA_ROLE_SYSTEM;
    }
    id_list list = {0};
    int rc = encode(&list, tok, true, open) || encode(&list, tok, false, text) || encode(&list, tok, true, close) ||
                     (last && chat && encode(&list, tok, true, chat->answer_open)) ||
                     ba_prompt_add(p, as, list.ids, list.n)
                 ? -1
                 : 0;
    free(list.ids);
    return rc;
}

static int from_messages(const ba_tokenizer *tok, const cJSON *messages, ba_example *out, char err[BA_ERR_LEN]) {
    const ba_chat *chat = ba_chat_of(ba_tokenizer_vocab(tok));
    int n = cJSON_GetArraySize(messages), i = 0, rc = 0;
    const cJSON *m;
    if (!(out->prompt = ba_prompt_new(tok))) {
        return ba_fail(err, "out of memory");
    }
    cJSON_ArrayForEach(m, messages) {
        const cJSON *role = cJSON_GetObjectItemCaseSensitive(m, "role");
        const cJSON *content = cJSON_GetObjectItemCaseSensitive(m, "content");
        if (!cJSON_IsString(role) || !cJSON_IsString(content)) {
            return ba_fail(err, "message %d has no \"role\" and \"content\"", i + 1);
        }
        if (i + 1 == n) {
            rc = strcmp(role->valuestring, "assistant") != 0 ? ba_fail(err, "%s", unanswered)
                                                             : respond(tok, content->valuestring, out, err);
        } else if (add_turn(out->prompt, tok, chat, role->valuestring, content->valuestring, i + 2 == n)) {
            rc = ba_fail(err, "out of memory");
        }
        if (rc) {
            return -1;
        }
        i++;
    }
    return n > 1 ? 0 : ba_fail(err, "field \"messages\" needs a question and its response");
}

static int parse(const ba_tokenizer *tok, const cJSON *line, ba_example *out, char err[BA_ERR_LEN]) {
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(line, "messages");
    bool item = cJSON_GetObjectItemCaseSensitive(line, "documents") != NULL;
    int rc = messages ? from_messages(tok, messages, out, err)
             : item   ? from_item(tok, line, out, err)
                      : from_official(tok, line, out, err);
    return rc || add_end(tok, out) ? -1 : 0;
}

/* ---- files ---- */

/* A line that cannot be used. 0 to go on. */
static int pass_over(const ba_examples_options *opt, ba_examples *out, const char *path, size_t number, const char *why,
                     char err[BA_ERR_LEN]) {
    char line[BA_ERR_LEN];
    ba_fail(line, "%s: line %zu: %s", path, number, why);
    bool silent = strcmp(why, unanswered) == 0;
    out->unanswered += silent;
    out->malformed += !silent;
    if (opt->strict) {
        return ba_fail(err, "%s; leave out --strict to pass over such lines", line);
    }
    if (!silent) {
        opt->report(line);
    }
    return 0;
}

static int take(const ba_examples_options *opt, ba_examples *out, const cJSON *line, const char *path, size_t number,
                char err[BA_ERR_LEN]) {
    ba_example e = {0};
    char why[BA_ERR_LEN] = "";
    int rc = 0;
    if (parse(opt->tok, line, &e, why)) {
        rc = pass_over(opt, out, path, number, why, err);
    } else if (ba_prompt_tokens(e.prompt) + e.n > opt->longest) {
        out->too_long++;
    } else if (ba_grow(&out->at, &out->cap, out->n + 1, sizeof *out->at)) {
        rc = ba_fail(err, "out of memory");
    } else {
        out->at[out->n++] = e;
        return 0;
    }
    ba_example_free(&e);
    return rc;
}

static int read_file(const char *path, const ba_examples_options *opt, ba_examples *out, char err[BA_ERR_LEN]) {
    ba_lines *lines;
    char why[BA_ERR_LEN];
    if (ba_lines_open(path, &lines, err)) {
        return -1;
    }
    int rc = 0, got;
    cJSON *line = NULL;
    while (!rc && (!opt->limit || out->n < opt->limit) && (got = ba_lines_next(lines, &line, why))) {
        if (got == BA_LINE_BAD) {
            rc = pass_over(opt, out, path, ba_lines_number(lines), why, err);
        } else if (got < 0) {
            rc = ba_fail(err, "%s", why);
        } else {
            rc = take(opt, out, line, path, ba_lines_number(lines), err);
            cJSON_Delete(line);
        }
    }
    ba_lines_close(lines);
    return rc;
}

int ba_examples_read(const char *paths, const ba_examples_options *opt, ba_examples *out, char err[BA_ERR_LEN]) {
    *out = (ba_examples){0};
    char *copy = strdup(paths), *rest = NULL;
    int rc = copy ? 0 : ba_fail(err, "out of memory");
    for (char *path = copy ? strtok_r(copy, ",", &rest) : NULL; !rc && path; path = strtok_r(NULL, ",", &rest)) {
        rc = read_file(path, opt, out, err);
    }
    if (!rc && !out->n) {
        rc = ba_fail(err, "%s: no sample to train on (%zu lines malformed, %zu without an answer, %zu too long)", paths,
                     out->malformed, out->unanswered, out->too_long);
    }
    free(copy);
    if (rc) {
        ba_examples_free(out);
    }
    return rc;
}

void ba_examples_free(ba_examples *all) {
    for (size_t i = 0; i < all->n; i++) {
        ba_example_free(&all->at[i]);
    }
    free(all->at);
    *all = (ba_examples){0};
}
