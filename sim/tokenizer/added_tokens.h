/* Added tokens of a tokenizer.json, found in a text with their options: single_word, lstrip, rstrip. */
#ifndef BA_ADDED_TOKENS_H
#define BA_ADDED_TOKENS_H

#include "kernels/base/error.h"
#include "sim/recipe/recipe.h"
#include "special_tokens.h"

/* The tokens that are looked for together, either in the text or in the normalised text. */
typedef struct ba_added_tokens {
    ba_special_tokens marks; /* ids are indices of `of` */
    const ba_added_token *of;
    bool normalized; /* texts of the marks are owned */
} ba_added_tokens;

/* Text between two tokens, text[start..end), id = -1; or a token. Nonzero ends the scan. */
typedef int (*ba_segment)(void *to, size_t start, size_t end, int32_t id);

/* Collects tokens of the recipe: those that are found in the normalised text, or the others. 0, or -1 and err: two of them have the same normalised text, or none is left of it. */
int ba_added_tokens_init(ba_added_tokens *a, const ba_recipe *recipe, bool normalized, char err[BA_ERR_LEN]);
void ba_added_tokens_free(ba_added_tokens *a);

/* Calls `each` for what text[0..n), valid UTF-8, consists of, from left to right; empty stretches are left out. Unless
 * `special`, the text of a special token is text, and no other token is found inside of it. */
int ba_added_tokens_scan(const ba_added_tokens *a, const char *text, size_t n, bool special, ba_segment each, void *to);

#endif
