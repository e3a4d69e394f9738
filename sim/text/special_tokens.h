/* Tokens that are matched in text as they stand, before anything is merged: control tokens where the caller allows
 * them, user-defined ones always. The longest match goes first. */
#ifndef BA_SPECIAL_TOKENS_H
#define BA_SPECIAL_TOKENS_H

#include "vocab_bytes.h"

typedef struct ba_special_tokens {
    const ba_vocab_bytes *pieces;
    int32_t *id; /* [n], in the order of their bytes */
    size_t n;
    bool begins[256]; /* some mark begins with this byte */
} ba_special_tokens;

/* Collects user-defined tokens and, with `control`, control and unknown tokens. 0, or -1: out of memory. */
int ba_special_tokens_init(ba_special_tokens *m, const ba_vocab_bytes *pieces, bool control);
void ba_special_tokens_free(ba_special_tokens *m);

/* Offset in text[from..n) of the first mark, n if there is none; *id gets the longest that begins there. */
size_t ba_special_tokens_next(const ba_special_tokens *m, const char *text, size_t from, size_t n, int32_t *id);

#endif
