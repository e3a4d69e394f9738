#include "pretokenize.h"

#include "sim/base/utf8.h"
#include "unicode.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef enum char_kind { END, LETTER, NUMBER, SPACE, OTHER } char_kind;

typedef struct character {
    int32_t code;
    size_t n; /* bytes */
    char_kind kind;
} character;

static char_kind kind_of(int32_t code) {
    if (code < 0x80) {
        int lower = code | 0x20;
        return lower >= 'a' && lower <= 'z'               ? LETTER
               : code >= '0' && code <= '9'               ? NUMBER
               : code == ' ' || (code >= 9 && code <= 13) ? SPACE
                                                          : OTHER;
    }
    return ba_is_letter(code) ? LETTER : ba_is_number(code) ? NUMBER : ba_is_white(code) ? SPACE : OTHER;
}

static character at(const char *text, size_t n, size_t i) {
    character c = {0};
    c.n = ba_utf8_next(text + i, n - i, &c.code);
    c.kind = c.n ? kind_of(c.code) : END;
    return c;
}

/* End of the run of that kind that begins at i. */
static size_t run_end(const char *text, size_t n, size_t i, char_kind kind) {
    for (character c; (c = at(text, n, i)).kind == kind;) {
        i += c.n;
    }
    return i;
}

static bool is_newline(char c) {
    return c == '\n' || c == '\r';
}

/* 's 't 'm 'd 'll 've 're; in any case if so asked, U+017F (long s) included, since it folds to s. 0: none of them. */
static size_t contraction(const char *text, size_t n, bool any_case) {
    static const char *const word[] = {"s", "t", "m", "d", "ll", "ve", "re"};
    if (n < 2 || text[0] != '\'') {
        return 0;
    }
    if (any_case && n >= 3 && memcmp(text + 1, "\xc5\xbf", 2) == 0) {
        return 3;
    }
    for (size_t i = 0; i < sizeof word / sizeof *word; i++) {
        size_t len = strlen(word[i]), same = 0;
        while (same < len && 1 + same < n) {
            char c = text[1 + same];
            c = any_case && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
            if (c != word[i][same]) {
                break;
            }
            same++;
        }
        if (same == len) {
            return 1 + len;
        }
    }
    return 0;
}

/* \s+(?!\S)|\s+ : a run of white space, without its last character where something other follows directly. */
static size_t spaces(const ba_pre *pre, const char *text, size_t n) {
    size_t end = 0, last = 0;
    character c;
    while ((c = at(text, n, end)).kind == SPACE) {
        last = end;
        end += c.n;
    }
    bool text_follows = c.kind != END && !(pre->numbers_first && c.kind == NUMBER);
    return text_follows && last > 0 ? last : end;
}

static size_t numbers(const ba_pre *pre, const char *text, size_t n, size_t i) {
    size_t count = 0;
    for (character c; (c = at(text, n, i)).kind == NUMBER && (!pre->max_numbers || count < pre->max_numbers); count++) {
        i += c.n;
    }
    return i;
}

/* '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t gpt2_next(const ba_pre *pre, const char *text, size_t n) {
    size_t len = contraction(text, n, false);
    if (len) {
        return len;
    }
    size_t i = text[0] == ' ';
    char_kind k = at(text, n, i).kind;
    if (k == LETTER || k == OTHER) {
        return run_end(text, n, i, k);
    }
    if (k == NUMBER && !(pre->numbers_first && i > 0)) {
        return numbers(pre, text, n, i);
    }
    return spaces(pre, text, n);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,max}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+
 * |\s+(?!\S)|\s+ */
static size_t llama3_next(const ba_pre *pre, const char *text, size_t n) {
    size_t len = contraction(text, n, true);
    if (len) {
        return len;
    }
    character first = at(text, n, 0);
    if (first.kind == NUMBER) {
        return numbers(pre, text, n, 0);
    }
    size_t i = first.kind == LETTER || is_newline(text[0]) ? 0 : first.n;
    if (at(text, n, i).kind == LETTER) {
        return run_end(text, n, i, LETTER);
    }
    i = text[0] == ' ';
    if (at(text, n, i).kind == OTHER) {
        i = run_end(text, n, i, OTHER);
        while (i < n && is_newline(text[i])) {
            i++;
        }
        return i;
    }
    size_t end = run_end(text, n, 0, SPACE);
    while (end > 0 && !is_newline(text[end - 1])) {
        end--;
    }
    return end ? end : spaces(pre, text, n);
}

/* Sources: the tokenizer.json files of the models after which the families are named. */
static const ba_pre families[] = {
    {.name = "smollm", .next = gpt2_next, .max_numbers = 1, .numbers_first = true},
    {.name = "gpt-2", .next = gpt2_next},
    {.name = "llama-bpe", .next = llama3_next, .max_numbers = 3, .whole_word_first = true},
    {.name = "qwen2", .next = llama3_next, .max_numbers = 1, .nfc = true},
};

const ba_pre *ba_pre_at(size_t i) {
    return i < sizeof families / sizeof *families ? &families[i] : NULL;
}

const ba_pre *ba_pre_find(const char *name, char err[BA_ERR_LEN]) {
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (name && strcmp(families[i].name, name) == 0) {
            return &families[i];
        }
        if (used < sizeof list) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", families[i].name);
        }
    }
    ba_fail(err, "tokenizer.ggml.pre \"%s\" is not a known pre-tokeniser; there is %s", name ? name : "", list);
    return NULL;
}

size_t ba_pre_next(const ba_pre *pre, const char *text, size_t n) {
    return pre->next(pre, text, n);
}
