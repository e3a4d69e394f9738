#include "utf8.h"

#include "kernels/base/sizes.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

size_t ba_utf8_next(const char *text, size_t n, int32_t *code) {
    if (n == 0) {
        return 0;
    }
    unsigned char first = (unsigned char)text[0];
    if (first < 0x80) {
        *code = first;
        return 1;
    }
    utf8proc_int32_t got;
    utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)text, n < 4 ? (utf8proc_ssize_t)n : 4, &got);
    if (len <= 0) {
        return 0;
    }
    *code = got;
    return (size_t)len;
}

size_t ba_utf8_valid(const char *text, size_t n) {
    size_t end = 0, len;
    int32_t code;
    while ((len = ba_utf8_next(text + end, n - end, &code)) > 0) {
        end += len;
    }
    return end;
}

char *ba_utf8_text(const char *bytes, size_t n) {
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t room;
    char *text = ba_multiply_sizes(n, sizeof replacement, &room) ? malloc(room + 1) : NULL, *end = text;
    for (size_t i = 0; text && i < n;) {
        size_t valid = ba_utf8_valid(bytes + i, n - i);
        memcpy(end, bytes + i, valid);
        end += valid;
        i += valid;
        if (i < n) {
            end = stpcpy(end, replacement);
            i++;
        }
    }
    if (text) {
        *end = 0;
    }
    return text;
}
