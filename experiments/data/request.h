/* Requests of every form: those of a prompt (blocks, ids, messages), and a question about documents, which is an
 * evaluation item without answers and becomes the same text as in eval, tune and gate. */
#ifndef BA_REQUEST_H
#define BA_REQUEST_H

#include "rag.h"

typedef struct ba_request {
    ba_prompt *prompt;
    char *answer; /* the first of the item's answers, or NULL */
    bool raw;     /* blocks or ids, which are taken as they are */
} ba_request;
/* Frees both members, which are NULL afterwards. */
void ba_request_free(ba_request *r);

/* Request JSON (untrusted). n_vocab and the rest as in ba_prompt_parse. 0, or -1 and err. */
int ba_request_parse(const char *json, size_t len, const ba_tokenizer *tok, size_t n_vocab, ba_request *out,
                     char err[BA_ERR_LEN]);

/* A question, and documents out of the text of a file: JSON Lines or a JSON list of {"title", "text"} or texts, else
 * plain text with a blank line between passages. 0, or -1 and err. */
int ba_request_ask(const char *question, const char *documents, size_t len, const ba_tokenizer *tok, ba_request *out,
                   char err[BA_ERR_LEN]);

#endif
