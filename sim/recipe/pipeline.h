/* Running the steps of a recipe. */
#ifndef BA_PIPELINE_H
#define BA_PIPELINE_H

#include "recipe.h"
#include "step.h"

/* Memory that one call of the tokenizer uses again and again. */
typedef struct ba_pipeline {
    const ba_recipe *recipe;
    ba_line line[2];     /* read and written in turns by normalisers */
    ba_pieces pieces[2]; /* the same by pre-tokenisers */
    ba_step_room room;
} ba_pipeline;

void ba_pipeline_free(ba_pipeline *p);

/* The normal text of text[0..n), valid UTF-8; `first`: it begins the input. *out is one of the pipeline's lines, until
 * the next call. 0, or -1: out of memory, or a regular expression over its limit. */
int ba_pipeline_normalise(ba_pipeline *p, const char *text, size_t n, bool first, const ba_line **out);
/* The pieces of line[at .. at + n) of a line that ba_pipeline_normalise gave. *out is the pipeline's. */
int ba_pipeline_split(ba_pipeline *p, const ba_line *line, size_t at, size_t n, const ba_pieces **out);

/* The normal form of one text by itself; *out, empty, becomes the caller's. */
int ba_normalise(const ba_recipe *recipe, const char *text, size_t n, ba_line *out);

#endif
