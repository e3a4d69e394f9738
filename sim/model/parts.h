/* The inside of a model, shared by the files that open, bind and hash it. */
#ifndef BA_MODEL_PARTS_H
#define BA_MODEL_PARTS_H

#include "arch.h"
#include "model.h"
#include "sim/files/gguf.h"
#include "sim/files/safetensors.h"
#include "sim/vocab/read.h"

enum { BA_PER_LAYER = BA_T_COUNT - BA_T_ATTN_NORM };

/* A tensor of the model in its place. */
typedef struct ba_slot {
    ba_tensor_view view;
    bool present;
    float *owned;  /* gain of a norm, or bias of a matrix; decoded */
    float *merged; /* [rows, cols] what an adapter made of a matrix, or NULL */
} ba_slot;

struct ba_model {
    char *path, *name;
    const ba_arch *arch;
    ba_shape shape;
    ba_vocab vocab;
    ba_gguf *gguf;           /* one of these two */
    ba_safetensors *weights; /* NULL also where a folder has no weights */
    cJSON *config;
    ba_vocab_source vocab_source;
    const ba_file_tensor *stored;
    bool *used; /* [n_stored] */
    size_t n_stored;
    ba_slot *slot; /* [ba_slots] */
    uint32_t *q_order, *k_order;
    float *freq_factors;
    const char *prefix; /* of names in a folder */
    float *links;       /* [vocab.n_links, d_model], or NULL */
    bool random;        /* weights are made from `seed` */
    uint64_t seed;
    char types[160], hash[33], vocab_hash[33];
};

size_t ba_slots(const ba_model *m);
/* NULL: there is no such layer, or the weights are not there. */
ba_slot *ba_slot_of(const ba_model *m, ba_tensor t, size_t layer);
bool ba_is_norm(ba_tensor t);

/* Finds every tensor that the shape asks for, checks its size and type, decodes gains and biases, and fills in what the
 * shape learns from tensors: tied, qkv_bias, freq_factors. Nothing in the file may be left over. 0, or -1 and err. */
int ba_model_bind(ba_model *m, char err[BA_ERR_LEN]);
/* The same for a model without a file: every tensor that the shape asks for, to be made of the model's seed. */
int ba_model_bind_random(ba_model *m, char err[BA_ERR_LEN]);

#endif
