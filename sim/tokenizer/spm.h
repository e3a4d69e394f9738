/* BPE as SentencePiece does it (Llama 2, Gemma; Kudo and Richardson, arXiv 1808.06226): code points merged by the
 * score of what they become, bytes for what has no token. */
#ifndef BA_SPM_H
#define BA_SPM_H

#include "sim/base/ids.h"
#include "vocab_bytes.h"

/* U+2581 is how these vocabularies write a space, and in a text it is one. Returns the length; out has room for n. */
size_t ba_spm_normalise(const char *text, size_t n, char *out);

/* Appends the ids of text[0..n), any bytes; `prefix` puts a space before it. A code point or an invalid byte that has
 * no token becomes its <0xXX> tokens; without these, the unknown token, one for a run of them; without that, nothing.
 * The text is in normal form: ba_spm_normalise. 0, or -1: out of memory. */
int ba_spm_encode(const ba_vocab_bytes *pieces, const char *text, size_t n, bool prefix, ba_ids *out);

#endif
