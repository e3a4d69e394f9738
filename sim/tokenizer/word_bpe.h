/* The BPE model of a tokenizer.json: characters of one piece, merged by exactly the listed pairs, with byte tokens, the
 * unknown token, and the prefix and suffix of symbols where the file has them. */
#ifndef BA_WORD_BPE_H
#define BA_WORD_BPE_H

#include "kernels/base/error.h"
#include "sim/base/ids.h"
#include "sim/text/merge.h"
#include "vocab.h"

typedef struct ba_word_bpe ba_word_bpe;

/* Borrows the vocabulary, which has a recipe. 0, or -1 and err: a merge of what is not in the vocabulary. */
int ba_word_bpe_new(const ba_vocab *vocab, ba_word_bpe **out, char err[BA_ERR_LEN]);
void ba_word_bpe_free(ba_word_bpe *b);

/* Appends the ids of a piece, valid UTF-8. special: text may become a control token; otherwise it never does: a
 * piece that would is merged again without the merges that make one. *lost grows by the bytes that no token represents. 0, or -1: out of memory. */
int ba_word_bpe_encode(const ba_word_bpe *b, ba_merger *m, const char *piece, size_t n, bool special, ba_ids *out,
                       size_t *lost);
/* Has the byte a token: as a letter of GPT-2's alphabet, or as "<0xNN>"? */
bool ba_word_bpe_has_byte(const ba_word_bpe *b, unsigned char byte, bool letter);
/* Appends the token of a byte that is no UTF-8, if the model has one for bytes or for the unknown. */
int ba_word_bpe_byte(const ba_word_bpe *b, unsigned char byte, bool letter, ba_ids *out, size_t *lost);

#endif
