/* Numbers as people write and read them: "2K-32K*2" in, "12.6 MB" out. */
#include "cli.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LIST = 1 << 16 };

ba_margins ba_margins_of(const ba_common *c) {
    return (ba_margins){c->margin / 100, c->nll_margin};
}

/* One size at *text, which then points after it. 0 or -1. */
static int take_size(const char **text, uint64_t *value) {
    const char *s = *text;
    uint64_t v = 0, unit = 1;
    if (!isdigit((unsigned char)*s)) {
        return -1;
    }
    for (; isdigit((unsigned char)*s); s++) {
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v)) {
            return -1;
        }
    }
    switch (toupper((unsigned char)*s)) {
    case 'K':
        unit = UINT64_C(1) << 10;
        break;
    case 'M':
        unit = UINT64_C(1) << 20;
        break;
    case 'G':
        unit = UINT64_C(1) << 30;
        break;
    default:
        break;
    }
    if (unit > 1) {
        s++;
    }
    if (__builtin_mul_overflow(v, unit, value)) {
        return -1;
    }
    *text = s;
    return 0;
}

int ba_parse_size(const char *text, uint64_t *value, char err[BA_ERR_LEN]) {
    const char *s = text;
    if (take_size(&s, value) != 0 || *s) {
        return ba_fail(err, "'%s' is not a size: a whole number, optionally with K, M or G (powers of 1024)", text);
    }
    return 0;
}

enum { NO_RANGE = -1, NO_STEP = -2 };

/* One item of a list: A, A-B+STEP or A-B*FACTOR. 0, NO_RANGE, or NO_STEP: A-B alone, which may be meant either way. */
static int take_range(const char **text, uint64_t *a, uint64_t *b, char *op, uint64_t *by) {
    if (take_size(text, a) != 0) {
        return NO_RANGE;
    }
    *b = *a;
    *op = '+';
    *by = 1;
    if (**text == '-') {
        ++*text;
        if (take_size(text, b) != 0) {
            return NO_RANGE;
        }
        if (**text != '+' && **text != '*') {
            return NO_STEP;
        }
        *op = *(*text)++;
        if (take_size(text, by) != 0) {
            return NO_RANGE;
        }
    }
    bool moves = *op == '+' ? *by >= 1 : *by >= 2 && *a >= 1;
    return *a <= *b && moves ? 0 : NO_RANGE;
}

int ba_parse_sizes(const char *text, size_t **list, size_t *n, char err[BA_ERR_LEN]) {
    const char *s = text;
    size_t used = 0;
    size_t *out = malloc(MAX_LIST * sizeof *out);
    if (!out) {
        return ba_fail(err, "out of memory");
    }
    for (;;) {
        uint64_t a, b, by;
        char op;
        const char *item = s;
        int rc = take_range(&s, &a, &b, &op, &by);
        if (rc == NO_STEP && (!*s || *s == ',')) {
            free(out);
            int len = (int)(s - item), first = (int)strcspn(item, "-");
            return ba_fail(err,
                           "'%.*s' has no step: write A-B*F (each number F times the one before), as %.*s*2, or A-B+S "
                           "(each number S more), as %.*s+%.*s",
                           len, item, len, item, len, item, first, item);
        }
        if (rc || (*s && *s != ',')) {
            break;
        }
        for (uint64_t v = a;;) {
            if (used == MAX_LIST) {
                free(out);
                return ba_fail(err, "'%s' lists more than %d numbers", text, MAX_LIST);
            }
            out[used++] = (size_t)v;
            bool past = op == '+' ? __builtin_add_overflow(v, by, &v) : __builtin_mul_overflow(v, by, &v);
            if (past || v > b) {
                break;
            }
        }
        if (!*s) {
            size_t *fit = realloc(out, used * sizeof *out);
            *list = fit ? fit : out;
            *n = used;
            return 0;
        }
        s++;
    }
    free(out);
    return ba_fail(err, "'%s' is not a list of sizes like 50,512,1K,2K-32K*2 or 100-500+100", text);
}

void ba_print_bytes(char *out, size_t size, double bytes) {
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t i = 0;
    for (; fabs(bytes) >= 999.5 && i + 1 < sizeof unit / sizeof *unit; i++) {
        bytes /= 1000;
    }
    snprintf(out, size, i == 0 ? "%.0f %s" : "%.3g %s", bytes, unit[i]);
}

void ba_print_seconds(char *out, size_t size, double s) {
    double a = fabs(s);
    if (isnan(s)) {
        snprintf(out, size, "-");
        return;
    }
    if (a < 999.5e-9) {
        snprintf(out, size, "%.3g ns", s * 1e9);
    } else if (a < 999.5e-6) {
        snprintf(out, size, "%.3g us", s * 1e6);
    } else if (a < 999.5e-3) {
        snprintf(out, size, "%.3g ms", s * 1e3);
    } else if (a < 600) {
        snprintf(out, size, a < 99.95 ? "%.3g s" : "%.0f s", s);
    } else if (a < 7200) {
        snprintf(out, size, "%.0f min", s / 60);
    } else {
        snprintf(out, size, a < 99.95 * 3600 ? "%.3g h" : "%.0f h", s / 3600);
    }
}
