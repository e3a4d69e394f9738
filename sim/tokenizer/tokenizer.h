/* Text to token ids and back. Any bytes are valid input. The same text always gives the same ids; that it is remembered
 * (remembered.h) changes only how long it takes.
 *
 * Kinds: byte-level BPE with a pre-tokeniser family (pretokenize.h), and SentencePiece's BPE. In the text, user-defined
 * tokens are always matched as they stand, control tokens only where the caller says so; otherwise a control token's
 * name is ordinary text and never becomes its id. */
#ifndef BA_TOKENIZER_H
#define BA_TOKENIZER_H

#include "kernels/base/error.h"
#include "remembered.h"
#include "vocab.h"

typedef struct ba_tokenizer ba_tokenizer;

/* Borrows the vocabulary. 0, or -1 and err (no vocabulary; unknown pre-tokeniser family: lists what there is; merges of
 * what is not in the vocabulary). */
int ba_tokenizer_new(const ba_vocab *vocab, ba_tokenizer **out, char err[BA_ERR_LEN]);
void ba_tokenizer_free(ba_tokenizer *t);

/* Ids of the text, no BOS. special: control tokens in the text are parsed; otherwise they are plain text. *ids is
 * malloc'ed (NULL if n is 0). 0, or -1 and err: out of memory, or the step of tokenizer.json that makes the text too
 * long or whose regular expression takes too many steps. */
int ba_tokenize(const ba_tokenizer *t, const char *text, size_t len, bool special, int32_t **ids, size_t *n,
                char err[BA_ERR_LEN]);

/* Forgets all texts, so that the next ones take the time of texts that never came before. */
void ba_tokenizer_forget(ba_tokenizer *t);
ba_remembered_counts ba_tokenizer_remembered(const ba_tokenizer *t);

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

/* How a chat template words a conversation: the text before, between and after what people say, in the order
 *   begin | system_open SYSTEM system_close, then USER, then past_open ANSWER past_close USER ..., then answer_open.
 * It is learnt from what the template renders (sim/chat/chat.c). NULL: the template has no such turn, or words it in a
 * way that this form cannot hold. */
typedef struct ba_chat {
    const char *family; /* of the table, or "own" */
    const char *begin;  /* before the first user's text, if there is no system turn */
    const char
        *bare_begin; /* the same without the template's own system text, which a prompt that brings another leaves
                               out */
    const char *system_open, *system_close;
    const char *past_open, *past_close;
    const char *answer_open;                /* from the last user's text to the answer */
    bool cuts_thoughts;                     /* an earlier answer loses what it holds up to "</think>" */
    bool trims, trims_system, trims_answer; /* white space around these texts is taken away */
} ba_chat;
/* What the vocabulary's chat template says; NULL: it has none, it is not understood, or --chat none. */
const ba_chat *ba_chat_of(const ba_vocab *vocab);
/* 0 if it is settled how a conversation is worded: by a template that is understood, or by plain text. Else -1 and err:
 * why not, and the options that settle it. */
int ba_chat_settled(const ba_vocab *vocab, char err[BA_ERR_LEN]);
/* How much of the text between two turns belongs to the earlier one: what comes before the mark that opens a turn. */
size_t ba_chat_cut(const ba_chat *chat, const char *between);

#endif
