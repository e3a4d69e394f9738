#include "score_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* What Python's str.isalnum and \w take for a part of a word. */
static bool in_word(int32_t c) {
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return c == '_';
    }
}

static bool is_space(int32_t c) {
    utf8proc_category_t k = utf8proc_category(c);
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 31) || c == 0x85 || k == UTF8PROC_CATEGORY_ZS ||
           k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

static bool is_punctuation(int32_t c) {
    return c > 32 && c < 127 && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z');
}

static bool is_article(const int32_t *word, size_t n) {
    return (n == 1 && word[0] == 'a') || (n == 2 && word[0] == 'a' && word[1] == 'n') ||
           (n == 3 && word[0] == 't' && word[1] == 'h' && word[2] == 'e');
}

/* Code points in lower case without punctuation; how many. */
static size_t read_lower(const char *text, int32_t *out) {
    size_t n = 0, len = strlen(text);
    for (size_t i = 0; i < len;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(len - i), &c);
        if (used > 0 && !is_punctuation(c)) {
            out[n++] = utf8proc_tolower(c);
        }
        i += used > 0 ? (size_t)used : 1;
    }
    return n;
}

char *ba_squad_normalise(const char *text) {
    size_t len = strlen(text), used = 0;
    int32_t *code = malloc((len + 1) * sizeof *code);
    char *out = malloc(4 * len + 1);
    size_t n = code && out ? read_lower(text, code) : 0;
    bool gap = false;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && in_word(code[end])) {
            end++;
        }
        if (is_space(code[i]) || is_article(code + i, end - i)) {
            gap = true;
            i = end > i ? end : i + 1;
            continue;
        }
        if (gap && used) {
            out[used++] = ' ';
        }
        gap = false;
        end = end > i ? end : i + 1;
        for (; i < end; i++) {
            used += (size_t)utf8proc_encode_char(code[i], (utf8proc_uint8_t *)out + used);
        }
    }
    if (code && out) {
        out[used] = 0;
    } else {
        free(out);
        out = NULL;
    }
    free(code);
    return out;
}

/* The best of compare(normalised output, normalised answer) over the answers. */
static double best(const char *output, char *const *answers, size_t n,
                   double (*compare)(const char *output, const char *answer)) {
    char *said = ba_squad_normalise(output);
    double top = said ? 0 : NAN;
    for (size_t i = 0; said && i < n; i++) {
        char *gold = ba_squad_normalise(answers[i]);
        double score = gold ? compare(said, gold) : NAN;
        top = score > top || isnan(score) ? score : top;
        free(gold);
    }
    free(said);
    return top;
}

static double holds(const char *output, const char *answer) {
    return strstr(output, answer) ? 1 : 0;
}

static double equals(const char *output, const char *answer) {
    return strcmp(output, answer) == 0 ? 1 : 0;
}

static size_t count_words(const char *s) {
    size_t n = *s != 0;
    for (; *s; s++) {
        n += *s == ' ';
    }
    return n;
}

/* Length of the word at s, which ends at a space or the end. */
static size_t word_len(const char *s) {
    return strcspn(s, " ");
}

/* Words of a that occur in b, each as often as in the one that has it less often. */
static size_t shared_words(const char *a, const char *b) {
    size_t shared = 0;
    for (const char *s = a; *s; s += word_len(s), s += *s == ' ') {
        size_t n = word_len(s), here = 0, there = 0;
        for (const char *t = a; t <= s; t += word_len(t) + 1) {
            here += word_len(t) == n && !memcmp(t, s, n);
        }
        for (const char *t = b; *t; t += word_len(t), t += *t == ' ') {
            there += word_len(t) == n && !memcmp(t, s, n);
        }
        shared += here <= there;
    }
    return shared;
}

static double f1(const char *output, const char *answer) {
    size_t said = count_words(output), gold = count_words(answer), shared = shared_words(output, answer);
    if (!shared) {
        return 0;
    }
    double precision = (double)shared / (double)said, recall = (double)shared / (double)gold;
    return 2 * precision * recall / (precision + recall);
}

double ba_subspan_em(const char *output, char *const *answers, size_t n) {
    return best(output, answers, n, holds);
}

double ba_squad_em(const char *output, char *const *answers, size_t n) {
    return best(output, answers, n, equals);
}

double ba_squad_f1(const char *output, char *const *answers, size_t n) {
    return best(output, answers, n, f1);
}
