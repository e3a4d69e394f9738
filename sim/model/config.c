#include "config.h"

#include <stdlib.h>
#include <string.h>

/* ---- config.json ---- */

/* A llama with a window is a mistral to transformers: its llama has none. */
static const char *model_type_of(const ba_model *m) {
    bool mistral = m->shape.window && strcmp(m->arch->name, "llama") == 0;
    return mistral ? "mistral" : m->arch->model_type[0];
}

static const char *class_of(const char *model_type) {
    static const char *const classes[][2] = {{"llama", "LlamaForCausalLM"},
                                             {"mistral", "MistralForCausalLM"},
                                             {"qwen2", "Qwen2ForCausalLM"},
                                             {"qwen3", "Qwen3ForCausalLM"},
                                             {"gemma3_text", "Gemma3ForCausalLM"}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (!strcmp(model_type, classes[i][0])) {
            return classes[i][1];
        }
    }
    return "";
}

static void add_windows(cJSON *c, const ba_shape *s) {
    cJSON *types = cJSON_AddArrayToObject(c, "layer_types");
    for (size_t l = 0; l < s->layers; l++) {
        cJSON_AddItemToArray(types, cJSON_CreateString(s->local[l] ? "sliding_attention" : "full_attention"));
    }
    cJSON_AddNumberToObject(c, "sliding_window", (double)s->window);
    cJSON_AddNumberToObject(c, "rope_local_base_freq", s->rope_local.theta);
}

static void add_token(cJSON *c, const char *name, int32_t id) {
    if (id >= 0) {
        cJSON_AddNumberToObject(c, name, id);
    }
}

static cJSON *config_of(const ba_model *m) {
    const ba_shape *s = &m->shape;
    cJSON *c = cJSON_CreateObject(), *classes = cJSON_AddArrayToObject(c, "architectures");
    cJSON_AddItemToArray(classes, cJSON_CreateString(class_of(model_type_of(m))));
    cJSON_AddStringToObject(c, "model_type", model_type_of(m));
    const struct {
        const char *name;
        double value;
    } number[] = {{"hidden_size", (double)s->d_model},
                  {"intermediate_size", (double)s->d_ff},
                  {"num_hidden_layers", (double)s->layers},
                  {"num_attention_heads", (double)s->heads},
                  {"num_key_value_heads", (double)s->kv_heads},
                  {"head_dim", (double)s->head_dim},
                  {"vocab_size", (double)s->vocab},
                  {"max_position_embeddings", (double)s->ctx},
                  {"rms_norm_eps", s->norm_eps},
                  {"query_pre_attn_scalar", 1 / (s->attn_scale * s->attn_scale)},
                  {"rope_theta", s->rope.theta}};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        cJSON_AddNumberToObject(c, number[i].name, number[i].value);
    }
    cJSON_AddStringToObject(c, s->post_norms ? "hidden_activation" : "hidden_act",
                            s->glu == BA_GLU_SILU ? "silu" : "gelu_pytorch_tanh");
    cJSON_AddBoolToObject(c, "tie_word_embeddings", s->tied);
    cJSON_AddBoolToObject(c, "attention_bias", s->qkv_bias);
    if (s->window) {
        add_windows(c, s);
    }
    add_token(c, "bos_token_id", m->vocab.bos);
    add_token(c, "eos_token_id", m->vocab.eos);
    add_token(c, "pad_token_id", m->vocab.pad);
    return c;
}

cJSON *ba_model_config_json(const ba_model *m) {
    cJSON *c = m->gguf ? config_of(m) : cJSON_Duplicate(m->config, true);
    cJSON_DeleteItemFromObject(c, "dtype");
    cJSON_DeleteItemFromObject(c, "quantization_config");
    cJSON_DeleteItemFromObject(c, "torch_dtype");
    cJSON_AddStringToObject(c, "torch_dtype", "float32");
    return c;
}

/* ---- tokenizer.json ---- */

static cJSON *string_of(ba_span text) {
    char *copy = strndup(text.s, text.n);
    cJSON *item = copy ? cJSON_CreateString(copy) : NULL;
    free(copy);
    return item;
}

/* {"type": type, ...} as a step of a pre-tokeniser. */
static cJSON *step(cJSON *list, const char *type) {
    cJSON *s = cJSON_CreateObject();
    cJSON_AddStringToObject(s, "type", type);
    cJSON_AddItemToArray(list, s);
    return s;
}

static void add_byte_level(cJSON *s, bool use_regex) {
    cJSON_AddFalseToObject(s, "add_prefix_space");
    cJSON_AddTrueToObject(s, "trim_offsets");
    cJSON_AddBoolToObject(s, "use_regex", use_regex);
}

