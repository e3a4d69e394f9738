#include "utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

char *ba_utf8_text(const char *bytes, size_t n) {
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t room;
    char *text = __builtin_mul_overflow(n, sizeof replacement - 1, &room) ? NULL : malloc(room + 1), *end = text;
    for (size_t i = 0; text && i < n;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)bytes + i, (utf8proc_ssize_t)(n - i), &code);
        if (len > 0) {
            memcpy(end, bytes + i, (size_t)len);
            end += len;
            i += (size_t)len;
        } else {
            end = stpcpy(end, replacement);
            i++;
        }
    }
    if (text) {
        *end = 0;
    }
    return text;
}
