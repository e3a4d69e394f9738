/* The wording of prompts, as data (prompts.json, built into the program): task -> part -> text with {fields}, and under
 * "families" what a model's chat family words differently. RAG prompts are the paper's (its released data_process/rag).
 * A model without a chat template is of the family "plain". */
#ifndef BA_PROMPTS_H
#define BA_PROMPTS_H

#include "sim/prompt/prompt.h"

typedef struct ba_prompts ba_prompts;

/* A value for {name}; a list ends with name NULL. */
typedef struct ba_prompt_field {
    const char *name, *text;
} ba_prompt_field;

/* Wording for the family of a tokenizer's chat template. path: another file of this form, or NULL. 0, or -1 and err
 * naming the file. */
int ba_prompts_open(const char *path, const ba_tokenizer *tok, ba_prompts **out, char err[BA_ERR_LEN]);
void ba_prompts_close(ba_prompts *p);

/* The wording of a part ("system", "passage", "demonstration", "question") with its fields filled in, malloc'ed. NULL
 * and err: there is no such part (a missing "system" is no error: an empty text), a {field} without a value, or no
 * memory. */
char *ba_prompts_fill(const ba_prompts *p, const char *task, const char *part, const ba_prompt_field *fields,
                      char err[BA_ERR_LEN]);

/* One segment of a prompt before it is tokenised. */
typedef struct ba_part {
    ba_role role;
    char *text; /* owned */
} ba_part;
void ba_parts_free(ba_part *part, size_t n);

/* The prompt that parts make in the model's chat format: the marks that open the user's turn belong to the first part,
 * those that close it and open the answer are the task segment, which belongs to the last block where a mode knows no
 * task. Marks in the parts' own text are plain text. NULL and err. */
ba_prompt *ba_parts_prompt(const ba_part *part, size_t n, const ba_tokenizer *tok, char err[BA_ERR_LEN]);

/* Ids of an answer as a continuation of such a prompt: no special tokens; with the space in front that a plain prompt
 * needs. *ids is malloc'ed. 0, or -1 and err. */
int ba_answer_ids(const char *answer, const ba_tokenizer *tok, int32_t **ids, size_t *n, char err[BA_ERR_LEN]);

#endif
