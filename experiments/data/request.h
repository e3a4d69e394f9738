/* Requests of every form: those of a prompt (blocks, ids, messages), and a question about documents, which is an
 * evaluation item without answers and becomes the same text as in eval, tune and gate. */
#ifndef BA_REQUEST_H
#define BA_REQUEST_H

#include "rag.h"

/* Request JSON (untrusted). *raw: blocks or ids, which are taken as they are. n_vocab and the rest as in
 * ba_prompt_parse. 0, or -1 and err. */
int ba_request_parse(const char *json, size_t len, const ba_tokenizer *tok, size_t n_vocab, ba_prompt **out, bool *raw,
                     char err[BA_ERR_LEN]);

/* A question, and documents out of the text of a file: JSON Lines or a JSON list of {"title", "text"} or texts, else
 * plain text with a blank line between passages. 0, or -1 and err. */
int ba_request_ask(const char *question, const char *documents, size_t len, const ba_tokenizer *tok, ba_prompt **out,
                   char err[BA_ERR_LEN]);

#endif
