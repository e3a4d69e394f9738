/* A tiny model as a Hugging Face folder: config.json, tokenizer.json, tokenizer_config.json, safetensors. */
#include "tiny_parts.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON files ------------------------------------------------------------------------------------------------- */

/* Writes and frees. */
static int write_json(const char *folder, const char *name, cJSON *json) {
    char path[4096];
    char *text = cJSON_Print(json);
    const ba_tiny_bytes bytes = {.p = (unsigned char *)text, .n = text ? strlen(text) : 0, .failed = !text};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int rc = ba_tiny_write(path, (const ba_tiny_bytes *const[]){&bytes}, 1);
    cJSON_free(text);
    cJSON_Delete(json);
    return rc;
}

static void change_members(cJSON *config, const char *changes) {
    cJSON *all = changes ? cJSON_Parse(changes) : NULL;
    while (all && all->child) {
        cJSON *member = cJSON_DetachItemViaPointer(all, all->child);
        cJSON_DeleteItemFromObjectCaseSensitive(config, member->string);
        cJSON_AddItemToObject(config, member->string, member);
    }
    cJSON_Delete(all);
}

static int write_config(const char *folder, const ba_tiny_spec *s) {
    cJSON *c = cJSON_CreateObject();
    cJSON_AddStringToObject(c, "model_type", s->gemma ? "gemma3_text" : s->o.arch);
    cJSON_AddNumberToObject(c, "num_hidden_layers", (double)s->o.layers);
    cJSON_AddNumberToObject(c, "hidden_size", (double)s->o.d_model);
    cJSON_AddNumberToObject(c, "num_attention_heads", (double)s->o.heads);
    cJSON_AddNumberToObject(c, "num_key_value_heads", (double)s->o.kv_heads);
    cJSON_AddNumberToObject(c, "head_dim", (double)s->o.head_dim);
    cJSON_AddNumberToObject(c, "intermediate_size", (double)s->o.d_ff);
    cJSON_AddNumberToObject(c, "vocab_size", (double)s->vocab);
    cJSON_AddNumberToObject(c, "max_position_embeddings", (double)s->o.ctx);
    cJSON_AddNumberToObject(c, "rms_norm_eps", (double)1e-6f); /* as a GGUF file holds it */
    cJSON_AddNumberToObject(c, "rope_theta", s->gemma ? 1e6 : 1e4);
    cJSON_AddBoolToObject(c, "tie_word_embeddings", !s->o.untied);
    cJSON_AddStringToObject(c, "hidden_act", s->gemma ? "gelu_pytorch_tanh" : "silu");
    if (s->bias && strcmp(s->o.arch, "qwen2") != 0) { /* qwen2 always has them */
        cJSON_AddTrueToObject(c, "attention_bias");
    }
    if (s->gemma) {
        cJSON_AddNumberToObject(c, "sliding_window", 8);
        cJSON_AddNumberToObject(c, "query_pre_attn_scalar", (double)s->o.head_dim);
    }
    cJSON_AddNumberToObject(c, "bos_token_id", s->o.spm ? 1 : 0);
    cJSON_AddNumberToObject(c, "eos_token_id", 2);
    change_members(c, s->o.config);
    return write_json(folder, "config.json", c);
}

static void add_steps(cJSON *root, const ba_tiny_spec *s) {
    if (s->o.spm) {
        cJSON *steps = cJSON_AddObjectToObject(root, "normalizer");
        cJSON_AddStringToObject(steps, "type", "Sequence");
        cJSON *list = cJSON_AddArrayToObject(steps, "normalizers");
        cJSON_AddItemToArray(list, cJSON_Parse("{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81\"}"));
        cJSON_AddItemToArray(list, cJSON_Parse("{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
                                               "\"content\":\"\xe2\x96\x81\"}"));
        return;
    }
    cJSON_AddItemToObject(root, "pre_tokenizer",
                          cJSON_Parse("{\"type\":\"Sequence\",\"pretokenizers\":["
                                      "{\"type\":\"Digits\",\"individual_digits\":true},"
                                      "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}]}"));
}

