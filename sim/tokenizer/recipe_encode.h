/* Text to ids by a recipe, as `tokenizers` 0.23 does: added tokens are found, the text between them is normalised, added
 * tokens are found in that, the text between them is cut into pieces, and the model turns each piece into ids. */
#ifndef BA_RECIPE_ENCODE_H
#define BA_RECIPE_ENCODE_H

#include "kernels/base/error.h"
#include "sim/base/ids.h"
#include "vocab_bytes.h"

typedef struct ba_recipe_encoder ba_recipe_encoder;

/* Borrows the vocabulary's bytes; the vocabulary has a recipe. 0, or -1 and err. */
int ba_recipe_encoder_new(const ba_vocab_bytes *pieces, ba_recipe_encoder **out, char err[BA_ERR_LEN]);
void ba_recipe_encoder_free(ba_recipe_encoder *e);

/* Appends the ids of text[0..n), any bytes: one that is no UTF-8 is a token by itself, and text ends before it and begins
 * again after it. special: special tokens in the text are parsed; otherwise they are plain text. *lost grows by the
 * bytes that no token represents. 0, or -1 and err: out of memory, or the step that makes the text too long or whose
 * regular expression is over its limit. */
int ba_recipe_encode(const ba_recipe_encoder *e, const char *text, size_t n, bool special, ba_ids *out, size_t *lost,
                     char err[BA_ERR_LEN]);

/* Is there a token for every byte, so that none is ever lost? */
bool ba_recipe_complete(const ba_recipe_encoder *e);

#endif
