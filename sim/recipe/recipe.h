/* What a tokenizer.json says beyond the list of tokens: steps, added tokens and the model's options, as data. A
 * vocabulary that has a recipe is tokenised by it exactly as `tokenizers` 0.23 does; one without (from GGUF) by its
 * kind and family. */
#ifndef BA_RECIPE_H
#define BA_RECIPE_H

#include "sim/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ba_step; /* step.h */

typedef struct ba_added_token {
    ba_span text; /* borrowed from the JSON tree */
    int32_t id;   /* may be past the vocabulary */
    bool special;
    bool single_word;    /* only where no word character is next to it */
    bool lstrip, rstrip; /* takes the white space before, after it */
    bool normalized;     /* found in the normalised text, by its own normal form */
} ba_added_token;

typedef struct ba_pair {
    ba_span left, right; /* borrowed */
} ba_pair;

typedef struct ba_recipe {
    struct ba_step *normalizer, *pre_tokenizer; /* [n_normalizers], [n_pre_tokenizers], in their order */
    size_t n_normalizers, n_pre_tokenizers;
    ba_added_token *added; /* [n_added] */
    size_t n_added;
    ba_pair *merge; /* [n_merges], in the order of ranks */
    size_t n_merges;
    bool *in_model;         /* [vocabulary's n] the token is one of model.vocab: text can become it */
    ba_span prefix, suffix; /* of symbols that do not begin, that end a piece; n = 0: none */
    bool ignore_merges, byte_fallback, fuse_unk, has_unk;
    int32_t unk;        /* token for what has none */
    const char *family; /* "gpt-2", ...: byte-level BPE over the pieces of pretokenize.h does all of it; else NULL */
    char *digest_text;  /* everything above but tokens and merges, as text for the vocabulary's hash */
} ba_recipe;

void ba_recipe_free(ba_recipe *r); /* NULL is fine */

#endif
