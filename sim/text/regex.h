/* Regular expressions as the Python library `tokenizers` has them: Oniguruma, Ruby syntax, UTF-8. Its Unicode version is
 * that of the system's library. How long a search takes depends on the expression; Oniguruma gives up at its limit of
 * retries, and then so does the scan. */
#ifndef BA_REGEX_H
#define BA_REGEX_H

#include "kernels/base/error.h"
#include "sim/base/span.h"

typedef struct ba_regex ba_regex;

/* 0, or -1 and err: not a regular expression. */
int ba_regex_new(ba_span pattern, ba_regex **out, char err[BA_ERR_LEN]);
void ba_regex_free(ba_regex *r);

typedef int (*ba_match)(void *to, size_t start, size_t end);

/* Calls `found` for every match in text[0..n) from left to right: they do not overlap, and none is empty right after
 * another. 0, or -1: out of memory, over the limit, or `found` returned other than 0. */
int ba_regex_scan(const ba_regex *r, const char *text, size_t n, ba_match found, void *to);

#endif
