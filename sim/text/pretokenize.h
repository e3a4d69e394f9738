/* Pre-tokenisers: what byte-level BPE must not merge across. One table row per family.
 *
 * The families are written as regular expressions by their makers; here each is a matcher over code points and Unicode
 * categories that gives the same pieces, faster. Categories are those of the Python tokenizers (unicode.h). */
#ifndef BA_PRETOKENIZE_H
#define BA_PRETOKENIZE_H

#include "kernels/base/error.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct ba_pre ba_pre;
struct ba_pre {
    const char *name;
    size_t (*next)(const ba_pre *pre, const char *text, size_t n);
    size_t max_numbers;    /* numbers (\p{N}) in one piece; 0 = no limit */
    bool numbers_first;    /* numbers are cut out before anything else: a space before one is a piece of its own */
    bool whole_word_first; /* a piece that is a token is taken whole, whatever the merges say ("ignore_merges") */
    bool nfc;              /* text is brought to normalisation form C first */
};

/* Row of a family; NULL and err (lists what there is) if the name is unknown. */
const ba_pre *ba_pre_find(const char *name, char err[BA_ERR_LEN]);
/* Table; NULL past the last. */
const ba_pre *ba_pre_at(size_t i);

/* Length of the first piece of text[0..n), n > 0, valid UTF-8 to its end. */
size_t ba_pre_next(const ba_pre *pre, const char *text, size_t n);

#endif
