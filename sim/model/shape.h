/* The shape of a model: everything that the arithmetic depends on but the weights. A value; the cost of a plan follows
 * from it alone. */
#ifndef BA_SHAPE_H
#define BA_SHAPE_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BA_MAX_LAYERS 256

typedef enum ba_rope_scaling { BA_ROPE_NONE, BA_ROPE_LINEAR, BA_ROPE_LLAMA3, BA_ROPE_YARN } ba_rope_scaling;

/* Only frequencies that do not depend on the length of the prompt, so that cached keys stay right: dynamic NTK and
 * LongRoPE are refused when a model is opened. */
typedef struct ba_rope {
    double theta;
    ba_rope_scaling scaling;
    double factor, low_freq, high_freq;     /* llama3: low_freq_factor, high_freq_factor */
    double original_ctx;                    /* llama3, yarn */
    double beta_fast, beta_slow, magnitude; /* yarn; magnitude 1 = none */
    bool exact_ramp;                        /* yarn: bounds of the ramp are not made whole ("truncate": false) */
    const float *freq_factors; /* [head_dim / 2] divisors of the frequencies, or NULL; borrowed from the model */
} ba_rope;

typedef enum ba_glu { BA_GLU_SILU, BA_GLU_GELU_TANH } ba_glu;

typedef struct ba_shape {
    char arch[32]; /* "llama", "qwen2", "qwen3", "gemma3", ... */
    size_t layers, d_model, heads, kv_heads, head_dim, d_ff, vocab;
    size_t ctx; /* trained context, tokens */
    double norm_eps;
    double attn_scale;  /* 1 / sqrt(head_dim) unless the model says otherwise */
    double embed_scale; /* 1, or sqrt(d_model) for gemma */
    ba_glu glu;
    bool tied;                          /* LM head is the embedding matrix */
    bool qkv_bias, qk_norm, post_norms; /* post_norms: gemma's norms after attention and FFN */
    ba_rope rope;                       /* of global layers */
    ba_rope rope_local;                 /* of sliding-window layers, if window > 0 */
    size_t window;                      /* tokens a local layer sees, itself included; 0: no local layers */
    bool local[BA_MAX_LAYERS];
} ba_shape;

/* Frequencies of a rope, radians per position, [head_dim / 2]; *magnitude gets the factor of cos and sin. */
void ba_rope_freqs(const ba_rope *rope, size_t head_dim, double *freq, double *magnitude);

/* Published shapes by name ("llama-3.1-8b", "smollm2-135m"); NULL if unknown. Table; NULL past the last. */
typedef struct ba_named_shape {
    const char *name;
    ba_shape shape;
    const char *source; /* whose config.json it is taken from, on huggingface.co */
} ba_named_shape;
const ba_named_shape *ba_named_shape_at(size_t i);
const ba_shape *ba_shape_by_name(const char *name);

/* The shape that a config.json describes: path of the file, or of a folder that holds one. Neither weights nor a tokenizer
 * are needed. 0, or -1 and err, which names the file and the field. */
int ba_shape_read(const char *path, ba_shape *out, char err[BA_ERR_LEN]);

/* Weights of the layers' matrix products, and of the LM head. */
uint64_t ba_shape_layer_weights(const ba_shape *s);
uint64_t ba_shape_head_weights(const ba_shape *s);

#endif
