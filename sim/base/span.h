/* Borrowed bytes: a token's text in a model file, a tensor's name in its table. */
#ifndef BA_SPAN_H
#define BA_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct ba_span { /* not NUL-terminated; borrowed */
    const char *s;
    size_t n;
} ba_span;

static inline bool ba_span_is(ba_span span, const char *text) {
    return span.n == strlen(text) && memcmp(span.s, text, span.n) == 0;
}

#endif
