/* Unicode normal forms (UAX #15) in linear time, as the Python library `tokenizers` computes them. */
#ifndef BA_NORMAL_FORM_H
#define BA_NORMAL_FORM_H

#include <stddef.h>

typedef enum ba_form { BA_NFC, BA_NFD, BA_NFKC, BA_NFKD } ba_form;

/* The normal form of text[0..n), valid UTF-8. *out is malloc'ed, not NUL-terminated. *steps, if not NULL, grows by the
 * work done: code points moved, counted so that a test can check that it grows linearly. 0, or -1: out of memory. */
int ba_normal_form(ba_form form, const char *text, size_t n, char **out, size_t *len, size_t *steps);

#endif
