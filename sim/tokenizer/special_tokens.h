/* Tokens that are found in text as they are, before anything is merged. The longest one goes first. */
#ifndef BA_SPECIAL_TOKENS_H
#define BA_SPECIAL_TOKENS_H

#include "vocab_bytes.h"

typedef struct ba_mark {
    ba_span text; /* borrowed */
    int32_t id;
} ba_mark;

typedef struct ba_special_tokens {
    ba_mark *item; /* [n], in the order of their bytes */
    size_t n, cap;
    bool begins[256]; /* some mark begins with this byte */
} ba_special_tokens;

/* Adds a token; empty ones are left out. 0, or -1: out of memory. */
int ba_special_tokens_add(ba_special_tokens *m, ba_span text, int32_t id);
/* After the last one was added. */
void ba_special_tokens_sort(ba_special_tokens *m);
/* Collects the user-defined tokens of a vocabulary and, with `control`, control and unknown tokens. 0, or -1: out of
 * memory. */
int ba_special_tokens_init(ba_special_tokens *m, const ba_vocab_bytes *pieces, bool control);
void ba_special_tokens_free(ba_special_tokens *m);

/* Offset in text[from..n) of the first mark, n if there is none; *found gets the longest that begins there. */
size_t ba_special_tokens_next(const ba_special_tokens *m, const char *text, size_t from, size_t n,
                              const ba_mark **found);

#endif
