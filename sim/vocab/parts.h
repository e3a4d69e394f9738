/* What the parts of the reader of tokenizer.json share. */
#ifndef BA_VOCAB_PARTS_H
#define BA_VOCAB_PARTS_H

#include "read.h"

typedef struct ba_vocab_reader {
    const char *path; /* of tokenizer.json */
    ba_vocab *v;
    char *err;
    size_t *steps; /* grows by the work of finding tokens, so that a test can check it; or NULL */
} ba_vocab_reader;

int ba_vocab_no_memory(const ba_vocab_reader *r); /* -1 and err */
/* The id of a token by its text, -1 if there is none. */
int32_t ba_vocab_id_of(const ba_vocab *v, const char *text);

/* model.vocab, added_tokens and the tokens that tokenizer_config.json adds, into the vocabulary and its recipe. */
int ba_vocab_read_tokens(const ba_vocab_reader *r, const cJSON *root, const cJSON *tokenizer_config);
/* model.merges; *texts owns the pairs as "left right". */
int ba_vocab_read_merges(const ba_vocab_reader *r, const cJSON *model, char **texts);

#endif
