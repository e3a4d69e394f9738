/* UTF-8, one code point at a time, over bytes that may be anything. */
#ifndef BA_UTF8_H
#define BA_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length in bytes of the code point that text[0..n) begins with, and the code point itself; 0 if it begins with none
 * (n is 0, or the first byte is invalid: overlong, surrogate, stray or cut off). */
size_t ba_utf8_next(const char *text, size_t n, int32_t *code);

/* Length of the longest valid beginning of text[0..n). */
size_t ba_utf8_valid(const char *text, size_t n);

/* The bytes as NUL-terminated text, in which U+FFFD stands for every byte that is not valid UTF-8. Freed with free;
 * NULL: out of memory. */
char *ba_utf8_text(const char *bytes, size_t n);

#endif
