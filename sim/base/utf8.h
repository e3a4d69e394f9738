/* UTF-8, one code point at a time, in untrusted bytes. */
#ifndef BA_UTF8_H
#define BA_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length in bytes of the code point at the beginning of text[0..n), and the code point itself; 0 if there is none (n is
 * 0, or the bytes are invalid: overlong, surrogate, stray or cut off). */
size_t ba_utf8_next(const char *text, size_t n, int32_t *code);

/* Length of the longest prefix of text[0..n) that is valid UTF-8. */
size_t ba_utf8_valid(const char *text, size_t n);

/* The bytes as NUL-terminated text, with U+FFFD in place of every byte that is not valid UTF-8. Freed with free; NULL:
 * out of memory. */
char *ba_utf8_text(const char *bytes, size_t n);

#endif
