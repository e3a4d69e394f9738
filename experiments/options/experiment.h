/* An experiment file is a command and its options as data:
 *   {"about": "what it shows", "command": "ttft", "options": {"lengths": ["50", "512"], "repeat": 3, "cold": true}}
 * An option is a text or a number (its value), a list of them (joined by commas), true (a flag) or false (left out). */
#ifndef BA_EXPERIMENT_H
#define BA_EXPERIMENT_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { BA_MAX_WORDS = 256 };

/* A command line, as a program gets it. */
typedef struct ba_words {
    char *argv[BA_MAX_WORDS + 1];     /* owned, NULL past the last */
    bool is_option[BA_MAX_WORDS + 1]; /* the word is an option's name, "--name" */
    int argc;
} ba_words;

/* The command line of an experiment's text; whether the command and its options exist is not looked at. 0, or -1 and
 * err, which begins with `path`. The words are to be freed in both cases. */
int ba_experiment_parse(const char *text, size_t len, const char *path, ba_words *out, char err[BA_ERR_LEN]);

/* Appends prefix and text as one word; prefix is "--" for an option's name, else "". -1: there are BA_MAX_WORDS already,
 * or no memory. */
int ba_words_add(ba_words *words, const char *prefix, const char *text);
/* Takes out the option of a name of [len] letters, and its value. */
void ba_words_drop(ba_words *words, const char *name, size_t len);
void ba_words_free(ba_words *words);

#endif
