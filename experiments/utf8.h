/* Text that models write need not be valid UTF-8: a token may be a part of a character. */
#ifndef BA_UTF8_H
#define BA_UTF8_H

#include <stddef.h>

/* The bytes as NUL-terminated text, in which U+FFFD stands for what is not valid UTF-8. Freed with free; NULL: out of
 * memory. */
char *ba_utf8_text(const char *bytes, size_t n);

#endif
