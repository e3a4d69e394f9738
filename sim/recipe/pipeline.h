/* Running the steps of a recipe. */
#ifndef BA_PIPELINE_H
#define BA_PIPELINE_H

#include "kernels/base/error.h"
#include "recipe.h"
#include "step.h"

/* How far the steps may make a text longer, so that no file makes a short text fill the memory: normal forms take
 * 11 bytes for one at most, the alphabet of bytes 2, a mark for a space 3. */
enum { BA_GROWTH = 64, BA_GROWTH_FREE = 1 << 16 };

/* Memory that one call of the tokenizer uses again and again. */
typedef struct ba_pipeline {
    const ba_recipe *recipe;
    size_t normal_left, pieces_left; /* bytes that normalisers, pre-tokenisers may still give for the input */
    ba_line line[2];                 /* read and written in turns by normalisers */
    ba_pieces pieces[2];             /* the same by pre-tokenisers */
    ba_step_room room;
} ba_pipeline;

/* For an input of n bytes: its texts together may grow to BA_GROWTH bytes for each byte and BA_GROWTH_FREE more. */
void ba_pipeline_init(ba_pipeline *p, const ba_recipe *recipe, size_t n);
void ba_pipeline_free(ba_pipeline *p);

/* The normal text of text[0..n), valid UTF-8; `first`: it begins the input. *out is one of the pipeline's lines, until
 * the next call. 0, or -1 and err: out of memory, or the step that makes the text too long or whose regular expression
 * is over its limit. */
int ba_pipeline_normalise(ba_pipeline *p, const char *text, size_t n, bool first, const ba_line **out,
                          char err[BA_ERR_LEN]);
/* The pieces of line[at .. at + n) of a line that ba_pipeline_normalise gave. *out is the pipeline's. */
int ba_pipeline_split(ba_pipeline *p, const ba_line *line, size_t at, size_t n, const ba_pieces **out,
                      char err[BA_ERR_LEN]);

/* The normal form of one text by itself; *out, empty, becomes the caller's. */
int ba_normalise(const ba_recipe *recipe, const char *text, size_t n, ba_line *out, char err[BA_ERR_LEN]);

#endif
