/* Prompts of an exact number of tokens: passages of one size, a shorter last passage, and a question. They are text, so
 * that tokenising can be timed; generated from a seed, or taken from a file. */
#ifndef BA_WORKLOAD_H
#define BA_WORKLOAD_H

#include "kernels/base/error.h"
#include "sim/tokenizer/tokenizer.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ba_workload_spec {
    size_t length;    /* tokens of the whole prompt, the question included */
    size_t question;  /* tokens of the question; 1 <= question <= length */
    size_t block;     /* tokens of a passage, >= 1 */
    const char *text; /* text to take passages from [text_len], or NULL: words are generated */
    size_t text_len;
    uint64_t seed;
} ba_workload_spec;

typedef struct ba_workload {
    char **text; /* [n] owned; passages in order, the question last */
    size_t n;
} ba_workload;

/* Prompts of one spec but different lengths share their leading passages. 0; -1 and err: the text is too short, this
 * tokenizer cannot make exactly as many tokens, or memory ran out. */
int ba_workload_new(const ba_tokenizer *tok, const ba_workload_spec *spec, ba_workload *out, char err[BA_ERR_LEN]);
void ba_workload_free(ba_workload *w);

#endif
