/* RAG items (JSON Lines, plain or gzipped): {"id", "question", "answers": [..], "documents": [{"title", "text"} or text]}; id
 * and title may be missing, and any other field is allowed (FORMAT.md). And
 * the prompt that one makes: a system block, one block per document, the question (paper, section 3.1), and as task
 * segment the marks that open the answer: part of the last block where a mode knows no task. */
#ifndef BA_RAG_H
#define BA_RAG_H

#include "prompts.h"

#include <cjson/cJSON.h>

typedef struct ba_document {
    char *title, *text; /* title NULL: the document is a text alone */
} ba_document;

typedef struct ba_item {
    char *id,
        *question;  /* id NULL: the line has none; of items that were read from a file it is then its line's, from 0 */
    char **answers; /* [n_answer] the first is the gold answer */
    size_t n_answer;
    bool all;         /* every answer is asked for; else any of them is right */
    ba_document *doc; /* [n_doc] in the file's order: the most relevant last */
    size_t n_doc;
} ba_item;

typedef struct ba_items {
    ba_item *item; /* [n] */
    size_t n;
} ba_items;

/* Reads at most `limit` items (0: all). 0, or -1 and err naming the file, the line and the field. */
int ba_items_read(const char *path, size_t limit, ba_items *out, char err[BA_ERR_LEN]);
/* The same from every file of a list with commas: at most `limit` items of each. 0, or -1 and err. */
int ba_items_read_list(const char *list, size_t limit, ba_items *out, char err[BA_ERR_LEN]);
void ba_items_free(ba_items *items);

/* One item out of a line's object. 0, or -1 and err naming the field. */
int ba_item_parse(const cJSON *object, ba_item *out, char err[BA_ERR_LEN]);
/* A question and its documents, as a request has them; answers only if there are any. */
int ba_item_asked(const cJSON *object, ba_item *out, char err[BA_ERR_LEN]);
void ba_item_free(ba_item *item);

/* The paper puts the most relevant document next to the question; its released scripts put it first. */
typedef enum ba_order { BA_BEST_LAST, BA_BEST_FIRST } ba_order;

/* The item in words: system, passages, question. *parts [*n] is to be freed by ba_parts_free. */
int ba_item_parts(const ba_item *item, const ba_prompts *prompts, ba_order order, ba_part **parts, size_t *n,
                  char err[BA_ERR_LEN]);

/* The item's prompt with the built-in wording, in the model's chat format. 0, or -1 and err: out of memory, or a chat
 * template that is not understood. */
int ba_item_prompt(const ba_item *item, const ba_tokenizer *tok, ba_prompt **out, char err[BA_ERR_LEN]);

/* Ids of the gold answer as a continuation of the prompt: no special tokens; with the space in front that a plain
 * prompt needs. malloc'ed; none if there is no answer (n = 0). 0, or -1 and err. */
int ba_item_answer(const ba_item *item, const ba_tokenizer *tok, int32_t **ids, size_t *n, char err[BA_ERR_LEN]);

#endif
