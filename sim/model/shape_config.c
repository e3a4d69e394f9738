/* The shape of a model from a Hugging Face config.json, with the meaning that transformers 5.24 gives each field. */
#include "config_fields.h"
#include "shape_read.h"

#include <math.h>
#include <string.h>

/* What a model type means by a field that is absent. 0 where nothing can be assumed. */
typedef struct family {
    const char *model_type, *class;
    size_t heads, kv_heads, head_dim, d_ff, vocab, ctx, window;
} family;

static const family families[] = {
    {.model_type = "llama", .class = "LlamaForCausalLM"},
    {.model_type = "mistral", .class = "MistralForCausalLM", .kv_heads = 8, .window = 4096},
    {.model_type = "qwen2", .class = "Qwen2ForCausalLM", .kv_heads = 32, .window = 4096},
    {.model_type = "qwen3", .class = "Qwen3ForCausalLM", .kv_heads = 32, .head_dim = 128, .window = 4096},
    {.model_type = "gemma3_text",
     .class = "Gemma3ForCausalLM",
     .heads = 8,
     .kv_heads = 4,
     .head_dim = 256,
     .d_ff = 9216,
     .vocab = 262208,
     .ctx = 131072,
     .window = 4096},
};

typedef struct config {
    ba_config_fields f;
    const family *family;
    const ba_arch *arch;
    const char *path;
    char *err;
} config;

static bool is_family(const config *c, const char *model_type) {
    return strcmp(c->family->model_type, model_type) == 0;
}

static int check_class(const config *c) {
    const cJSON *name;
    cJSON_ArrayForEach(name, c->f.architectures) {
        if (!cJSON_IsString(name) || strcmp(name->valuestring, c->family->class) != 0) {
            return ba_fail(c->err, "%s: 'architectures' names '%.64s', where 'model_type' %s is computed as %s",
                           c->path, cJSON_IsString(name) ? name->valuestring : "?", c->family->model_type,
                           c->family->class);
        }
    }
    return 0;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------ */

static int read_sizes(const config *c, ba_shape *s) {
    const ba_config_fields *f = &c->f;
    const struct {
        const char *name;
        const cJSON *item;
        size_t otherwise, *out;
    } sizes[] = {
        {"num_hidden_layers", f->layers, 0, &s->layers},
        {"hidden_size", f->d_model, 0, &s->d_model},
        {"num_attention_heads", f->heads, c->family->heads, &s->heads},
        {"intermediate_size", f->d_ff, c->family->d_ff, &s->d_ff},
        {"vocab_size", f->vocab, c->family->vocab, &s->vocab},
        {"max_position_embeddings", f->ctx, c->family->ctx, &s->ctx},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (!ba_is_set(sizes[i].item) && !sizes[i].otherwise) {
            return ba_fail(c->err, "%s: '%s' is missing", c->path, sizes[i].name);
        }
        *sizes[i].out = ba_whole_or(sizes[i].item, sizes[i].otherwise);
    }
    size_t share = s->heads ? s->d_model / s->heads : 0;
    s->kv_heads = ba_whole_or(f->kv_heads, f->kv_heads || !c->family->kv_heads ? s->heads : c->family->kv_heads);
    s->head_dim = ba_whole_or(f->head_dim, c->family->head_dim ? c->family->head_dim : share);
    s->norm_eps = ba_real_or(f->norm_eps, 1e-6);
    return 0;
}

static int read_activation(const config *c, ba_shape *s) {
    static const struct {
        const char *name;
        ba_glu glu;
    } known[] = {{"silu", BA_GLU_SILU}, {"swish", BA_GLU_SILU}, {"gelu_pytorch_tanh", BA_GLU_GELU_TANH}};
    const cJSON *item = c->f.hidden_act ? c->f.hidden_act : c->f.hidden_activation;
    for (size_t i = 0; ba_is_set(item) && i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, item->valuestring) == 0) {
            s->glu = known[i].glu;
            return 0;
        }
    }
    return ba_is_set(item) ? ba_fail(c->err, "%s: activation '%s' is unknown; there is silu, gelu_pytorch_tanh",
                                     c->path, item->valuestring)
                           : 0;
}

