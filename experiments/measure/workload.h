/* Prompts of an exact number of tokens: passages of one size, a shorter last passage, and a question. They are text, so
 * that tokenising can be timed; generated from a seed, or taken from a file. For a model without a vocabulary they are
 * random ids. */
#ifndef BA_WORKLOAD_H
#define BA_WORKLOAD_H

#include "kernels/base/error.h"
#include "sim/prompt/prompt.h"
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
    size_t vocab; /* without a tokenizer: ids are drawn below it */
} ba_workload_spec;

/* A passage, or the question: text, or ids where there is no tokenizer. */
typedef struct ba_workload_part {
    char *text;   /* or NULL */
    int32_t *ids; /* [n], or NULL */
    size_t n;
} ba_workload_part;

typedef struct ba_workload {
    ba_workload_part *part; /* [n] owned; passages in order, the question last */
    size_t n;
} ba_workload;

/* Prompts of one spec but different lengths share their leading passages. tok NULL: random ids. 0; -1 and err: the text
 * is too short, this tokenizer cannot make exactly as many tokens, or memory ran out. */
int ba_workload_new(const ba_tokenizer *tok, const ba_workload_spec *spec, ba_workload *out, char err[BA_ERR_LEN]);
void ba_workload_free(ba_workload *w);

/* The prompt, part by part, texts tokenised. The last 8 tokens of the question, or half of a shorter one, are a task of
 * their own, for modes that treat it separately (superposition); the others take question and task as one block. Without
 * a tokenizer, modes that insert a BOS or a line end insert the ids 0 and 1. NULL and err: out of memory, or a text
 * that the tokenizer refuses. */
ba_prompt *ba_workload_prompt(const ba_tokenizer *tok, const ba_workload *w, char err[BA_ERR_LEN]);

#endif
