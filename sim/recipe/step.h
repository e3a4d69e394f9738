/* The steps of a tokenizer.json as data: one row for each type of step, with its fields and the function that does it.
 * Normalisers change a text; pre-tokenisers cut it into pieces. A new type is one row in steps_normalize.c or
 * steps_split.c and one function. What each does is what `tokenizers` 0.23 does, to the letter. */
#ifndef BA_STEP_H
#define BA_STEP_H

#include "kernels/base/error.h"
#include "sim/base/span.h"
#include "sim/text/pieces.h"
#include "sim/text/pretokenize.h"
#include "sim/text/regex.h"

#include <cjson/cJSON.h>

/* What a field holds and where it goes. */
typedef enum ba_value {
    BA_VALUE_FLAG,      /* yes[slot] */
    BA_VALUE_MAYBE,     /* a flag or null: yes[slot], and yes[slot + 1] if it is there */
    BA_VALUE_COUNT,     /* count, at least 1 */
    BA_VALUE_CHARACTER, /* text: exactly one character */
    BA_VALUE_TEXT,      /* with */
    BA_VALUE_PATTERN,   /* {"String": text} or {"Regex": regex} */
    BA_VALUE_BEHAVIOUR, /* choice: a ba_behaviour */
    BA_VALUE_SCHEME,    /* choice: a ba_scheme */
    BA_VALUE_HARMLESS   /* changes no id */
} ba_value;

typedef enum ba_scheme { BA_PREPEND_ALWAYS, BA_PREPEND_FIRST, BA_PREPEND_NEVER } ba_scheme;

typedef struct ba_step_field {
    const char *name;
    ba_value value;
    int slot;
    bool required;
} ba_step_field;

typedef struct ba_step_type ba_step_type;

typedef struct ba_step {
    const ba_step_type *type;
    bool yes[5];
    int choice;
    size_t count;
    ba_span text, with;   /* borrowed from the JSON tree */
    ba_regex *regex;      /* owned; NULL: the pattern is text, or a family does it */
    const ba_pre *family; /* the regular expression is that of a family, whose matcher is faster */
} ba_step;

/* Buffers that steps share. */
typedef struct ba_step_room {
    ba_line line;
    ba_cuts cuts;
} ba_step_room;

enum { BA_STEP_FIELDS = 6 };

struct ba_step_type {
    const char *name;
    ba_step_field field[BA_STEP_FIELDS]; /* up to the first without a name */
    ba_step start;                       /* values of fields that are absent */
    const char *refused;                 /* why the step is not supported, or NULL */
    /* Appends the normalised text of `in` to `out`, which is empty; first: the text begins the input. */
    int (*normalise)(const ba_step *step, const ba_line *in, bool first, ba_line *out);
    /* Appends the pieces of in->item[i] to `out`. Both return 0, or -1: out of memory, or a regular expression over its
     * limit. */
    int (*split)(const ba_step *step, ba_step_room *room, const ba_pieces *in, size_t i, ba_pieces *out);
    const char *(*check)(const ba_step *step); /* what is wrong with the values, or NULL; may be NULL */
};

/* Tables; NULL past the last row. */
const ba_step_type *ba_normalizer_at(size_t i);
const ba_step_type *ba_pre_tokenizer_at(size_t i);

/* Maps every byte to its character of GPT-2's alphabet. Shared by the two steps named ByteLevel. */
int ba_line_byte_level(const ba_line *in, size_t at, size_t n, ba_line *out);

/* A step from its JSON object. `where` is its place in the file ("normalizer", "pre_tokenizer"). 0, or -1 and err,
 * which names the step and the field. Texts are borrowed from the tree. */
int ba_step_parse(const cJSON *json, const char *where, const ba_step_type *(*table)(size_t i), ba_step *out,
                  char err[BA_ERR_LEN]);
void ba_step_free(ba_step *s);

/* Calls `found` for every match of the step's pattern (a text, a regular expression, or a family's) in text[0..n), from
 * left to right. 0, or -1: out of memory, over the limit, or `found` returned other than 0. */
int ba_step_scan(const ba_step *s, const char *text, size_t n, ba_match found, void *to);

#endif