static int write_tokenizer(const char *folder, const ba_tiny_spec *s) {
    cJSON *root = cJSON_CreateObject(), *added = cJSON_AddArrayToObject(root, "added_tokens");
    add_steps(root, s);
    cJSON *model = cJSON_AddObjectToObject(root, "model"), *vocab, *merges;
    cJSON_AddStringToObject(model, "type", "BPE");
    cJSON_AddBoolToObject(model, "byte_fallback", s->o.spm);
    if (s->o.spm) {
        cJSON_AddStringToObject(model, "unk_token", "<unk>");
    }
    vocab = cJSON_AddObjectToObject(model, "vocab");
    for (size_t i = 0; i < s->vocab; i++) {
        ba_tiny_token t = ba_tiny_token_at(s, i);
        cJSON_AddNumberToObject(vocab, t.text, (double)i);
        if (t.type == BA_TOKEN_CONTROL || t.type == BA_TOKEN_UNKNOWN) {
            cJSON *entry = cJSON_CreateObject();
            cJSON_AddNumberToObject(entry, "id", (double)i);
            cJSON_AddStringToObject(entry, "content", t.text);
            cJSON_AddBoolToObject(entry, "special", true);
            cJSON_AddItemToArray(added, entry);
        }
    }
    merges = cJSON_AddArrayToObject(model, "merges");
    for (size_t i = 0; i < ba_tiny_merges(s); i++) {
        cJSON_AddItemToArray(merges, cJSON_CreateString(ba_tiny_merge_at(s, i)));
    }
    cJSON *extra = cJSON_CreateObject();
    cJSON_AddStringToObject(extra, "chat_template", ba_tiny_chat_template(s));
    cJSON_AddBoolToObject(extra, "add_bos_token", s->o.spm);
    int rc = write_json(folder, "tokenizer_config.json", extra);
    return write_json(folder, "tokenizer.json", root) == 0 ? rc : -1;
}

/* ---- weights ---------------------------------------------------------------------------------------------------- */

static void put_data(ba_tiny_bytes *data, const ba_tiny_spec *s, const ba_tiny_part *p) {
    double less = s->gemma && p->vector ? 1 : 0; /* gemma's files hold gains less 1 */
    for (size_t row = 0; row < p->rows; row++) {
        for (size_t col = 0; col < p->cols; col++) {
            ba_tiny_put_element(data, s->o.type, ba_tiny_element(s, p, row, col) - less);
        }
    }
}

static void describe(cJSON *header, const ba_tiny_spec *s, const ba_tiny_part *p, size_t begin, size_t end) {
    cJSON *entry = cJSON_AddObjectToObject(header, p->hf);
    const int dims[] = {(int)p->rows, (int)p->cols}, offsets[] = {(int)begin, (int)end};
    cJSON_AddStringToObject(entry, "dtype", ba_dtype_get(s->o.type)->name);
    cJSON_AddItemToObject(entry, "shape",
                          p->vector ? cJSON_CreateIntArray(dims + 1, 1) : cJSON_CreateIntArray(dims, 2));
    cJSON_AddItemToObject(entry, "data_offsets", cJSON_CreateIntArray(offsets, 2));
}

/* Every n-th part from `first` on. */
static int write_shard(const char *path, const ba_tiny_spec *s, const ba_tiny_part *part, size_t n, size_t first,
                       size_t step) {
    ba_tiny_bytes head = {0}, data = {0};
    cJSON *header = cJSON_CreateObject();
    for (size_t i = first; i < n; i += step) {
        size_t begin = data.n;
        put_data(&data, s, &part[i]);
        describe(header, s, &part[i], begin, data.n);
    }
    char *text = cJSON_PrintUnformatted(header);
    uint64_t length = text ? strlen(text) : 0;
    ba_tiny_put(&head, &length, sizeof length);
    ba_tiny_put(&head, text, (size_t)length);
    int rc = text ? ba_tiny_write(path, (const ba_tiny_bytes *const[]){&head, &data}, 2) : -1;
    cJSON_free(text);
    cJSON_Delete(header);
    free(head.p);
    free(data.p);
    return rc;
}

static int write_weights(const char *folder, const ba_tiny_spec *s) {
    char path[4096], name[64];
    size_t n, shards = s->o.shards > 1 ? s->o.shards : 1;
    ba_tiny_part *part = ba_tiny_list(s, &n);
    cJSON *index = cJSON_CreateObject(), *map = cJSON_AddObjectToObject(index, "weight_map");
    int rc = part ? 0 : -1;
    for (size_t k = 0; rc == 0 && k < shards; k++) {
        snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", k + 1, shards);
        snprintf(path, sizeof path, "%s/%s", folder, shards > 1 ? name : "model.safetensors");
        rc = write_shard(path, s, part, n, k, shards);
        for (size_t i = k; rc == 0 && i < n; i += shards) {
            cJSON_AddStringToObject(map, part[i].hf, name);
        }
    }
    free(part);
    if (shards == 1) {
        cJSON_Delete(index);
        return rc;
    }
    return write_json(folder, "model.safetensors.index.json", index) == 0 ? rc : -1;
}

int ba_tiny_folder(const char *path, const ba_tiny_options *opt) {
    const ba_tiny_spec spec = ba_tiny_resolve(opt);
    return write_config(path, &spec) == 0 && write_tokenizer(path, &spec) == 0 ? write_weights(path, &spec) : -1;
}
