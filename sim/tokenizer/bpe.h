/* Byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM): pieces of a pre-tokeniser, bytes merged by ranked pairs. */
#ifndef BA_BPE_H
#define BA_BPE_H

#include "sim/base/ids.h"
#include "vocab_bytes.h"

typedef struct ba_bpe ba_bpe;

typedef struct ba_bpe_options {
    bool whole_word_first; /* a piece that is a token is taken whole, whatever the merges say ("ignore_merges") */
    bool nfc;              /* text is brought to normalisation form C first */
} ba_bpe_options;

/* Borrows the pieces. options NULL: those of the family. 0, or -1 and err: unknown family of pre-tokenisers; merges of
 * what is not in the vocabulary. */
int ba_bpe_new(const ba_vocab_bytes *pieces, const char *family, const ba_bpe_options *options, ba_bpe **out,
               char err[BA_ERR_LEN]);
void ba_bpe_free(ba_bpe *b);

/* Appends the ids of text[0..n), any bytes. An invalid byte is a token by itself, as if text ended before it and began
 * again after it. A byte that has no token is left out, as the Python tokenizers do. 0, or -1: out of memory. */
int ba_bpe_encode(const ba_bpe *b, const char *text, size_t n, ba_ids *out);

#endif
