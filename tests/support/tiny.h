/* Tiny random-weight models, written by the tests themselves: they prove the whole path where no real model can be had.
 *
 * Values come from SplitMix64 by (seed, tensor, layer), spread like 1 / sqrt(fan in). A GGUF file and a folder with the
 * same options hold the same model: only names, row order and stored norms differ, as the formats ask.
 *
 * Vocabulary (BPE, the default): 0 <|endoftext|> (BOS), 1 <|im_start|>, 2 <|im_end|> (EOS), 3 + b for byte b, then one
 * token for each merge. SentencePiece: 0 <unk>, 1 <s>, 2 </s>, 3 + b for byte <0xNN>, U+2581, printable ASCII, one
 * token for each merge, <start_of_turn>, <end_of_turn>. */
#ifndef BA_TINY_H
#define BA_TINY_H

#include "kernels/base/dtype.h"
#include "sim/model/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Value types of GGUF metadata that options can write. */
enum { BA_TINY_U32 = 4, BA_TINY_I32 = 5, BA_TINY_F32 = 6, BA_TINY_BOOL = 7, BA_TINY_STRING = 8, BA_TINY_DROP = 99 };

/* One metadata key: added, put in place of the default with the same key, or (BA_TINY_DROP) left out. */
typedef struct ba_tiny_meta {
    const char *key;
    int type;
    double number;
    const char *text;
} ba_tiny_meta;

/* What the file's tensor table will say: an edit changes the words, never the data. */
typedef struct ba_tiny_entry {
    char name[96];
    uint32_t n_dims;
    uint64_t dim[4]; /* fastest first: cols, rows */
    uint32_t ggml_type;
    uint64_t offset;
    bool omit;
} ba_tiny_entry;

/* All zero is a llama of 2 layers in F32. */
typedef struct ba_tiny_options {
    const char *arch;                                     /* "llama", "qwen2", "qwen3", "gemma3" */
    size_t layers;                                        /* 2; gemma3: 6, so that one is global */
    size_t d_model, heads, kv_heads, head_dim, d_ff, ctx; /* 64, 4, 2, 16, 96, 2048 */
    ba_dtype type;                                        /* of the matrices; vectors are F32 */
    bool untied, spm, bias;                               /* bias: on Q, K, V (always in qwen2) */
    const float *freq_factors;                            /* [head_dim / 2]: adds rope_freqs.weight; or NULL */
    uint64_t seed;
    const ba_tiny_meta *meta; /* ends with key NULL; or NULL */
    void (*edit)(void *arg, ba_tiny_entry *entry);
    void *arg;
    size_t shards;      /* of a folder: 0 or 1 = one file */
    const char *config; /* of a folder: JSON object whose members replace those of config.json */
} ba_tiny_options;

/* Both: opt may be NULL; 0, or -1 if the file cannot be written. The folder must exist. */
int ba_tiny_gguf(const char *path, const ba_tiny_options *opt);
int ba_tiny_folder(const char *path, const ba_tiny_options *opt);

/* Tokens in the vocabulary. */
size_t ba_tiny_vocab(const ba_tiny_options *opt);

/* The value that element (row, col) of a tensor has before it is stored (bias: col = SIZE_MAX). */
double ba_tiny_value(const ba_tiny_options *opt, ba_tensor tensor, size_t layer, size_t row, size_t col);

#endif
