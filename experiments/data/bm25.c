#include "bm25.h"

#include "score_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How often a word of length len occurs in a normalised text. */
static size_t occurrences(const char *text, const char *word, size_t len) {
    size_t n = 0;
    for (const char *s = text; (s = strstr(s, word)); s++) {
        bool begins = s == text || s[-1] == ' ', ends = s[len] == 0 || s[len] == ' ';
        n += begins && ends;
    }
    return n;
}

static size_t words_of(const char *text) {
    size_t n = *text != 0;
    for (; *text; text++) {
        n += *text == ' ';
    }
    return n;
}

/* Adds what one word of the question gives. */
static void add_word(const char *word, char *const *text, size_t n, double mean, double *score) {
    const double k1 = 0.9, b = 0.4;
    size_t len = strlen(word), found = 0;
    for (size_t i = 0; i < n; i++) {
        found += occurrences(text[i], word, len) > 0;
    }
    double idf = log(1 + ((double)n - (double)found + 0.5) / ((double)found + 0.5));
    for (size_t i = 0; i < n; i++) {
        double f = (double)occurrences(text[i], word, len);
        score[i] += idf * f * (k1 + 1) / (f + k1 * (1 - b + b * (double)words_of(text[i]) / mean));
    }
}

int ba_bm25(const char *question, const char *const *passage, size_t n, double *score) {
    char *asked = ba_squad_normalise(question), **text = calloc(n + 1, sizeof *text);
    bool failed = !asked || !text;
    double total = 0;
    for (size_t i = 0; i < n && !failed; i++) {
        score[i] = 0;
        failed = !(text[i] = ba_squad_normalise(passage[i]));
        total += failed ? 0 : (double)words_of(text[i]);
    }
    char *rest = asked, *word;
    while (!failed && total > 0 && (word = strsep(&rest, " "))) {
        if (*word) {
            add_word(word, text, n, total / (double)n, score);
        }
    }
    for (size_t i = 0; text && i < n; i++) {
        free(text[i]);
    }
    free(text);
    free(asked);
    return failed ? -1 : 0;
}
