#include "line.h"

#include "sim/base/grow.h"
#include "sim/base/utf8.h"
#include "unicode.h"
#include <stdlib.h>
#include <string.h>

static int reserve(ba_line *l, size_t n) {
    if (l->most && n > l->most - l->n) {
        l->over = true;
        return -1;
    }
    return ba_grow(&l->s, &l->cap, l->n + n, 1) || ba_grow(&l->top, &l->cap_top, l->n + n, 1) ? -1 : 0;
}

int ba_line_put(ba_line *l, const char *s, size_t n, bool top) {
    if (n == 0) {
        return 0;
    }
    if (reserve(l, n)) {
        return -1;
    }
    memcpy(l->s + l->n, s, n);
    memset(l->top + l->n, top, n);
    l->n += n;
    return 0;
}

int ba_line_put_code(ba_line *l, int32_t code, bool top) {
    char bytes[4];
    return ba_line_put(l, bytes, ba_utf8_put(code, bytes), top);
}

int ba_line_copy(ba_line *l, const ba_line *from, size_t at, size_t n) {
    if (n == 0) {
        return 0;
    }
    if (reserve(l, n)) {
        return -1;
    }
    memcpy(l->s + l->n, from->s + at, n);
    memcpy(l->top + l->n, from->top + at, n);
    l->n += n;
    return 0;
}

void ba_line_clear(ba_line *l) {
    l->n = 0;
    l->over = false;
    l->why = NULL;
}

void ba_line_free(ba_line *l) {
    free(l->s);
    free(l->top);
    *l = (ba_line){0};
}

size_t ba_line_next(const ba_line *l, size_t at, int32_t *code) {
    return ba_utf8_next(l->s + at, l->n - at, code);
}
