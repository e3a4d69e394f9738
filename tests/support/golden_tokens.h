/* Reader of tests/golden/tokenizer/NAME.txt; the format is described in make.py beside the files. */
#ifndef BA_GOLDEN_TOKENS_H
#define BA_GOLDEN_TOKENS_H

#include "sim/tokenizer/vocab.h"

typedef struct ba_golden_case {
    ba_span text;
    int32_t *ids; /* [n] */
    size_t n, line;
    bool special;
} ba_golden_case;

typedef struct ba_golden_tokens {
    ba_vocab vocab; /* n = 0: the file is about the vocabulary of a model */
    ba_golden_case *item;
    size_t n, cap_item, cap_token, cap_merge, cap_score, cap_type;
    char *file; /* what all texts point into */
    char path[4096];
} ba_golden_tokens;

/* NULL, with a line on stdout, if the file cannot be read or understood. */
ba_golden_tokens *ba_golden_tokens_open(const char *name);
void ba_golden_tokens_close(ba_golden_tokens *g);

#endif
