/* A vocabulary as read from a model file: plain data, checked. Owned by the model. */
#ifndef BA_VOCAB_H
#define BA_VOCAB_H

#include "sim/base/span.h"
#include "sim/recipe/recipe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ba_vocab_kind { BA_VOCAB_NONE, BA_VOCAB_BPE, BA_VOCAB_SPM } ba_vocab_kind;
typedef enum ba_token_type {
    BA_TOKEN_NORMAL = 1,
    BA_TOKEN_UNKNOWN = 2,
    BA_TOKEN_CONTROL = 3,
    BA_TOKEN_USER = 4,
    BA_TOKEN_UNUSED = 5,
    BA_TOKEN_BYTE = 6
} ba_token_type;

typedef struct ba_vocab {
    ba_vocab_kind kind;
    const char *pre; /* pre-tokeniser family: "smollm", "gpt-2", "llama-bpe", "qwen2"; "" for SPM */
    ba_span
        *token; /* [n] as stored in the file (byte-level alphabet for BPE, U+2581 for SPM); UNUSED ones may be empty */
    float *score;  /* [n] or NULL */
    uint8_t *type; /* [n] ba_token_type */
    size_t n;
    ba_span *merge; /* [n_merge], "left right" (BPE) */
    size_t n_merge;
    int32_t bos, eos, unk, pad; /* -1 if none */
    int32_t *eog;               /* [n_eog] ids that end a generation (eos, <|im_end|>, <|eot_id|>, ...) */
    size_t n_eog;
    bool add_bos, add_space_prefix;
    const char *chat_template; /* Jinja source from the file, or NULL */
    struct ba_chat *chat;      /* what it says, in one piece of memory, or NULL */
    char *chat_why;            /* why it is not understood, or NULL */
    ba_recipe *recipe;         /* how tokenizer.json says to tokenise, or NULL: by kind and pre */
    int32_t first_link;        /* link tokens (KVLink): ids after the vocabulary, with trained embeddings and no text */
    size_t n_links;
} ba_vocab;

/* Frees what the readers of vocabularies allocate; fine on a zeroed vocabulary. */
void ba_vocab_free(ba_vocab *v);
/* Room for n tokens, all UNUSED and empty. -1: out of memory. */
int ba_vocab_alloc(ba_vocab *v, size_t n);
/* Adds an id that ends a generation, once. -1: out of memory. */
int ba_vocab_add_end(ba_vocab *v, int32_t id);
/* Adds the ids that end a turn by their well-known text: a chat model does not always list them. -1: out of memory. */
int ba_vocab_add_known_ends(ba_vocab *v);

#endif
