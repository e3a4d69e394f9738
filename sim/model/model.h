/* A model file: shape, weights and vocabulary, mapped and checked, never trusted. GGUF file or Hugging Face folder.
 *
 * Weights are views into the mapping; rows of Q and K are presented in half-split rotary order (pair i is dims i and
 * i + head_dim / 2) through row_order, also where the file keeps pairs together. Architectures are table rows in arch.c. */
#ifndef BA_MODEL_H
#define BA_MODEL_H

#include "kernels/base/dtype.h"
#include "kernels/base/error.h"
#include "shape.h"
#include "sim/tokenizer/vocab.h"

typedef struct ba_model ba_model;

typedef enum ba_tensor {
    BA_T_EMBED,
    BA_T_HEAD, /* the embedding itself if tied */
    BA_T_FINAL_NORM,
    BA_T_ATTN_NORM, /* from here on one per layer */
    BA_T_Q,
    BA_T_K,
    BA_T_V,
    BA_T_O,
    BA_T_Q_NORM,
    BA_T_K_NORM,
    BA_T_POST_ATTN_NORM,
    BA_T_FFN_NORM,
    BA_T_GATE,
    BA_T_UP,
    BA_T_DOWN,
    BA_T_POST_FFN_NORM,
    BA_T_COUNT
} ba_tensor;

typedef struct ba_tensor_view {
    ba_dtype type;
    size_t rows, cols;         /* a vector has rows = 1 */
    const void *data;          /* NULL in a model of random weights: made of `seed`, as in kernels/backend.h */
    const float *bias;         /* [rows] or NULL */
    const uint32_t *row_order; /* [rows] or NULL, as in kernels/backend.h */
    uint64_t seed;
} ba_tensor_view;

/* Opens and validates everything. Without need_weights it is the vocabulary that counts: no tensor is looked at, and a
 * shape that cannot be read (a vocabulary-only GGUF, an architecture that cannot be run) stays zero. 0, or -1 and err
 * that names the file, the field and the fix. */
int ba_model_open(const char *path, bool need_weights, ba_model **out, char err[BA_ERR_LEN]);
/* A model of a shape with random weights in bf16, without file or vocabulary; gains of norms are 1. Any two with the same
 * shape and seed are the same on every backend. 0, or -1 and err. */
int ba_model_random(const ba_shape *shape, const char *name, uint64_t seed, ba_model **out, char err[BA_ERR_LEN]);
void ba_model_close(ba_model *m);

const ba_shape *ba_model_shape(const ba_model *m);
const ba_vocab *ba_model_vocab(const ba_model *m);
/* How conversations are worded: "auto" (the model's chat template), "none" (plain text) or the name of a family; and the
 * path of a template that takes the place of the model's own, or NULL. Before a tokenizer is made of the vocabulary. 0,
 * or -1 and err. */
int ba_model_choose_chat(ba_model *m, const char *choice, const char *template_path, char err[BA_ERR_LEN]);
/* Whether the file or folder holds tensors at all, looked at or not. */
bool ba_model_has_weights(const ba_model *m);
const char *ba_model_path(const ba_model *m);
const char *ba_model_name(const ba_model *m); /* general.name or folder name */
/* false if the architecture has no such tensor. */
bool ba_model_tensor(const ba_model *m, ba_tensor t, size_t layer, ba_tensor_view *out);
/* What a Hugging Face folder calls a tensor; end: "weight", "bias". */
void ba_tensor_name(const ba_shape *s, ba_tensor t, size_t layer, const char *end, char *out, size_t size);
/* Gain of a norm as float, [n], owned by the model (gemma's 1 + w already applied); NULL if there is none. */
const float *ba_model_gain(const ba_model *m, ba_tensor t, size_t layer, size_t *n);
/* Embeddings of link tokens, [*n, d_model], which have the ids from shape.vocab on; NULL: there are none. */
const float *ba_model_links(const ba_model *m, size_t *n);
/* Gives the model n link tokens; takes `embedding` (NULL: they are yet to be trained). */
void ba_model_set_links(ba_model *m, float *embedding, size_t n);
/* XXH3-128 of the weights' bytes and the shape: names the model in store keys and traces. 32 hex digits. Computed at
 * the first call. */
const char *ba_model_hash(ba_model *m);
/* XXH3-128 of everything in the vocabulary that decides ids. 32 hex digits. Computed at the first call. */
const char *ba_model_vocab_hash(ba_model *m);
/* "Q4_1 (211), F32 (61)": types and how many tensors have them; bytes of the files. */
const char *ba_model_types(const ba_model *m);
uint64_t ba_model_file_bytes(const ba_model *m);

#endif
