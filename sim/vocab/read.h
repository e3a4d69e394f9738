/* Filling a vocabulary from a model file. The texts stay where the file, or the JSON tree, keeps them. */
#ifndef BA_VOCAB_READ_H
#define BA_VOCAB_READ_H

#include "sim/files/gguf.h"
#include "sim/tokenizer/vocab.h"

#include <cjson/cJSON.h>

/* From metadata; texts are borrowed from g. A file without tokenizer keys gives BA_VOCAB_NONE. */
int ba_vocab_from_gguf(const ba_gguf *g, ba_vocab *v, char err[BA_ERR_LEN]);

/* What texts of a folder's vocabulary are borrowed from. */
typedef struct ba_vocab_source {
    cJSON *tokenizer, *tokenizer_config;
    char *merges; /* pairs joined to "left right" */
} ba_vocab_source;

/* From tokenizer.json (none: BA_VOCAB_NONE), tokenizer_config.json, generation_config.json and `config`, with `size`
 * ids: those that no token has are UNUSED and empty. */
int ba_vocab_from_folder(const char *folder, const cJSON *config, size_t size, ba_vocab *v, ba_vocab_source *source,
                         char err[BA_ERR_LEN]);

void ba_vocab_source_free(ba_vocab_source *s);

#endif
