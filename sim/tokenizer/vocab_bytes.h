/* The tokens of a vocabulary as the bytes that they stand for, and the way back from bytes to a token. */
#ifndef BA_VOCAB_BYTES_H
#define BA_VOCAB_BYTES_H

#include "kernels/base/error.h"
#include "sim/text/span_table.h"
#include "vocab.h"

typedef struct ba_vocab_bytes {
    const ba_vocab *vocab;
    ba_span *bytes;       /* [vocab->n]: byte-level alphabet undone, or U+2581 as space and <0xXX> as a byte */
    char *arena;          /* what bytes points into */
    int32_t byte_id[256]; /* token of a single byte, -1 if there is none */
    size_t longest;
    ba_span_table table; /* over bytes */
} ba_vocab_bytes;

/* 0, or -1 and err. Borrows the vocabulary. */
int ba_vocab_bytes_init(ba_vocab_bytes *p, const ba_vocab *vocab, char err[BA_ERR_LEN]);
void ba_vocab_bytes_free(ba_vocab_bytes *p);

/* Token with exactly these bytes, or -1. Where several have them, one that plain text may become comes first. */
int32_t ba_vocab_bytes_find(const ba_vocab_bytes *p, const char *bytes, size_t n);
/* May plain text become this token? Never a control token, whatever its text looks like. */
bool ba_vocab_bytes_plain(const ba_vocab_bytes *p, int32_t id);

/* Are all characters of the text in GPT-2's alphabet of bytes? plain: and does each stand for itself? */
bool ba_is_byte_level(ba_span text, bool plain);
/* Bytes that a token's text in the file represents; out has room for text.n bytes. Returns how many. */
size_t ba_piece_decode(ba_vocab_kind kind, ba_token_type type, ba_span text, char *out);

#endif
