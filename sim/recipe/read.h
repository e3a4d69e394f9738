/* The parts of tokenizer.json that are about text and not about ids: steps and options. */
#ifndef BA_RECIPE_READ_H
#define BA_RECIPE_READ_H

#include "kernels/base/error.h"
#include "recipe.h"
#include "sim/base/fields.h"

#include <cjson/cJSON.h>

/* Reads normalizer, pre_tokenizer and the model's options but for its unknown token. Every field of the file is checked
 * against the table below. Texts are borrowed from the tree. 0, or -1 and err: what is refused, by its name. */
int ba_recipe_read(const cJSON *root, ba_recipe *r, char err[BA_ERR_LEN]);

/* The family of pretokenize.h whose pieces the pre-tokenisers make, or NULL. */
const char *ba_recipe_family(const ba_recipe *r);
/* Does a step of that type occur? */
bool ba_recipe_has(const ba_recipe *r, const char *type);

/* Does a step put SentencePiece's space in front of a text? For display; the steps do it. */
bool ba_recipe_prepends(const ba_recipe *r);

/* Every field of tokenizer.json that is known, with what the reader does with it. */
const ba_field *ba_tokenizer_fields(void);

#endif
