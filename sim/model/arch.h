/* What differs between architectures: one row each, in arch.c. */
#ifndef BA_ARCH_H
#define BA_ARCH_H

#include "kernels/base/error.h"
#include "shape.h"

typedef struct ba_arch {
    const char *name;          /* general.architecture of GGUF */
    const char *model_type[3]; /* of config.json; unused ones NULL */
    bool interleaved;          /* GGUF stores Q and K rows so that a rotary pair is (2 i, 2 i + 1) */
    bool qkv_bias;             /* needs biases on Q, K, V; others may have them */
    bool qk_norm, post_norms;
    bool gain_plus_one; /* Hugging Face files store norm gains less 1 */
    bool embed_scaled;  /* embeddings times sqrt(d_model) */
    bool tied;          /* what config.json means when it does not say */
    ba_glu glu;
    size_t pattern;            /* every pattern-th layer is global, the others see a window; 0: all alike */
    double theta, theta_local; /* where the file does not say */
} ba_arch;

const ba_arch *ba_arch_by_name(const char *name);
const ba_arch *ba_arch_by_model_type(const char *model_type);
/* What the architecture alone says of a shape. */
void ba_arch_begin(const ba_arch *arch, ba_shape *s);
/* Always -1, with an err that says what `field` was found to be, and what there is. */
int ba_arch_unknown(const char *path, const char *field, const char *found, char err[BA_ERR_LEN]);

/* 0 if the engine can work with it: sizes in range and fitting each other. Else -1 and err, beginning with `path`. */
int ba_shape_check(const ba_shape *s, const char *path, char err[BA_ERR_LEN]);

#endif