/* ---- positions -------------------------------------------------------------------------------------------------- */

/* One rope. `outer`: the original context of the file, which wins (NULL: there is none). */
static int read_rope(const config *c, const cJSON *words, const cJSON *outer, size_t ctx, ba_rope *rope) {
    ba_rope_fields f = {0};
    if (ba_fields_read(ba_rope_rows, c->family->model_type, words, c->path, &f, c->err) != 0) {
        return -1;
    }
    double original = ba_is_set(outer) ? outer->valuedouble : ba_real_or(f.original_ctx, 0);
    double beta_fast = ba_real_or(f.beta_fast, 0), beta_slow = ba_real_or(f.beta_slow, 0);
    double mscale = ba_real_or(f.mscale, 0), mscale_all = ba_real_or(f.mscale_all_dim, 0);
    ba_rope_words w = {
        .type = ba_text_or(f.rope_type, ba_text_or(f.type, "default")),
        .factor = ba_real_or(f.factor, 0),
        .low_freq = ba_real_or(f.low_freq, 0),
        .high_freq = ba_real_or(f.high_freq, 0),
        .original_ctx = original > 0 ? original : (double)ctx,
        .beta_fast = beta_fast != 0 ? beta_fast : 32,
        .beta_slow = beta_slow != 0 ? beta_slow : 1,
        .exact_ramp = f.truncate && !cJSON_IsTrue(f.truncate),
    };
    if (f.factor && cJSON_IsNull(f.factor) && strcmp(w.type, "yarn") == 0) {
        w.factor = (double)ctx / w.original_ctx;
    }
    double inferred = mscale != 0 && mscale_all != 0
                          ? ba_yarn_magnitude(w.factor, mscale) / ba_yarn_magnitude(w.factor, mscale_all)
                          : ba_yarn_magnitude(w.factor, 1);
    w.attention_factor = ba_real_or(f.attention_factor, inferred);
    rope->theta = ba_real_or(f.theta, rope->theta);
    return ba_rope_set(rope, &w, ctx, c->path, c->err);
}

/* Layers of one kind: rope_scaling wins over rope_parameters, a base in there over the file's own. */
static int read_one_rope(const config *c, ba_shape *s) {
    const cJSON *scaling = c->f.rope_scaling, *words = c->f.rope_parameters;
    words = ba_is_set(scaling) && scaling->child ? scaling : words;
    s->rope.theta = ba_real_or(c->f.rope_theta, c->arch->theta);
    if (read_rope(c, ba_is_set(words) ? words : NULL, c->f.original_ctx, s->ctx, &s->rope) != 0) {
        return -1;
    }
    s->rope_local = s->rope;
    return 0;
}

/* Gemma 3: one rope for each kind of layer. rope_scaling changes the global one; words that rope_parameters holds
 * outside of the two objects are not read. */
