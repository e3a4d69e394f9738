/* What is asked: a prompt is a list of segments, each a run of token ids with a role. Owns its memory.
 *
 * Made from a request ({"blocks" | "ids" | "messages", "roles", "num_local_attention_blocks", "special"}) or by hand. A
 * segment is tokenised by itself. Blocks and ids are taken as they are: control tokens in text are parsed only in system
 * and question segments unless `special` says otherwise. Messages are worded by the model's chat template. */
#ifndef BA_PROMPT_H
#define BA_PROMPT_H

#include "sim/tokenizer/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ba_role {
    BA_ROLE_SYSTEM,
    BA_ROLE_PASSAGE,
    BA_ROLE_DEMONSTRATION,
    BA_ROLE_LINK,
    BA_ROLE_QUESTION,
    BA_ROLE_TASK,
    BA_ROLE_COUNT
} ba_role;

const char *ba_role_name(ba_role role);

typedef struct ba_segment {
    ba_role role;
    int32_t *ids; /* [n], owned by the prompt */
    size_t n;
} ba_segment;

typedef struct ba_prompt {
    ba_segment *seg; /* [n_seg] */
    size_t n_seg;
    size_t local_blocks; /* num_local_attention_blocks; SIZE_MAX if the request does not say */
    int32_t bos;         /* token ids that some modes insert; -1 if the model has none */
    int32_t newline;
    int32_t first_link; /* ids of link tokens that some modes insert; n_links 0 if the model has none */
    size_t n_links;
    const struct ba_prompt *previous; /* borrowed: the prompt that this one is an edit of, or NULL */
} ba_prompt;

/* From request JSON (`len` bytes, untrusted). tok may be NULL if the request has "ids" (then bos and newline are -1);
 * ids are checked against n_vocab unless that is 0. Without roles the last segment is the question, the first the
 * system text if there are three or more, the rest are passages. 0, or -1 and err naming the field. */
int ba_prompt_parse(const char *json, size_t len, const ba_tokenizer *tok, size_t n_vocab, ba_prompt **out,
                    char err[BA_ERR_LEN]);

/* Texts as blocks of a request: the same roles and the same reading of control tokens. 0, or -1 and err. */
int ba_prompt_from_blocks(const char *const *block, size_t n, const ba_tokenizer *tok, ba_prompt **out,
                          char err[BA_ERR_LEN]);

/* An empty prompt, and a segment appended to it (ids copied). -1: out of memory. */
ba_prompt *ba_prompt_new(const ba_tokenizer *tok);
int ba_prompt_add(ba_prompt *p, ba_role role, const int32_t *ids, size_t n);
void ba_prompt_free(ba_prompt *p);

size_t ba_prompt_tokens(const ba_prompt *p);

/* The paper's segmentation of a plain message, as in the released code. The first of "\n\n", "---", "===", "\n\t",
 * "\n" that occurs anywhere cuts the message after each of its places; a separator is the whole run of its character
 * with the (ASCII) white space after it ("\n\t" only itself), and belongs to the block before it; no block is blank or
 * nothing but a separator. Then the block with the fewest characters (the first of equals) joins the one before it,
 * until at most max_blocks remain. Fills begin[] (byte offsets, begin[0] = 0) with at most max_blocks entries and
 * returns how many; 0: an empty message, max_blocks 0 or out of memory. */
size_t ba_segment_message(const char *text, size_t len, size_t max_blocks, size_t *begin);

/* One turn of a conversation; roles are system (first only), user and assistant. */
typedef struct ba_message {
    const char *role, *content;
} ba_message;

/* A conversation that ends with a user's turn, in the words of the model's chat template; without one its texts, a line
 * end after each. The system turn is one segment, an earlier answer a passage, and a user's turn is cut as above; the
 * last block is the question and holds what opens the answer. 0, or -1 and err: a turn that the template does not word,
 * a template that is not understood. */
int ba_prompt_from_messages(const ba_message *message, size_t n, const ba_tokenizer *tok, ba_prompt **out,
                            char err[BA_ERR_LEN]);

/* A plain message as a prompt: its segments as above, the last one the question, the others passages (special: control
 * tokens in it are parsed). 0, or -1 and err: no text, out of memory. */
int ba_prompt_from_message(const char *text, size_t len, size_t max_blocks, bool special, const ba_tokenizer *tok,
                           ba_prompt **out, char err[BA_ERR_LEN]);

/* Blocks that the released code cuts a message into at most. */
enum { BA_MESSAGE_BLOCKS = 15 };

#endif
