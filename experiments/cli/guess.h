/* "Did you mean ...?": of some known words, the one nearest to a misspelt word. Nearness is the number of letters to
 * insert, leave out, replace or swap with their neighbour (optimal string alignment distance). */
#ifndef BA_GUESS_H
#define BA_GUESS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ba_guess {
    const char *word; /* the misspelt one, borrowed; [len] */
    size_t len;
    size_t distance; /* of the best word so far */
    char text[80];   /* "; did you mean 'lego'?", or empty: no known word is near enough */
} ba_guess;

/* Begins with the first `len` letters of a word. */
ba_guess ba_guess_begin(const char *word, size_t len);
/* Offers a known word. The nearest one is kept; of equally near ones the first. */
void ba_guess_offer(ba_guess *g, const char *known);

#endif
