/* What a tiny model consists of, shared by its two writers. */
#ifndef BA_TINY_PARTS_H
#define BA_TINY_PARTS_H

#include "tiny.h"

#include <stdio.h>

/* Options with every default filled in, and what the architecture asks for. */
typedef struct ba_tiny_spec {
    ba_tiny_options o;
    size_t vocab;
    bool gemma, bias, qk_norm, interleaved; /* interleaved: rotary order of Q and K rows in a GGUF file */
} ba_tiny_spec;

/* One stored tensor. A vector has rows = 1. */
typedef struct ba_tiny_part {
    ba_tensor tensor;
    size_t layer, rows, cols;
    bool vector, bias;
    char gguf[64], hf[96];
} ba_tiny_part;

ba_tiny_spec ba_tiny_resolve(const ba_tiny_options *opt);
/* malloc'ed list; NULL: out of memory. */
ba_tiny_part *ba_tiny_list(const ba_tiny_spec *spec, size_t *n);
/* Element (row, col) in half-split order, gains as they are multiplied. */
double ba_tiny_element(const ba_tiny_spec *spec, const ba_tiny_part *part, size_t row, size_t col);

/* Text, type and SentencePiece score of a token; id < vocab. */
typedef struct ba_tiny_token {
    char text[32];
    ba_token_type type;
    float score;
} ba_tiny_token;
ba_tiny_token ba_tiny_token_at(const ba_tiny_spec *spec, size_t id);
size_t ba_tiny_merges(const ba_tiny_spec *spec);
/* "left right" */
const char *ba_tiny_merge_at(const ba_tiny_spec *spec, size_t i);
const char *ba_tiny_chat_template(const ba_tiny_spec *spec);

/* Bytes that grow. After a failed allocation `failed` stays set and nothing more is added. */
typedef struct ba_tiny_bytes {
    unsigned char *p;
    size_t n, room;
    bool failed;
} ba_tiny_bytes;
void ba_tiny_put(ba_tiny_bytes *b, const void *data, size_t n);
void ba_tiny_put_element(ba_tiny_bytes *b, ba_dtype type, double value);
/* Writes the buffers one after the other. 0 or -1. */
int ba_tiny_write(const char *path, const ba_tiny_bytes *const *part, size_t n);

#endif
