#include "guess.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST = 40 };

static size_t least_of(size_t a, size_t b) {
    return a < b ? a : b;
}

static bool same_letter(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Letters to change from a to b. Case counts for nothing. */
static size_t distance_of(const char *a, size_t n_a, const char *b, size_t n_b) {
    size_t d[LONGEST + 1][LONGEST + 1];
    for (size_t i = 0; i <= n_a; i++) {
        for (size_t j = 0; j <= n_b; j++) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = d[i - 1][j - 1] + !same_letter(a[i - 1], b[j - 1]);
            d[i][j] = least_of(d[i][j], least_of(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1])) {
                d[i][j] = least_of(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }
    return d[n_a][n_b];
}

ba_guess ba_guess_begin(const char *word, size_t len) {
    /* A third of the letters may be wrong, and one of two or three. */
    return (ba_guess){.word = word, .len = len, .distance = len > LONGEST || len < 2 ? 0 : 1 + (len < 3 ? 1 : len / 3)};
}

void ba_guess_offer(ba_guess *g, const char *known) {
    size_t n = strlen(known);
    if (!g->distance || n > LONGEST) {
        return;
    }
    size_t d = distance_of(g->word, g->len, known, n);
    if (d < g->distance) {
        g->distance = d;
        snprintf(g->text, sizeof g->text, "; did you mean '%s'?", known);
    }
}
