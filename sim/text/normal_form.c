#include "normal_form.h"

#include "sim/base/grow.h"
#include "sim/base/utf8.h"
#include "unicode.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Most code points that one decomposes to is 18 (U+FDFA). */
enum { LONGEST = 18, CLASSES = 256, SHORT_RUN = 32 };

typedef struct codes {
    utf8proc_int32_t *code; /* [n] */
    size_t n, cap;
    utf8proc_int32_t *sorted; /* [cap_sorted] room to order a run of marks */
    size_t cap_sorted, steps;
} codes;

/* STABLE leaves compositions alone that later Unicode versions added, as the models' makers had it. */
static utf8proc_option_t options(ba_form form) {
    utf8proc_option_t o = UTF8PROC_STABLE;
    o |= form == BA_NFC || form == BA_NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
    return form == BA_NFKC || form == BA_NFKD ? o | UTF8PROC_COMPAT : o;
}

static int combining_class(utf8proc_int32_t code) {
    return code < 0x300 || ba_is_young(code) ? 0 : utf8proc_get_property(code)->combining_class;
}

static int decompose(codes *c, ba_form form, const char *text, size_t n) {
    int32_t code;
    for (size_t i = 0, len; i < n && (len = ba_utf8_next(text + i, n - i, &code)); i += len) {
        int bound = 0;
        if (ba_grow(&c->code, &c->cap, c->n + LONGEST, sizeof *c->code)) {
            return -1;
        }
        utf8proc_ssize_t got = code < 0x80 || ba_is_young(code)
                                   ? 0
                                   : utf8proc_decompose_char(code, c->code + c->n, LONGEST, options(form), &bound);
        if (got > LONGEST || got < 0) {
            return -1;
        }
        if (got == 0) {
            c->code[c->n] = code;
            got = 1;
        }
        c->n += (size_t)got;
        c->steps += (size_t)got;
    }
    return 0;
}

/* Few marks: insertion, which is what text has. */
static void order_short(codes *c, utf8proc_int32_t *run, size_t n) {
    for (size_t i = 1; i < n; i++) {
        utf8proc_int32_t code = run[i];
        size_t at = i;
        for (int class = combining_class(code); at > 0 && combining_class(run[at - 1]) > class; at--, c->steps++) {
            run[at] = run[at - 1];
        }
        run[at] = code;
    }
}

/* Many marks: counted by class, each put in its place once. */
static int order_long(codes *c, utf8proc_int32_t *run, size_t n) {
    size_t first[CLASSES + 1] = {0};
    if (ba_grow(&c->sorted, &c->cap_sorted, n, sizeof *c->sorted)) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        first[combining_class(run[i]) + 1]++;
    }
    for (size_t k = 1; k <= CLASSES; k++) {
        first[k] += first[k - 1];
    }
    for (size_t i = 0; i < n; i++) {
        c->sorted[first[combining_class(run[i])]++] = run[i];
    }
    memcpy(run, c->sorted, n * sizeof *run);
    c->steps += 2 * n;
    return 0;
}

/* Canonical ordering: marks between two starters in the order of their classes, equal ones as they were. */
static int order(codes *c) {
    for (size_t i = 0, end; i < c->n; i = end) {
        end = i + 1;
        if (combining_class(c->code[i]) == 0) {
            continue;
        }
        while (end < c->n && combining_class(c->code[end]) != 0) {
            end++;
        }
        if (end - i <= SHORT_RUN) {
            order_short(c, c->code + i, end - i);
        } else if (order_long(c, c->code + i, end - i)) {
            return -1;
        }
    }
    return 0;
}

/* Composes each stretch between code points that the library does not know, which nothing composes with. */
static int compose(codes *c, ba_form form) {
    size_t to = 0;
    for (size_t i = 0, end; i < c->n; i = end) {
        for (end = i; end < c->n && !ba_is_young(c->code[end]); end++) {
        }
        utf8proc_ssize_t got = (utf8proc_ssize_t)(end - i);
        if (end - i > 1) {
            got = utf8proc_normalize_utf32(c->code + i, got, options(form));
        }
        if (got < 0) {
            return -1;
        }
        memmove(c->code + to, c->code + i, (size_t)got * sizeof *c->code);
        to += (size_t)got;
        if (end < c->n) {
            c->code[to++] = c->code[end++];
        }
    }
    c->steps += c->n;
    c->n = to;
    return 0;
}

static int write(const codes *c, char **out, size_t *len) {
    size_t n = 0;
    *out = malloc(4 * c->n + 1);
    if (!*out) {
        return -1;
    }
    for (size_t i = 0; i < c->n; i++) {
        n += ba_utf8_put(c->code[i], *out + n);
    }
    *len = n;
    return 0;
}

static int form_of(codes *c, ba_form form, const char *text, size_t n, char **out, size_t *len) {
    if (decompose(c, form, text, n) || order(c)) {
        return -1;
    }
    return ((form == BA_NFC || form == BA_NFKC) && compose(c, form)) || write(c, out, len) ? -1 : 0;
}

int ba_normal_form(ba_form form, const char *text, size_t n, char **out, size_t *len, size_t *steps) {
    codes c = {0};
    *out = NULL;
    int rc = form_of(&c, form, text, n, out, len);
    if (steps) {
        *steps += c.steps;
    }
    free(c.code);
    free(c.sorted);
    return rc;
}