/* Regular expressions as in the tokenizer.json of Llama 3 and Qwen2. */
#define SPLIT(digits)                                                                                                  \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                                               \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static cJSON *pre_tokenizer(const char *family) {
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "type", "Sequence");
    cJSON *steps = cJSON_AddArrayToObject(p, "pretokenizers");
    bool llama = !strcmp(family, "llama-bpe"), qwen = !strcmp(family, "qwen2");
    if (!strcmp(family, "smollm")) {
        cJSON_AddTrueToObject(step(steps, "Digits"), "individual_digits");
    }
    if (llama || qwen) {
        cJSON *split = step(steps, "Split"), *pattern = cJSON_AddObjectToObject(split, "pattern");
        cJSON_AddStringToObject(pattern, "Regex", llama ? SPLIT("\\p{N}{1,3}") : SPLIT("\\p{N}"));
        cJSON_AddStringToObject(split, "behavior", "Isolated");
        cJSON_AddFalseToObject(split, "invert");
    }
    add_byte_level(step(steps, "ByteLevel"), !llama && !qwen);
    return p;
}

static void add_added_tokens(cJSON *root, const ba_vocab *v) {
    cJSON *added = cJSON_AddArrayToObject(root, "added_tokens");
    for (size_t i = 0; i < v->n; i++) {
        if (v->type[i] != BA_TOKEN_CONTROL && v->type[i] != BA_TOKEN_USER) {
            continue;
        }
        cJSON *t = cJSON_CreateObject();
        cJSON_AddNumberToObject(t, "id", (double)i);
        cJSON_AddItemToObject(t, "content", string_of(v->token[i]));
        cJSON_AddFalseToObject(t, "single_word");
        cJSON_AddFalseToObject(t, "lstrip");
        cJSON_AddFalseToObject(t, "rstrip");
        cJSON_AddFalseToObject(t, "normalized");
        cJSON_AddBoolToObject(t, "special", v->type[i] == BA_TOKEN_CONTROL);
        cJSON_AddItemToArray(added, t);
    }
}

static void add_model(cJSON *root, const ba_vocab *v) {
    cJSON *model = cJSON_AddObjectToObject(root, "model"), *vocab, *merges;
    cJSON_AddStringToObject(model, "type", "BPE");
    cJSON_AddFalseToObject(model, "byte_fallback");
    cJSON_AddBoolToObject(model, "ignore_merges", strcmp(v->pre, "llama-bpe") == 0);
    vocab = cJSON_AddObjectToObject(model, "vocab");
    merges = cJSON_AddArrayToObject(model, "merges");
    for (size_t i = 0; i < v->n; i++) {
        char *name = strndup(v->token[i].s, v->token[i].n);
        cJSON *id = cJSON_CreateNumber((double)i);
        /* appended without looking for the name first, which would make this quadratic */
        if (name && id && (id->string = name)) {
            cJSON_AddItemToArray(vocab, id);
        }
    }
    for (size_t i = 0; i < v->n_merge; i++) {
        cJSON_AddItemToArray(merges, string_of(v->merge[i]));
    }
}

cJSON *ba_tokenizer_json(const ba_vocab *v) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "version", "1.0");
    cJSON_AddNullToObject(root, "truncation");
    cJSON_AddNullToObject(root, "padding");
    add_added_tokens(root, v);
    cJSON *normalizer = strcmp(v->pre, "qwen2") == 0 ? cJSON_AddObjectToObject(root, "normalizer") : NULL;
    if (normalizer) {
        cJSON_AddStringToObject(normalizer, "type", "NFC");
    } else {
        cJSON_AddNullToObject(root, "normalizer");
    }
    cJSON_AddItemToObject(root, "pre_tokenizer", pre_tokenizer(v->pre));
    cJSON_AddNullToObject(root, "post_processor");
    cJSON *decoder = cJSON_AddObjectToObject(root, "decoder");
    cJSON_AddStringToObject(decoder, "type", "ByteLevel");
    add_byte_level(decoder, true);
    add_model(root, v);
    return root;
}

static void add_named(cJSON *c, const char *name, const ba_vocab *v, int32_t id) {
    if (id >= 0 && (size_t)id < v->n) {
        cJSON_AddItemToObject(c, name, string_of(v->token[id]));
    }
}

cJSON *ba_tokenizer_config_json(const ba_model *m) {
    const ba_vocab *v = &m->vocab;
    cJSON *c = cJSON_CreateObject();
    cJSON_AddStringToObject(c, "tokenizer_class", "PreTrainedTokenizerFast");
    cJSON_AddBoolToObject(c, "add_bos_token", v->add_bos);
    cJSON_AddNumberToObject(c, "model_max_length", (double)m->shape.ctx);
    add_named(c, "bos_token", v, v->bos);
    add_named(c, "eos_token", v, v->eos);
    add_named(c, "unk_token", v, v->unk);
    add_named(c, "pad_token", v, v->pad);
    if (v->chat_template) {
        cJSON_AddStringToObject(c, "chat_template", v->chat_template);
    }
    return c;
}
