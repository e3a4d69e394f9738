/* The shape of a model from GGUF metadata. */
#include "shape_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys of this architecture: "llama." and so on come first. */
typedef struct keys {
    const ba_gguf *g;
    const char *arch;
    char *err;
} keys;

static const char *full_key(const keys *k, const char *name, char out[96]) {
    snprintf(out, 96, "%s.%s", k->arch, name);
    return out;
}

/* All leave *out as it is where the key is absent. */
static int size_of(const keys *k, const char *name, size_t *out) {
    char key[96];
    return ba_gguf_size(k->g, full_key(k, name, key), out, k->err);
}

static int real_of(const keys *k, const char *name, double *out) {
    char key[96];
    return ba_gguf_real(k->g, full_key(k, name, key), out, k->err);
}

static int needed_size(const keys *k, const char *name, size_t *out) {
    char key[96];
    if (!ba_gguf_find(k->g, full_key(k, name, key))) {
        return ba_fail(k->err, "%s: metadata key '%s' is missing; convert the model again", ba_gguf_path(k->g), key);
    }
    return size_of(k, name, out);
}

static int read_sizes(const keys *k, ba_shape *s) {
    size_t rotary = 0, value_dim = 0;
    if (needed_size(k, "block_count", &s->layers) != 0 || needed_size(k, "embedding_length", &s->d_model) != 0 ||
        needed_size(k, "attention.head_count", &s->heads) != 0 ||
        needed_size(k, "feed_forward_length", &s->d_ff) != 0 || needed_size(k, "context_length", &s->ctx) != 0) {
        return -1;
    }
    s->kv_heads = s->heads;
    s->head_dim = s->heads ? s->d_model / s->heads : 0;
    if (size_of(k, "attention.head_count_kv", &s->kv_heads) != 0 ||
        size_of(k, "attention.key_length", &s->head_dim) != 0) {
        return -1;
    }
    rotary = value_dim = s->head_dim;
    if (size_of(k, "attention.value_length", &value_dim) != 0 || size_of(k, "rope.dimension_count", &rotary) != 0 ||
        size_of(k, "vocab_size", &s->vocab) != 0) {
        return -1;
    }
    if (value_dim != s->head_dim || rotary != s->head_dim) {
        return ba_fail(k->err,
                       "%s: key, value and rotary sizes of a head are %zu, %zu and %zu; only equal ones are supported",
                       ba_gguf_path(k->g), s->head_dim, value_dim, rotary);
    }
    return 0;
}

static int read_rope(const keys *k, const ba_arch *arch, ba_shape *s) {
    ba_rope_words w = {.type = "none", .beta_fast = 32, .beta_slow = 1, .attention_factor = 1};
    ba_span type = {w.type, 4};
    char key[96], name[32];
    s->rope.theta = arch->theta;
    if (real_of(k, "rope.freq_base", &s->rope.theta) != 0 ||
        ba_gguf_string(k->g, full_key(k, "rope.scaling.type", key), &type, k->err) != 0 ||
        real_of(k, "rope.scaling.factor", &w.factor) != 0 ||
        real_of(k, "rope.scaling.low_freq_factor", &w.low_freq) != 0 ||
        real_of(k, "rope.scaling.high_freq_factor", &w.high_freq) != 0 ||
        real_of(k, "rope.scaling.original_context_length", &w.original_ctx) != 0 ||
        real_of(k, "rope.scaling.attn_factor", &w.attention_factor) != 0 ||
        real_of(k, "rope.scaling.yarn_beta_fast", &w.beta_fast) != 0 ||
        real_of(k, "rope.scaling.yarn_beta_slow", &w.beta_slow) != 0) {
        return -1;
    }
    if (!ba_gguf_find(k->g, key)) { /* files of 2023 had one key for linear scaling */
        if (real_of(k, "rope.scale_linear", &w.factor) != 0) {
            return -1;
        }
        type = w.factor > 0 && w.factor != 1 ? (ba_span){"linear", 6} : type;
    }
    snprintf(name, sizeof name, "%.*s", (int)(type.n < sizeof name ? type.n : sizeof name - 1), type.s);
    w.type = name;
    if (strcmp(name, "yarn") == 0 && w.factor > 1) {
        /* here attn_factor multiplies the magnitude that the factor asks for */
        w.attention_factor *= ba_yarn_magnitude(w.factor, 1);
    }
    return ba_rope_set(&s->rope, &w, s->ctx, ba_gguf_path(k->g), k->err);
}

/* One period for all layers, or one flag a layer. */
static int read_windows(const keys *k, const ba_arch *arch, ba_shape *s) {
    char key[96];
    size_t period = arch->pattern;
    if (size_of(k, "attention.sliding_window", &s->window) != 0) {
        return -1;
    }
    const ba_gguf_value *flags = ba_gguf_find(k->g, full_key(k, "attention.sliding_window_pattern", key));
    if (flags && flags->array && flags->type == BA_GGUF_BOOL && flags->n == s->layers) {
        for (size_t i = 0; i < s->layers; i++) {
            s->local[i] = s->window && flags->data[i];
        }
        return 0;
    }
    if (size_of(k, "attention.sliding_window_pattern", &period) != 0) {
        return -1;
    }
    ba_window_pattern(s, period);
    return 0;
}

static int read_scales(const keys *k, const ba_arch *arch, ba_shape *s) {
    static const char *const unsupported[] = {"attn_logit_softcapping", "final_logit_softcapping", "logit_scale",
                                              "residual_scale",         "embedding_scale",         "expert_count"};
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        double value = 0;
        if (real_of(k, unsupported[i], &value) != 0) {
            return -1;
        }
        if (value != 0) {
            return ba_fail(k->err, "%s: metadata key '%s.%s' is %g, which the engine does not compute",
                           ba_gguf_path(k->g), k->arch, unsupported[i], value);
        }
    }
    /* Gemma 3 27B, known by its depth, scales by its query width per head; GGUF has no key for it. */
    bool wide = arch->embed_scaled && s->layers == 62;
    s->attn_scale = 1 / sqrt(wide ? (double)s->d_model / (double)s->heads : (double)s->head_dim);
    double scale = 0;
    if (real_of(k, "attention.scale", &scale) != 0) {
        return -1;
    }
    s->attn_scale = scale > 0 ? scale : s->attn_scale;
    return 0;
}

int ba_shape_from_gguf(const ba_gguf *g, const ba_arch *arch, ba_shape *s, char err[BA_ERR_LEN]) {
    const keys k = {g, arch->name, err};
    if (read_sizes(&k, s) != 0 || real_of(&k, "attention.layer_norm_rms_epsilon", &s->norm_eps) != 0) {
        return -1;
    }
    if (s->layers > BA_MAX_LAYERS || s->heads == 0) {
        return 0; /* ba_shape_check refuses it */
    }
    s->rope_local = (ba_rope){.theta = arch->theta_local, .magnitude = 1};
    if (read_rope(&k, arch, s) != 0 || real_of(&k, "rope.freq_base_swa", &s->rope_local.theta) != 0 ||
        read_windows(&k, arch, s) != 0 || read_scales(&k, arch, s) != 0) {
        return -1;
    }
    if (arch->theta_local == 0) {
        s->rope_local = s->rope;
    }
    return 0;
}
