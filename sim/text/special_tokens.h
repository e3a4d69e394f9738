/* Tokens that are matched in text as they stand, before anything is merged: control tokens where the caller allows
 * them, user-defined ones always. The longest match goes first. */
#ifndef BA_MARKS_H
#define BA_MARKS_H

#include "vocab_bytes.h"

typedef struct ba_marks {
    const ba_pieces *pieces;
    int32_t *id; /* [n], in the order of their bytes */
    size_t n;
    bool begins[256]; /* some mark begins with this byte */
} ba_marks;

/* Collects user-defined tokens and, with `control`, control and unknown tokens. 0, or -1: out of memory. */
int ba_marks_init(ba_marks *m, const ba_pieces *pieces, bool control);
void ba_marks_free(ba_marks *m);

/* Offset in text[from..n) of the first mark, n if there is none; *id gets the longest that begins there. */
size_t ba_marks_next(const ba_marks *m, const char *text, size_t from, size_t n, int32_t *id);

#endif
