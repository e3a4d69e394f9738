#include "score_drop.h"

#include "experiments/data/score_text.h"
#include "sim/base/grow.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Words of a normalised answer, in order; some have more than one of the script's parts. */
typedef struct bag {
    char **word; /* [n] */
    size_t n, cap;
} bag;

static void bag_free(bag *b) {
    for (size_t i = 0; i < b->n; i++) {
        free(b->word[i]);
    }
    free(b->word);
}

static bool is_number(const char *s) {
    double value;
    return ba_python_float(s, &value);
}

/* A number as Python prints it: the fewest digits that are read as the same value. */
static char *number_text(double x) {
    enum { DIGITS = 17 };
    char *out = NULL;
    char e[32];
    int p = 1, rc;
    if (!isfinite(x)) {
        return strdup(isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
    }
    while (snprintf(e, sizeof e, "%.*e", p - 1, x) > 0 && p < DIGITS && strtod(e, NULL) != x) {
        p++;
    }
    const long exponent = strtol(strchr(e, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) {
        rc = asprintf(&out, "%s", e);
    } else {
        long decimals = p - 1 - exponent;
        rc = asprintf(&out, "%.*f", (int)(decimals > 1 ? decimals : 1), x);
    }
    return rc < 0 ? NULL : out;
}

/* Takes the word over. */
static int add(bag *b, char *word) {
    if (!word || ba_grow(&b->word, &b->cap, b->n + 1, sizeof *b->word)) {
        free(word);
        return -1;
    }
    b->word[b->n++] = word;
    return 0;
}

/* One token of the text between spaces and hyphens. Only a token that is a number as a whole becomes one: parts of it,
 * between other kinds of spaces, stay as they are. */
static int add_token(bag *b, const char *token) {
    double value;
    char *lower = ba_text_lower(token, true), *plain = ba_text_lower(token, false);
    int rc = lower && plain ? 0 : -1;
    bool number = !rc && (ba_python_float(lower, &value) || ba_python_float(plain, &value));
    free(lower);
    free(plain);
    if (rc || number) {
        return rc ? rc : add(b, number_text(value));
    }
    char *words = ba_squad_normalise(token), *rest = words, *word;
    rc = words ? 0 : -1;
    while (!rc && (word = strsep(&rest, " "))) {
        rc = *word ? add(b, strdup(word)) : 0;
    }
    free(words);
    return rc;
}

static int fill(bag *b, const char *text) {
    char *copy = strdup(text), *rest = copy, *token;
    int rc = copy ? 0 : -1;
    while (!rc && (token = strsep(&rest, " -"))) {
        rc = *token ? add_token(b, token) : 0;
    }
    free(copy);
    return rc;
}

static bool holds(const bag *b, const char *word, size_t before) {
    for (size_t i = 0; i < b->n && i < before; i++) {
        if (strcmp(b->word[i], word) == 0) {
            return true;
        }
    }
    return false;
}

/* Different words of a; those that are in b too; and of these, whether one is a number. */
static size_t different(const bag *a, const bag *b, size_t *shared, bool *shared_number) {
    size_t n = 0;
    *shared = 0;
    *shared_number = false;
    for (size_t i = 0; i < a->n; i++) {
        if (!holds(a, a->word[i], i)) {
            bool in_both = holds(b, a->word[i], SIZE_MAX);
            n++;
            *shared += in_both;
            *shared_number = *shared_number || (in_both && is_number(a->word[i]));
        }
    }
    return n;
}

static double f1_of(const bag *said, const bag *gold) {
    size_t shared, unused;
    bool number, gold_number = false, ignored;
    size_t n_gold = different(gold, said, &shared, &number), n_said = different(said, gold, &unused, &ignored);
    for (size_t i = 0; i < gold->n; i++) {
        gold_number = gold_number || is_number(gold->word[i]);
    }
    if (gold_number && !number) {
        return 0;
    }
    double precision = n_said ? (double)shared / (double)n_said : 1,
           recall = n_gold ? (double)shared / (double)n_gold : 1;
    double f1 = precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
    return rint(100 * f1) / 100;
}

static bool same(const bag *a, const bag *b) {
    bool equal = a->n == b->n;
    for (size_t i = 0; equal && i < a->n; i++) {
        equal = strcmp(a->word[i], b->word[i]) == 0;
    }
    return equal;
}

void ba_drop_score(const char *output, char *const *answers, size_t n, double *em, double *f1) {
    bag said = {0};
    int rc = fill(&said, output);
    *em = *f1 = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        bag gold = {0};
        rc = fill(&gold, answers[i]);
        *em = same(&said, &gold) ? 1 : *em;
        *f1 = fmax(*f1, f1_of(&said, &gold));
        bag_free(&gold);
    }
    bag_free(&said);
    if (rc) {
        *em = *f1 = NAN;
    }
}
