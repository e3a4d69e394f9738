/* A tokenizer of each kind over the tiny vocabularies. */
#ifndef BA_FUZZ_VOCABULARY_H
#define BA_FUZZ_VOCABULARY_H

#include "sim/model/model.h"
#include "sim/tokenizer/tokenizer.h"

typedef struct ba_fuzz_vocabulary {
    ba_model *model[2]; /* BPE, SentencePiece */
    ba_tokenizer *tok[2];
} ba_fuzz_vocabulary;

/* NULL: that failed. The folder is used for model files. */
ba_fuzz_vocabulary *ba_fuzz_vocabulary_open(const char *folder);
void ba_fuzz_vocabulary_close(void *vocabulary);

#endif
