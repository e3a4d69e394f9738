/* The prompts that the gate runs, with their gold answers where there are any. */
#ifndef BA_GATE_PROMPTS_H
#define BA_GATE_PROMPTS_H

#include "experiments/cli/cli.h"

typedef struct ba_gate_prompt {
    char name[64]; /* id of the item; empty if there is none */
    size_t number; /* in the order of the data; the list may have another one */
    ba_prompt *prompt;
    int32_t *answer; /* [n_answer], owned */
    size_t n_answer;
} ba_gate_prompt;

typedef struct ba_gate_prompts {
    ba_gate_prompt *p;
    size_t n;
} ba_gate_prompts;

/* From a request, from the first `limit` items (0: all) of every data file in a list with commas, or, with neither,
 * generated words (ids where there is no tokenizer) of `length` tokens in passages of 128. 0, or an exit status after printing the line; free in either case. */
int ba_gate_prompts_read(const ba_session *b, const char *request, const char *data, size_t length, size_t limit,
                         uint64_t seed, ba_gate_prompts *out);
/* Puts the prompt of that number at place `at`, where another one is that is not done yet. */
void ba_gate_prompts_place(ba_gate_prompts *all, size_t number, size_t at);
void ba_gate_prompts_free(ba_gate_prompts *all);

#endif
