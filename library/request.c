#include "experiments/data/request.h"
#include "parts.h"
#include "sim/base/utf8.h"

#include <stdlib.h>
#include <string.h>

/* Takes the prompt, which is NULL after an error. */
static int hold(int rc, ba_prompt *prompt, blockattn_request **out, char *err) {
    blockattn_request *r = rc == 0 ? malloc(sizeof *r) : NULL;
    *out = r;
    if (!r) {
        ba_prompt_free(prompt);
        return rc == 0 ? ba_fail(err, "out of memory") : rc;
    }
    r->prompt = prompt;
    return 0;
}

int blockattn_request_parse(const blockattn_model *m, const char *json, blockattn_request **out, char *err) {
    ba_request read = {.prompt = NULL};
    int rc = ba_request_parse(json, strlen(json), m->tok, ba_engine_shape(m->engine)->vocab, &read, err);
    free(read.answer);
    return hold(rc, read.prompt, out, err);
}

static int check_text(const char *what, size_t i, const char *text, char *err) {
    size_t len = strlen(text), valid = ba_utf8_valid(text, len);
    return valid == len ? 0 : ba_fail(err, "%s %zu: byte %zu is no text in UTF-8", what, i, valid);
}

int blockattn_request_ask(const blockattn_model *m, const char *question, const char *const *documents, size_t n,
                          blockattn_request **out, char *err) {
    ba_prompt *prompt = NULL;
    ba_document *doc = calloc(n ? n : 1, sizeof *doc);
    char *text = doc ? strdup(question) : NULL;
    int rc = text ? check_text("question", 0, question, err) : ba_fail(err, "out of memory");
    for (size_t i = 0; i < n && rc == 0; i++) {
        doc[i].text = (char *)documents[i]; /* only read */
        rc = check_text("document", i, documents[i], err);
    }
    if (rc == 0) {
        rc = ba_item_prompt(&(ba_item){.question = text, .doc = doc, .n_doc = n}, m->tok, &prompt, err);
    }
    free(text);
    free(doc);
    return hold(rc, prompt, out, err);
}

int blockattn_request_ids(const blockattn_model *m, const int32_t *ids, const size_t *length, size_t n,
                          blockattn_request **out, char *err) {
    const size_t vocab = ba_engine_shape(m->engine)->vocab;
    ba_prompt *prompt = n ? ba_prompt_new(m->tok) : NULL;
    int rc = prompt ? 0 : ba_fail(err, n ? "out of memory" : "a request needs at least one segment");
    for (size_t i = 0; i < n && rc == 0; ids += length[i++]) {
        const ba_role role = i + 1 == n ? BA_ROLE_QUESTION : i == 0 && n >= 3 ? BA_ROLE_SYSTEM : BA_ROLE_PASSAGE;
        rc = length[i] ? 0 : ba_fail(err, "segment %zu is empty: it needs at least one token", i);
        for (size_t k = 0; k < length[i] && rc == 0; k++) {
            if (ids[k] < 0 || (size_t)ids[k] >= vocab) {
                rc = ba_fail(err, "segment %zu, id %zu: %d is not a token id: a whole number below %zu", i, k, ids[k],
                             vocab);
            }
        }
        if (rc == 0 && ba_prompt_add(prompt, role, ids, length[i]) != 0) {
            rc = ba_fail(err, "out of memory");
        }
    }
    return hold(rc, prompt, out, err);
}

void blockattn_request_free(blockattn_request *r) {
    if (r) {
        ba_prompt_free(r->prompt);
        free(r);
    }
}

size_t blockattn_request_tokens(const blockattn_request *r) {
    return ba_prompt_tokens(r->prompt);
}
