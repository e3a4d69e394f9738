/* What the two halves of the evaluator share: jinja.c runs statements, jinja_expr.c computes expressions. Values are
 * cJSON items; BA_JINJA_UNDEFINED is the one that nothing defines. All values live until the end of the rendering. */
#ifndef BA_JINJA_PARTS_H
#define BA_JINJA_PARTS_H

#include "jinja.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    BA_JINJA_STEPS = 200000,
    BA_JINJA_OUTPUT = 1 << 20,
    BA_JINJA_MADE = 1 << 26, /* bytes of all strings together */
    BA_JINJA_DEPTH = 60,
    BA_JINJA_VARIABLES = 200
};

typedef struct ba_jinja_variable {
    char name[48];
    cJSON *value;
} ba_jinja_variable;

typedef struct ba_jinja {
    ba_jinja_variable variable[BA_JINJA_VARIABLES]; /* the last of a name counts */
    size_t n_variable, scope;                       /* those from `scope` on belong to the innermost loop */
    cJSON *kept;                                    /* an array: every value that was made */
    size_t steps, depth, made;
    const char *at, *end; /* the expression at hand */
    char *err;
    bool failed;
} ba_jinja;

extern cJSON ba_jinja_undefined;
#define BA_JINJA_UNDEFINED (&ba_jinja_undefined)

/* Marks the rendering as failed; returns BA_JINJA_UNDEFINED. */
cJSON *ba_jinja_fail(ba_jinja *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes a new value over; NULL is out of memory. */
cJSON *ba_jinja_keep(ba_jinja *j, cJSON *value);
/* Gives a new value to an object or a list, which then owns it. NULL, or no memory for it: the rendering fails. */
void ba_jinja_put(ba_jinja *j, cJSON *object, const char *name, cJSON *value);
void ba_jinja_append(ba_jinja *j, cJSON *list, cJSON *value);

/* The value of the expression in j->at .. j->end, moving j->at after it. */
cJSON *ba_jinja_expression(ba_jinja *j);
/* The same without "a if b else c": what a loop runs over. */
cJSON *ba_jinja_operand(ba_jinja *j);
/* Whether the next word or sign is this one, which is then passed over. */
bool ba_jinja_accept(ba_jinja *j, const char *word);
/* A name; false: there is none. */
bool ba_jinja_name(ba_jinja *j, char *out, size_t size);
bool ba_jinja_true(const cJSON *value);
/* Gives a name a value in the innermost loop. */
bool ba_jinja_set(ba_jinja *j, const char *name, cJSON *value);
/* The text that a value prints as, into a new string; NULL: failed. */
const char *ba_jinja_text(ba_jinja *j, cJSON *value);

#endif
