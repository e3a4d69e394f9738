/* Words of two texts against each other: a longest common subsequence. */
#include "compare.h"

#include <stdlib.h>
#include <string.h>

/* Texts are a few hundred tokens; longer ones are compared up to here. */
enum { MAX_WORDS = 2000 };

static size_t split(const char *text, ba_word *word, char from) {
    size_t n = 0;
    for (const char *s = text + strspn(text, " \t\r\n"); *s && n < MAX_WORDS; s += strspn(s, " \t\r\n")) {
        size_t len = strcspn(s, " \t\r\n");
        word[n++] = (ba_word){s, len, from};
        s += len;
    }
    return n;
}

static bool same(const ba_word *x, const ba_word *y) {
    return x->len == y->len && memcmp(x->at, y->at, x->len) == 0;
}

/* longest[i * (m + 1) + j]: words that a[i..] and b[j..] have in common, in order. */
static void fill(const ba_word *a, size_t n, const ba_word *b, size_t m, unsigned short *longest) {
    for (size_t i = n + 1; i-- > 0;) {
        for (size_t j = m + 1; j-- > 0;) {
            unsigned short *cell = longest + i * (m + 1) + j;
            if (i == n || j == m) {
                *cell = 0;
            } else if (same(&a[i], &b[j])) {
                *cell = (unsigned short)(cell[m + 2] + 1);
            } else {
                *cell = cell[1] > cell[m + 1] ? cell[1] : cell[m + 1];
            }
        }
    }
}

static size_t merge(const ba_word *a, size_t n, const ba_word *b, size_t m, const unsigned short *longest,
                    ba_word *out) {
    size_t i = 0, j = 0, used = 0;
    while (i < n || j < m) {
        const unsigned short *cell = longest + i * (m + 1) + j;
        if (i < n && j < m && same(&a[i], &b[j])) {
            out[used] = a[i++];
            out[used++].from = '=';
            j++;
        } else if (j == m || (i < n && cell[m + 1] >= cell[1])) {
            out[used++] = a[i++];
        } else {
            out[used++] = b[j++];
        }
    }
    return used;
}

ba_word *ba_text_difference(const char *a, const char *b, size_t *n) {
    ba_word *words = calloc(2 * (size_t)MAX_WORDS, sizeof *words);
    ba_word *out = calloc(2 * (size_t)MAX_WORDS, sizeof *out);
    unsigned short *longest = NULL;
    *n = 0;
    if (words && out) {
        size_t in_a = split(a, words, 'a'), in_b = split(b, words + MAX_WORDS, 'b');
        longest = malloc((in_a + 1) * (in_b + 1) * sizeof *longest);
        if (longest) {
            fill(words, in_a, words + MAX_WORDS, in_b, longest);
            *n = merge(words, in_a, words + MAX_WORDS, in_b, longest, out);
        }
    }
    free(words);
    if (!longest) {
        free(out);
        return NULL;
    }
    free(longest);
    return out;
}
