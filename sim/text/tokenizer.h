/* Text to token ids and back. Immutable after creation; any bytes are valid input.
 *
 * Kinds: byte-level BPE with a pre-tokeniser family (pretokenize.h), and SentencePiece's BPE. In the text, user-defined
 * tokens are always matched as they stand, control tokens only where the caller says so; otherwise a control token's
 * name is ordinary text and never becomes its id. */
#ifndef BA_TOKENIZER_H
#define BA_TOKENIZER_H

#include "kernels/base/error.h"
#include "vocab.h"

typedef struct ba_tokenizer ba_tokenizer;

/* Borrows the vocabulary. 0, or -1 and err (no vocabulary; unknown pre-tokeniser family: lists what there is; merges of
 * what is not in the vocabulary). */
int ba_tokenizer_new(const ba_vocab *vocab, ba_tokenizer **out, char err[BA_ERR_LEN]);
void ba_tokenizer_free(ba_tokenizer *t);

/* Ids of the text, no BOS. special: control tokens in the text are parsed; otherwise they are plain text. *ids is
 * malloc'ed (NULL if n is 0). 0, or -1: out of memory. */
int ba_tokenize(const ba_tokenizer *t, const char *text, size_t len, bool special, int32_t **ids, size_t *n);

/* Bytes of the text that no token can express and ba_tokenize leaves out, as the Python tokenizers do: a byte-level
 * vocabulary need not have all 256 (SmolLM2's has 235). */
size_t ba_tokenizer_lost(const ba_tokenizer *t, const char *text, size_t len);

/* Bytes of one token (byte-level alphabet undone), cut to `size`; returns how many were written, no NUL. A token may
 * end in the middle of a character: what is written byte by byte is whole again once its last token is there. control:
 * control tokens give their text, else nothing; an id out of the vocabulary gives nothing. */
size_t ba_token_bytes(const ba_tokenizer *t, int32_t id, bool control, char *out, size_t size);
/* Bytes of many, malloc'ed and NUL-terminated; NULL: out of memory. A space that the tokenizer put before the text
 * stays. */
char *ba_detokenize(const ba_tokenizer *t, const int32_t *ids, size_t n, bool control, size_t *len);

const ba_vocab *ba_tokenizer_vocab(const ba_tokenizer *t);
bool ba_token_ends(const ba_tokenizer *t, int32_t id); /* end of generation */
int32_t ba_token_newline(const ba_tokenizer *t);       /* the token of a single line feed, -1 if none */

/* Chat template of the model's family, as data: text around a system text, a user turn and before an answer. */
typedef struct ba_chat {
    const char *family;
    const char *system_open, *system_close, *user_open, *user_close, *answer_open;
    const char *default_system;
} ba_chat;
/* The family is recognised by marks in the model's own template ("<|im_start|>"); NULL if there is none. */
const ba_chat *ba_chat_of(const ba_vocab *vocab);
/* What opens a user's turn. In families whose system text stands inside the user's turn (system_open begins with
 * user_open) a turn that follows the system text is open already: "". */
const char *ba_chat_user_open(const ba_chat *chat, bool behind_system);

#endif
