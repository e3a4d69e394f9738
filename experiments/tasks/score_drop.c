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
    char *end;
    (void)strtod(s, &end);
    bool hex = strpbrk(s, "xX") != NULL; /* which Python does not take */
    return *s && !*end && !hex;
}

/* Adds a copy; numbers in one spelling. */
static int add(bag *b, const char *s) {
    char *word = NULL;
    if (!is_number(s)) {
        word = strdup(s);
    } else if (asprintf(&word, "%.17g", strtod(s, NULL)) < 0) {
        word = NULL;
    }
    if (!word || ba_grow(&b->word, &b->cap, b->n + 1, sizeof *b->word)) {
        free(word);
        return -1;
    }
    b->word[b->n++] = word;
    return 0;
}

/* One token of the text between spaces and hyphens. */
static int add_token(bag *b, const char *token) {
    if (is_number(token)) {
        return add(b, token);
    }
    char *plain = ba_squad_normalise(token), *rest = plain, *word;
    int rc = plain ? 0 : -1;
    while (!rc && (word = strsep(&rest, " "))) {
        rc = *word ? add(b, word) : 0;
    }
    free(plain);
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
