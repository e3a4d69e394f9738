#include "tune_data.h"

#include "lines.h"
#include "rag.h"
#include "sim/base/grow.h"

#include <stdlib.h>
#include <string.h>

/* The token that ends an answer: what closes a turn if generation ends there, else the vocabulary's; -1: none. */
static int32_t end_token(const ba_tokenizer *tok) {
    const ba_chat *chat = ba_chat_of(ba_tokenizer_vocab(tok));
    int32_t end = ba_tokenizer_vocab(tok)->eos, *ids = NULL;
    char err[BA_ERR_LEN];
    size_t n = 0;
    if (chat && chat->past_close &&
        ba_tokenize(tok, chat->past_close, strlen(chat->past_close), true, &ids, &n, err) == 0 && n &&
        ba_token_ends(tok, ids[0])) {
        end = ids[0];
    }
    free(ids);
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
    int rc = item.n_answer && *item.answers[0] ? ba_item_prompt(&item, tok, &out->prompt, err)
                                               : ba_fail(err, "%s", unanswered);
    rc = rc == 0 ? ba_item_answer(&item, tok, &out->answer, &out->n, err) : rc;
    ba_item_free(&item);
    return rc;
}

/* A response as it is, without the space that a plain item's answer begins with. */
static int respond(const ba_tokenizer *tok, const char *response, ba_example *out, char err[BA_ERR_LEN]) {
    if (!*response) {
        return ba_fail(err, "%s", unanswered);
    }
    return ba_tokenize(tok, response, strlen(response), false, &out->answer, &out->n, err);
}

/* Blocks are what a request's blocks are: taken as they are, nothing put around them. */
static int from_blocks(const ba_tokenizer *tok, const cJSON *blocks, ba_example *out, char err[BA_ERR_LEN]) {
    size_t n = (size_t)cJSON_GetArraySize(blocks), i = 0;
    const char **text = calloc(n + 1, sizeof *text);
    const cJSON *b;
    int rc = -1;
    if (!text) {
        return ba_fail(err, "out of memory");
    }
    cJSON_ArrayForEach(b, blocks) {
        if (!cJSON_IsString(b) || !*b->valuestring) {
            ba_fail(err, "field \"blocks\" holds something that is no text, or an empty one");
            goto done;
        }
        text[i++] = b->valuestring;
    }
    rc = n ? ba_prompt_from_blocks(text, n, tok, &out->prompt, err) : ba_fail(err, "field \"blocks\" holds no texts");
done:
    free(text);
    return rc;
}

static int from_official(const ba_tokenizer *tok, const cJSON *line, ba_example *out, char err[BA_ERR_LEN]) {
    const cJSON *blocks = cJSON_GetObjectItemCaseSensitive(line, "blocks");
    const cJSON *prompt = cJSON_GetObjectItemCaseSensitive(line, "prompt");
    const cJSON *response = cJSON_GetObjectItemCaseSensitive(line, "response");
    if (!cJSON_IsString(response)) {
        return ba_fail(err, "field \"response\" is missing or no text");
    }
    if (!cJSON_IsArray(blocks) && !cJSON_IsString(prompt)) {
        return ba_fail(err, "neither \"blocks\" nor \"prompt\" is there");
    }
    int rc = cJSON_IsArray(blocks) ? from_blocks(tok, blocks, out, err)
                                   : ba_prompt_from_message(prompt->valuestring, strlen(prompt->valuestring),
                                                            BA_MESSAGE_BLOCKS, true, tok, &out->prompt, err);
    return rc == 0 ? respond(tok, response->valuestring, out, err) : -1;
}

static int from_messages(const ba_tokenizer *tok, const cJSON *messages, ba_example *out, char err[BA_ERR_LEN]) {
    size_t n = (size_t)cJSON_GetArraySize(messages), i = 0;
    ba_message *list = calloc(n + 1, sizeof *list);
    const cJSON *m;
    int rc = -1;
    if (!list) {
        return ba_fail(err, "out of memory");
    }
    cJSON_ArrayForEach(m, messages) {
        const cJSON *role = cJSON_GetObjectItemCaseSensitive(m, "role");
        const cJSON *content = cJSON_GetObjectItemCaseSensitive(m, "content");
        if (!cJSON_IsString(role) || !cJSON_IsString(content)) {
            ba_fail(err, "message %zu has no \"role\" and \"content\"", i + 1);
            goto done;
        }
        list[i++] = (ba_message){role->valuestring, content->valuestring};
    }
    if (n && strcmp(list[n - 1].role, "assistant") != 0) {
        ba_fail(err, "%s", unanswered);
    } else if (n < 2) {
        ba_fail(err, "field \"messages\" needs a question and its response");
    } else if (ba_prompt_from_messages(list, n - 1, tok, &out->prompt, err) == 0) {
        rc = respond(tok, list[n - 1].content, out, err);
    }
done:
    free(list);
    return rc;
}

static int parse(const ba_tokenizer *tok, const cJSON *line, ba_example *out, char err[BA_ERR_LEN]) {
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(line, "messages");
    bool item = cJSON_GetObjectItemCaseSensitive(line, "documents") != NULL;
    int rc = messages ? from_messages(tok, messages, out, err)
             : item   ? from_item(tok, line, out, err)
                      : from_official(tok, line, out, err);
    if (rc != 0) {
        return -1;
    }
    return add_end(tok, out) == 0 ? 0 : ba_fail(err, "out of memory");
}

/* Forms that the model's chat template words. */
static bool is_worded(const cJSON *line) {
    return cJSON_GetObjectItemCaseSensitive(line, "messages") || cJSON_GetObjectItemCaseSensitive(line, "documents");
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
    if (is_worded(line) && ba_chat_settled(ba_tokenizer_vocab(opt->tok), err) != 0) {
        return -1;
    }
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
    int rc = 0;
    while (rc == 0 && (!opt->limit || out->n < opt->limit)) {
        cJSON *line = NULL;
        int got = ba_lines_next(lines, &line, why);
        if (got == 0) {
            break;
        }
        rc = got < 0              ? ba_fail(err, "%s", why)
             : got == BA_LINE_BAD ? pass_over(opt, out, path, ba_lines_number(lines), why, err)
                                  : take(opt, out, line, path, ba_lines_number(lines), err);
        cJSON_Delete(line);
    }
    ba_lines_close(lines);
    return rc;
}

int ba_examples_read(const char *paths, const ba_examples_options *opt, ba_examples *out, char err[BA_ERR_LEN]) {
    *out = (ba_examples){0};
    char *copy = strdup(paths), *rest = NULL;
    int rc = 0;
    if (!copy) {
        return ba_fail(err, "out of memory");
    }
    for (char *path = strtok_r(copy, ",", &rest); rc == 0 && path; path = strtok_r(NULL, ",", &rest)) {
        rc = read_file(path, opt, out, err);
    }
    free(copy);
    if (rc == 0 && out->n == 0) {
        rc = ba_fail(err, "%s: no sample to train on (%zu lines malformed, %zu without an answer, %zu too long)", paths,
                     out->malformed, out->unanswered, out->too_long);
    }
    if (rc != 0) {
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
