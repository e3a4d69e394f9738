#include "score_text.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
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

/* Letters with case, and Roman numerals and letters in circles. */
static bool is_cased(int32_t c) {
    utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT || c == 0xaa ||
           c == 0xba || (c >= 0x2160 && c <= 0x217f) || (c >= 0x24b6 && c <= 0x24e9);
}

/* Marks, modifiers, and punctuation within words (Unicode 15, section 3.13, D136). */
static bool is_case_ignorable(int32_t c) {
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return c == '\'' || c == '.' || c == ':' || c == 0xb7 || c == 0x387 || c == 0x2018 || c == 0x2019 ||
               c == 0x2024 || c == 0x2027;
    }
}

/* A capital sigma that ends a word. */
static bool is_final_sigma(const int32_t *code, size_t n, size_t i) {
    size_t before = i, after = i + 1;
    while (before > 0 && is_case_ignorable(code[before - 1])) {
        before--;
    }
    while (after < n && is_case_ignorable(code[after])) {
        after++;
    }
    return before > 0 && is_cased(code[before - 1]) && (after == n || !is_cased(code[after]));
}

static size_t decode(const char *text, int32_t *out) {
    size_t n = 0, len = strlen(text);
    for (size_t i = 0; i < len;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(len - i), &c);
        if (used > 0) {
            out[n++] = c;
        }
        i += used > 0 ? (size_t)used : 1;
    }
    return n;
}

/* Code points in lower case, as Python's str.lower, with or without ASCII punctuation; how many. out: room for as many as
 * the text has bytes; malloc'ed room is needed for the text itself. -1: out of memory. */
static ptrdiff_t read_lower(const char *text, bool punctuation, int32_t *out) {
    int32_t *code = malloc((strlen(text) + 1) * sizeof *code);
    if (!code) {
        return -1;
    }
    size_t n = decode(text, code), used = 0;
    for (size_t i = 0; i < n; i++) {
        if (!punctuation && is_punctuation(code[i])) {
            continue;
        }
        if (code[i] == 0x130) { /* the one letter whose lower case is two code points: i and a dot above */
            out[used++] = 'i';
            out[used++] = 0x307;
        } else {
            out[used++] = code[i] == 0x3a3 && is_final_sigma(code, n, i) ? 0x3c2 : utf8proc_tolower(code[i]);
        }
    }
    free(code);
    return (ptrdiff_t)used;
}

char *ba_text_lower(const char *text, bool punctuation) {
    size_t len = strlen(text), used = 0;
    int32_t *code = malloc((len + 1) * sizeof *code);
    char *out = malloc(4 * len + 1);
    ptrdiff_t n = code && out ? read_lower(text, punctuation, code) : -1;
    for (ptrdiff_t i = 0; i < n; i++) {
        used += (size_t)utf8proc_encode_char(code[i], (utf8proc_uint8_t *)out + used);
    }
    free(code);
    if (n < 0) {
        free(out);
        return NULL;
    }
    out[used] = '\0';
    return out;
}

/* Words of code points [n] as text, without articles and with single spaces; returns its bytes. */
static size_t write_words(const int32_t *code, size_t n, char *out) {
    size_t used = 0;
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
    return used;
}

char *ba_squad_normalise(const char *text) {
    size_t len = strlen(text);
    int32_t *code = malloc((len + 1) * sizeof *code);
    char *out = malloc(4 * len + 1);
    ptrdiff_t n = code && out ? read_lower(text, false, code) : -1;
    if (n < 0) {
        free(out);
        out = NULL;
    } else {
        out[write_words(code, (size_t)n, out)] = '\0';
    }
    free(code);
    return out;
}

/* The value of a decimal digit of any script, or -1. Unicode has them in runs of ten. */
static int digit_of(int32_t c) {
    int32_t zero = c;
    if (utf8proc_category(c) != UTF8PROC_CATEGORY_ND) {
        return -1;
    }
    while (utf8proc_category(zero - 1) == UTF8PROC_CATEGORY_ND) {
        zero--;
    }
    return (c - zero) % 10;
}

/* A number's text in ASCII, without the spaces around it and the underscores between its digits; false: it has characters
 * that no number has. */
static bool write_ascii(const int32_t *code, size_t n, char *out) {
    size_t from = 0, used = 0;
    while (from < n && is_space(code[from])) {
        from++;
    }
    while (n > from && is_space(code[n - 1])) {
        n--;
    }
    for (size_t i = from; i < n; i++) {
        int digit = digit_of(code[i]);
        if (digit >= 0) {
            out[used++] = (char)('0' + digit);
        } else if (code[i] == '_') {
            if (i == from || i + 1 == n || digit_of(code[i - 1]) < 0 || digit_of(code[i + 1]) < 0) {
                return false;
            }
        } else if (code[i] > ' ' && code[i] < 127) {
            out[used++] = (char)code[i];
        } else {
            return false;
        }
    }
    out[used] = '\0';
    return true;
}

/* What Python's float() takes, in ASCII: C takes hexadecimal and "nan(..)" too. */
static bool is_float(const char *s) {
    s += *s == '+' || *s == '-';
    if (strcasecmp(s, "inf") == 0 || strcasecmp(s, "infinity") == 0 || strcasecmp(s, "nan") == 0) {
        return true;
    }
    static const char digits[] = "0123456789";
    size_t whole = strspn(s, digits), part = 0;
    s += whole;
    if (*s == '.') {
        part = strspn(++s, digits);
        s += part;
    }
    if (!whole && !part) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s += 1 + (s[1] == '+' || s[1] == '-');
        size_t n = strspn(s, digits);
        s += n;
        return n && !*s;
    }
    return !*s;
}

bool ba_python_float(const char *text, double *out) {
    size_t len = strlen(text);
    int32_t *code = malloc((len + 1) * sizeof *code);
    char *ascii = malloc(len + 1);
    bool is = code && ascii && write_ascii(code, decode(text, code), ascii) && is_float(ascii);
    *out = is ? strtod(ascii, NULL) : NAN;
    free(code);
    free(ascii);
    return is;
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
