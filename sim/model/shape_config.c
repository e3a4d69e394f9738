/* The shape of a model from a Hugging Face config.json. */
#include "shape_read.h"
#include "sim/base/json_read.h"

#include <math.h>
#include <string.h>

typedef struct config {
    const cJSON *json;
    const char *path;
    char *err;
} config;

static int size_of(const config *c, const char *name, size_t *out) {
    return ba_json_size(c->json, name, out, c->path, c->err);
}

static int real_of(const config *c, const char *name, double *out) {
    return ba_json_real(c->json, name, out, c->path, c->err);
}

static int needed_size(const config *c, const char *name, size_t *out) {
    if (!ba_json_get(c->json, name)) {
        return ba_fail(c->err, "%s: '%s' is missing", c->path, name);
    }
    return size_of(c, name, out);
}

/* Switches that change the arithmetic in a way that the engine does not know. */
static int refuse_unsupported(const config *c) {
    static const char *const flags[] = {"mlp_bias", "use_bidirectional_attention"};
    static const char *const numbers[] = {"attn_logit_softcapping", "final_logit_softcapping", "num_local_experts",
                                          "num_experts"};
    double rotary = 1, value;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (cJSON_IsTrue(ba_json_get(c->json, flags[i]))) {
            return ba_fail(c->err, "%s: '%s' is true, which the engine does not compute", c->path, flags[i]);
        }
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        value = 0;
        if (real_of(c, numbers[i], &value) != 0) {
            return -1;
        }
        if (value != 0) {
            return ba_fail(c->err, "%s: '%s' is %g, which the engine does not compute", c->path, numbers[i], value);
        }
    }
    if (real_of(c, "partial_rotary_factor", &rotary) != 0) {
        return -1;
    }
    return rotary == 1
               ? 0
               : ba_fail(c->err, "%s: 'partial_rotary_factor' is %g; only whole heads can be rotated", c->path, rotary);
}

static int read_sizes(const config *c, ba_shape *s) {
    if (needed_size(c, "num_hidden_layers", &s->layers) != 0 || needed_size(c, "hidden_size", &s->d_model) != 0 ||
        needed_size(c, "num_attention_heads", &s->heads) != 0 || needed_size(c, "intermediate_size", &s->d_ff) != 0 ||
        needed_size(c, "vocab_size", &s->vocab) != 0 || needed_size(c, "max_position_embeddings", &s->ctx) != 0) {
        return -1;
    }
    s->kv_heads = s->heads;
    s->head_dim = s->heads ? s->d_model / s->heads : 0;
    s->norm_eps = 1e-6;
    return size_of(c, "num_key_value_heads", &s->kv_heads) != 0 || size_of(c, "head_dim", &s->head_dim) != 0 ||
                   real_of(c, "rms_norm_eps", &s->norm_eps) != 0
               ? -1
               : 0;
}

static int read_activation(const config *c, ba_shape *s) {
    static const struct {
        const char *name;
        ba_glu glu;
    } known[] = {{"silu", BA_GLU_SILU}, {"swish", BA_GLU_SILU}, {"gelu_pytorch_tanh", BA_GLU_GELU_TANH}};
    const char *name = NULL;
    if (ba_json_string(c->json, "hidden_act", &name, c->path, c->err) != 0 ||
        ba_json_string(c->json, "hidden_activation", &name, c->path, c->err) != 0) {
        return -1;
    }
    for (size_t i = 0; name && i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, name) == 0) {
            s->glu = known[i].glu;
            return 0;
        }
    }
    return name ? ba_fail(c->err, "%s: activation '%s' is unknown; there is silu, gelu_pytorch_tanh", c->path, name)
                : 0;
}

/* ---- positions -------------------------------------------------------------------------------------------------- */

