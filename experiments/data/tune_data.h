/* Samples for training, from JSON Lines (plain or gzipped), each line one of
 *   {"question", "answers", "documents"}        a RAG item, in the prompt that eval and gate ask it in (rag.h)
 *   {"prompt", "blocks": [str], "response"}     the official form, taken as a request takes it: nothing is put around the
 *                                               blocks; without blocks the prompt is cut as the paper does
 *   {"messages": [{"role", "content"}]}         a conversation in the model's chat template; the last turn is the response
 * The response ends with the token that ends a turn of the model's chat format. */
#ifndef BA_TUNE_DATA_H
#define BA_TUNE_DATA_H

#include "sim/train/tune.h"

typedef struct ba_examples {
    ba_example *at; /* [n] */
    size_t n, cap;
    size_t malformed, unanswered, too_long; /* lines that were passed over */
} ba_examples;

typedef struct ba_examples_options {
    const ba_tokenizer *tok;
    size_t longest; /* tokens of a sample, response included; longer ones are counted and passed over */
    size_t limit;   /* samples at most, 0: all */
    bool strict;    /* a line that cannot be used is an error */
    void (*report)(const char *line); /* a malformed line that is passed over */
} ba_examples_options;

/* Files of a list with commas. 0, or -1 and err naming file and line. */
int ba_examples_read(const char *paths, const ba_examples_options *opt, ba_examples *out, char err[BA_ERR_LEN]);
void ba_examples_free(ba_examples *all);

#endif