static int read_two_ropes(const config *c, ba_shape *s) {
    const cJSON *both = c->f.rope_parameters, *scaling = c->f.rope_scaling;
    const cJSON *global = cJSON_GetObjectItemCaseSensitive(both, "full_attention");
    const cJSON *local = cJSON_GetObjectItemCaseSensitive(both, "sliding_attention");
    bool scaled = ba_is_set(scaling) && scaling->child;
    if (scaled && ba_is_set(both)) {
        return ba_fail(c->err,
                       "%s: 'rope_scaling' and 'rope_parameters' are both there; take out the older rope_scaling",
                       c->path);
    }
    if (cJSON_GetObjectItemCaseSensitive(global, "truncate") || cJSON_GetObjectItemCaseSensitive(local, "truncate")) {
        return ba_fail(c->err, "%s: 'truncate' is not supported in the ropes of gemma3; transformers does not read it",
                       c->path);
    }
    s->rope.theta = ba_real_or(c->f.rope_theta, c->arch->theta);
    s->rope_local.theta = ba_real_or(c->f.rope_local_base_freq, c->arch->theta_local);
    return read_rope(c, scaled ? scaling : global, NULL, s->ctx, &s->rope) != 0 ||
                   read_rope(c, local, NULL, s->ctx, &s->rope_local) != 0
               ? -1
               : 0;
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

static int read_layer_types(const config *c, ba_shape *s) {
    size_t i = 0;
    const cJSON *type;
    cJSON_ArrayForEach(type, c->f.layer_types) {
        bool local = cJSON_IsString(type) && strcmp(type->valuestring, "sliding_attention") == 0;
        bool global = cJSON_IsString(type) && strcmp(type->valuestring, "full_attention") == 0;
        if (i >= s->layers || (!local && !global)) {
            break;
        }
        if (local && s->window == 0) {
            return ba_fail(c->err,
                           "%s: 'layer_types' has sliding_attention, but there is no 'sliding_window' switched on; "
                           "switch it on, or list full_attention",
                           c->path);
        }
        s->local[i++] = local;
    }
    if (type || i != s->layers) {
        return ba_fail(c->err,
                       "%s: 'layer_types' must be one of full_attention, sliding_attention for each of the %zu layers",
                       c->path, s->layers);
    }
    return 0;
}

static int read_windows(const config *c, ba_shape *s) {
    const ba_config_fields *f = &c->f;
    bool qwen = is_family(c, "qwen2") || is_family(c, "qwen3"), gemma = is_family(c, "gemma3_text");
    size_t period = ba_whole_or(f->window_pattern, c->arch->pattern);
    /* absent means the family's window, null means none */
    s->window = f->sliding_window ? ba_whole_or(f->sliding_window, 0) : c->family->window;
    if (ba_is_set(f->sliding_window) && s->window == 0) {
        return ba_fail(c->err, "%s: 'sliding_window' is 0, which lets no token see anything; null switches it off",
                       c->path);
    }
    if (qwen && !ba_bool_or(f->use_sliding_window, false)) {
        s->window = 0;
    }
    if (gemma && period == 0) {
        return ba_fail(c->err, "%s: 'sliding_window_pattern' is 0; a period of layers is at least 1", c->path);
    }
    if (ba_is_set(f->layer_types)) {
        return read_layer_types(c, s);
    }
    if (gemma && s->window == 0) {
        return ba_fail(c->err, "%s: 'sliding_window' is null, where gemma3 needs one; give its size", c->path);
    }
    ba_window_pattern(s, period);
    size_t first = qwen ? ba_whole_or(f->max_window_layers, 28) : 0;
    for (size_t i = 0; i < first && i < s->layers; i++) {
        s->local[i] = false;
    }
    return 0;
}

/* A window that no layer has is none: two files of one arithmetic then have one hash. */
static void drop_unused_window(ba_shape *s) {
    bool any = false;
    for (size_t i = 0; i < s->layers; i++) {
        any = any || s->local[i];
    }
    s->window = any ? s->window : 0;
}

int ba_shape_from_config(const cJSON *json, const char *path, const ba_arch *arch, const char *model_type, ba_shape *s,
                         char err[BA_ERR_LEN]) {
    config c = {.arch = arch, .path = path, .err = err};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        c.family = strcmp(families[i].model_type, model_type) == 0 ? &families[i] : c.family;
    }
    if (!c.family) {
        return ba_fail(err, "%s: 'model_type' '%.40s' has no known fields", path, model_type);
    }
    if (ba_fields_read(ba_config_rows, model_type, json, path, &c.f, err) != 0 || check_class(&c) != 0 ||
        read_sizes(&c, s) != 0 || read_activation(&c, s) != 0) {
        return -1;
    }
    s->tied = ba_bool_or(c.f.tied, arch->tied);
    s->qkv_bias = arch->qkv_bias || ba_bool_or(c.f.attention_bias, false);
    if (s->layers > BA_MAX_LAYERS) {
        return 0; /* ba_shape_check refuses it */
    }
    double width = is_family(&c, "gemma3_text") ? ba_real_or(c.f.query_pre_attn_scalar, 256) : (double)s->head_dim;
    s->attn_scale = 1 / sqrt(width);
    if (read_windows(&c, s) != 0 || (arch->theta_local == 0 ? read_one_rope(&c, s) : read_two_ropes(&c, s)) != 0) {
        return -1;
    }
    drop_unused_window(s);
    return 0;
}
