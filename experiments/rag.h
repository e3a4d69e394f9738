/* RAG items (JSON Lines, plain or gzipped): {"id", "question", "answers": [..], "documents": [{"title", "text"}]}, and
 * the prompt that one makes: a system block, one block per document, the question (paper, section 3.1), and as task
 * segment the marks that open the answer: part of the last block where a mode knows no task. */
#ifndef BA_RAG_H
#define BA_RAG_H

#include "../sim/prompt.h"

typedef struct ba_document {
    char *title, *text;
} ba_document;

typedef struct ba_item {
    char *id, *question;
    char **answers; /* [n_answer] the first is the gold answer */
    size_t n_answer;
    ba_document *doc; /* [n_doc] in the file's order: the most relevant last */
    size_t n_doc;
} ba_item;

typedef struct ba_items {
    ba_item *item; /* [n] */
    size_t n;
} ba_items;

/* Reads at most `limit` items (0: all). 0, or -1 and err naming the file, the line and the field. */
int ba_items_read(const char *path, size_t limit, ba_items *out, char err[BA_ERR_LEN]);
void ba_items_free(ba_items *items);

/* The item's prompt in the model's chat format (plain text if it has none); NULL: out of memory. */
ba_prompt *ba_item_prompt(const ba_item *item, const ba_tokenizer *tok);

/* Ids of the gold answer as a continuation of the prompt: no special tokens; with the space in front that a plain
 * prompt needs. malloc'ed. 0, or -1: out of memory, or there is none (n = 0). */
int ba_item_answer(const ba_item *item, const ba_tokenizer *tok, int32_t **ids, size_t *n);

#endif