/* One rope: an object of scaling words, which since transformers 5 also holds the base. */
static int read_rope(const config *c, const cJSON *scaling, size_t ctx, ba_rope *rope) {
    const config in = {scaling, c->path, c->err};
    ba_rope_words w = {.type = "default", .beta_fast = 32, .beta_slow = 1};
    double mscale = 0, mscale_all = 0;
    bool truncate = true;
    if (scaling && !cJSON_IsObject(scaling)) {
        return ba_fail(c->err, "%s: the rope scaling must be an object", c->path);
    }
    if (ba_json_string(scaling, "type", &w.type, c->path, c->err) != 0 ||
        ba_json_string(scaling, "rope_type", &w.type, c->path, c->err) != 0 ||
        ba_json_bool(scaling, "truncate", &truncate, c->path, c->err) != 0 ||
        real_of(&in, "rope_theta", &rope->theta) != 0 || real_of(&in, "factor", &w.factor) != 0 ||
        real_of(&in, "low_freq_factor", &w.low_freq) != 0 || real_of(&in, "high_freq_factor", &w.high_freq) != 0 ||
        real_of(&in, "original_max_position_embeddings", &w.original_ctx) != 0 ||
        real_of(&in, "beta_fast", &w.beta_fast) != 0 || real_of(&in, "beta_slow", &w.beta_slow) != 0 ||
        real_of(&in, "attention_factor", &w.attention_factor) != 0 || real_of(&in, "mscale", &mscale) != 0 ||
        real_of(&in, "mscale_all_dim", &mscale_all) != 0) {
        return -1;
    }
    if (!truncate) {
        return ba_fail(c->err, "%s: rope scaling with 'truncate' false is not supported", c->path);
    }
    if (w.attention_factor == 0) {
        w.attention_factor = mscale != 0 && mscale_all != 0
                                 ? ba_yarn_magnitude(w.factor, mscale) / ba_yarn_magnitude(w.factor, mscale_all)
                                 : ba_yarn_magnitude(w.factor, 1);
    }
    return ba_rope_set(rope, &w, ctx, c->path, c->err);
}

static int read_ropes(const config *c, const ba_arch *arch, ba_shape *s) {
    const cJSON *global = ba_json_get(c->json, "rope_parameters"), *local = NULL;
    s->rope.theta = arch->theta;
    s->rope_local.theta = arch->theta_local;
    if (real_of(c, "rope_theta", &s->rope.theta) != 0 ||
        real_of(c, "rope_local_base_freq", &s->rope_local.theta) != 0) {
        return -1;
    }
    if (ba_json_get(global, "full_attention")) {
        local = ba_json_get(global, "sliding_attention");
        global = ba_json_get(global, "full_attention");
    } else if (!global) {
        global = ba_json_get(c->json, "rope_scaling");
    }
    if (read_rope(c, global, s->ctx, &s->rope) != 0 || read_rope(c, local, s->ctx, &s->rope_local) != 0) {
        return -1;
    }
    if (arch->theta_local == 0 && !local) {
        s->rope_local = s->rope;
    }
    return 0;
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

static int read_layer_types(const config *c, const cJSON *types, ba_shape *s) {
    size_t i = 0;
    const cJSON *type;
    cJSON_ArrayForEach(type, types) {
        bool local = cJSON_IsString(type) && strcmp(type->valuestring, "sliding_attention") == 0;
        bool global = cJSON_IsString(type) && strcmp(type->valuestring, "full_attention") == 0;
        if (i >= s->layers || (!local && !global)) {
            break;
        }
        s->local[i++] = local && s->window;
    }
    if (type || i != s->layers) {
        return ba_fail(c->err,
                       "%s: 'layer_types' must be one of full_attention, sliding_attention for each of the %zu layers",
                       c->path, s->layers);
    }
    return 0;
}

static int read_windows(const config *c, const ba_arch *arch, ba_shape *s) {
    /* Qwen carries a window that counts only when it is switched on, and then from a certain layer on. */
    bool used = !ba_json_get(c->json, "max_window_layers");
    size_t first = 0, period = arch->pattern;
    if (size_of(c, "sliding_window", &s->window) != 0 || size_of(c, "max_window_layers", &first) != 0 ||
        ba_json_bool(c->json, "use_sliding_window", &used, c->path, c->err) != 0 ||
        size_of(c, "sliding_window_pattern", &period) != 0 || size_of(c, "_sliding_window_pattern", &period) != 0) {
        return -1;
    }
    s->window = used ? s->window : 0;
    const cJSON *types = ba_json_get(c->json, "layer_types");
    if (types) {
        return read_layer_types(c, types, s);
    }
    ba_window_pattern(s, period);
    for (size_t i = 0; i < first && i < s->layers; i++) {
        s->local[i] = false;
    }
    return 0;
}

int ba_shape_from_config(const cJSON *json, const char *path, const ba_arch *arch, ba_shape *s, char err[BA_ERR_LEN]) {
    const config c = {json, path, err};
    double pre_scale = 0;
    s->tied = arch->tied;
    if (refuse_unsupported(&c) != 0 || read_sizes(&c, s) != 0 || read_activation(&c, s) != 0 ||
        ba_json_bool(json, "tie_word_embeddings", &s->tied, path, err) != 0 ||
        real_of(&c, "query_pre_attn_scalar", &pre_scale) != 0) {
        return -1;
    }
    if (s->layers > BA_MAX_LAYERS) {
        return 0; /* the check behind this refuses it */
    }
    s->attn_scale = 1 / sqrt(pre_scale > 0 ? pre_scale : (double)s->head_dim);
    return read_ropes(&c, arch, s) == 0 ? read_windows(&c, arch, s) : -1;
}
