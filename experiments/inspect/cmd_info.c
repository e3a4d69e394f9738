/* blockattn info: what a model is. */
#include "experiments/cli/json.h"
#include "experiments/options/options.h"
#include "sim/model/fields.h"
#include "sim/recipe/read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const glu_names[] = {[BA_GLU_SILU] = "SiLU", [BA_GLU_GELU_TANH] = "GELU (tanh)"};
static const char *const scaling_names[] = {
    [BA_ROPE_NONE] = "none", [BA_ROPE_LINEAR] = "linear", [BA_ROPE_LLAMA3] = "llama3", [BA_ROPE_YARN] = "yarn"};
static const char *const kind_names[] = {
    [BA_VOCAB_NONE] = "none", [BA_VOCAB_BPE] = "byte-level BPE", [BA_VOCAB_SPM] = "SentencePiece BPE"};

/* Weights, norms and biases; a tied head counts once. */
static uint64_t parameters(const ba_model *m) {
    const ba_shape *s = ba_model_shape(m);
    uint64_t n = 0;
    for (int t = 0; t < BA_T_COUNT; t++) {
        for (size_t layer = 0; layer < (t < BA_T_ATTN_NORM ? 1 : s->layers); layer++) {
            ba_tensor_view v;
            if (!(t == BA_T_HEAD && s->tied) && ba_model_tensor(m, (ba_tensor)t, layer, &v)) {
                n += (uint64_t)v.rows * v.cols + (v.bias ? v.rows : 0);
            }
        }
    }
    return n;
}

static uint64_t kv_bytes(const ba_shape *s, size_t element) {
    return 2 * (uint64_t)s->layers * s->kv_heads * s->head_dim * element;
}

static size_t count_local(const ba_shape *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->layers; i++) {
        n += s->local[i];
    }
    return n;
}

/* ---- for people ------------------------------------------------------------------------------------------------- */

/* "134,515,008" */
static const char *grouped(uint64_t n, char out[32]) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n), at = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) {
            out[at++] = ',';
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

static void section(const char *title) {
    const char *no_color = getenv("NO_COLOR");
    bool bold = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    printf(bold ? "\n\033[1m%s\033[0m\n" : "\n%s\n", title);
}

static void row(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void row(const char *name, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c; c++) { /* names come out of files */
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    }
    printf("  %-14s %s\n", name, line);
}

static void rope_row(const char *name, const ba_rope *r) {
    const char *factors = r->freq_factors ? ", divided by the file's factors" : "";
    switch (r->scaling) {
    case BA_ROPE_NONE:
        row(name, "base %.10g, no scaling%s", r->theta, factors);
        break;
    case BA_ROPE_LINEAR:
        row(name, "base %.10g, linear x %.6g%s", r->theta, r->factor, factors);
        break;
    case BA_ROPE_LLAMA3:
        row(name, "base %.10g, llama3 x %.6g beyond %.10g tokens, between %.6g and %.6g turns%s", r->theta, r->factor,
            r->original_ctx, r->low_freq, r->high_freq, factors);
        break;
    case BA_ROPE_YARN:
        row(name, "base %.10g, yarn x %.6g beyond %.10g tokens, between %.6g and %.6g turns, magnitude %.6g%s",
            r->theta, r->factor, r->original_ctx, r->beta_slow, r->beta_fast, r->magnitude, factors);
        break;
    }
}

static void print_shape(const ba_shape *s) {
    section("Shape");
    row("architecture", "%s", s->arch);
    row("layers", "%zu", s->layers);
    row("width", "%zu, feed-forward %zu (%s)", s->d_model, s->d_ff, glu_names[s->glu]);
    row("attention", "%zu heads of %zu over %zu KV heads, scores x %.6g", s->heads, s->head_dim, s->kv_heads,
        s->attn_scale);
    row("variant", "%s head%s%s%s", s->tied ? "tied" : "untied", s->qkv_bias ? ", biases on Q, K, V" : "",
        s->qk_norm ? ", norms on Q and K" : "", s->post_norms ? ", norms after attention and feed-forward" : "");
    row("context", "%zu tokens", s->ctx);
    rope_row("rope", &s->rope);
    if (s->window) {
        row("window", "%zu tokens in %zu of %zu layers", s->window, count_local(s), s->layers);
        rope_row("rope in window", &s->rope_local);
    }
}

/* "1 <|im_start|>" or "none" */
static const char *token_text(const ba_vocab *v, int32_t id, char out[64]) {
    if (id < 0) {
        return "none";
    }
    snprintf(out, 64, "%d %.*s", id, (int)(v->token[id].n < 48 ? v->token[id].n : 48), v->token[id].s);
    return out;
}

static void print_vocabulary(const ba_vocab *v) {
    char text[64], ends[256] = "";
    size_t used = 0;
    section("Vocabulary");
    row("kind", "%s", kind_names[v->kind]);
    if (v->kind == BA_VOCAB_NONE) {
        return;
    }
    if (v->n_merge) {
        row("size", "%zu tokens, %zu merges", v->n, v->n_merge);
    } else {
        row("size", "%zu tokens", v->n);
    }
    if (v->kind == BA_VOCAB_BPE) {
        row("pre-tokeniser", "%s", *v->pre ? v->pre : "not named in the file");
    }
    row("begins with", "%s%s", token_text(v, v->bos, text), v->bos >= 0 && !v->add_bos ? " (not added by itself)" : "");
    for (size_t i = 0; i < v->n_eog && used < sizeof ends; i++) {
        used +=
            (size_t)snprintf(ends + used, sizeof ends - used, "%s%s", i ? ", " : "", token_text(v, v->eog[i], text));
    }
    row("ends with", "%s", v->n_eog ? ends : "none");
    const ba_chat *chat = ba_chat_of(v);
    char why[BA_ERR_LEN];
    if (ba_chat_settled(v, why) != 0) {
        row("chat", "%s", why);
    } else {
        row("chat", "%s", chat ? chat->family : "no template");
    }
}

static void print_weights(ba_model *m) {
    char bytes[32], exact[32];
    const ba_shape *s = ba_model_shape(m);
    section("Weights");
    row("parameters", "%s", grouped(parameters(m), exact));
    row("types", "%s", ba_model_types(m));
    ba_print_bytes(bytes, sizeof bytes, (double)ba_model_file_bytes(m));
    row("file", "%s (%s bytes)", bytes, grouped(ba_model_file_bytes(m), exact));
    row("hash", "%s", ba_model_hash(m));
    section("KV cache");
    row("in f32", "%s bytes per token", grouped(kv_bytes(s, 4), exact));
    row("in 16 bits", "%s bytes per token", grouped(kv_bytes(s, 2), exact));
}

static int print_page(ba_model *m, bool weights) {
    printf("%s\n", ba_model_path(m));
    row("name", "%s", ba_model_name(m));
    if (ba_model_shape(m)->layers) {
        print_shape(ba_model_shape(m));
    }
    print_vocabulary(ba_model_vocab(m));
    if (weights) {
        print_weights(m);
    } else {
        section("Weights");
        row("none", "a vocabulary only");
    }
    return BA_EXIT_OK;
}

/* ---- for programs ----------------------------------------------------------------------------------------------- */

static void add_text(cJSON *o, const char *key, const char *text) {
    ba_json_add_bytes(o, key, text, strlen(text));
}

static void add_rope(cJSON *o, const char *key, const ba_rope *r) {
    cJSON *rope = cJSON_AddObjectToObject(o, key);
    ba_json_add_number(rope, "theta", r->theta);
    add_text(rope, "scaling", scaling_names[r->scaling]);
    cJSON_AddBoolToObject(rope, "freq_factors", r->freq_factors != NULL);
    if (r->scaling != BA_ROPE_NONE) {
        ba_json_add_number(rope, "factor", r->factor);
    }
    if (r->scaling == BA_ROPE_LLAMA3 || r->scaling == BA_ROPE_YARN) {
        ba_json_add_number(rope, "original_context", r->original_ctx);
    }
    if (r->scaling == BA_ROPE_LLAMA3) {
        ba_json_add_number(rope, "low_freq_factor", r->low_freq);
        ba_json_add_number(rope, "high_freq_factor", r->high_freq);
    }
    if (r->scaling == BA_ROPE_YARN) {
        ba_json_add_number(rope, "beta_fast", r->beta_fast);
        ba_json_add_number(rope, "beta_slow", r->beta_slow);
        ba_json_add_number(rope, "magnitude", r->magnitude);
    }
}

static void add_shape(cJSON *o, const ba_shape *s) {
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {{"layers", s->layers},     {"d_model", s->d_model},   {"heads", s->heads},
                 {"kv_heads", s->kv_heads}, {"head_dim", s->head_dim}, {"d_ff", s->d_ff},
                 {"vocab", s->vocab},       {"context", s->ctx},       {"window", s->window}};
    add_text(o, "architecture", s->arch);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ba_json_add_number(o, sizes[i].key, (double)sizes[i].value);
    }
    add_text(o, "activation", s->glu == BA_GLU_SILU ? "silu" : "gelu_tanh");
    ba_json_add_number(o, "norm_eps", s->norm_eps);
    ba_json_add_number(o, "attn_scale", s->attn_scale);
    ba_json_add_number(o, "embed_scale", s->embed_scale);
    cJSON_AddBoolToObject(o, "tied", s->tied);
    cJSON_AddBoolToObject(o, "qkv_bias", s->qkv_bias);
    cJSON_AddBoolToObject(o, "qk_norm", s->qk_norm);
    cJSON_AddBoolToObject(o, "post_norms", s->post_norms);
    add_rope(o, "rope", &s->rope);
    if (s->window) {
        add_rope(o, "rope_local", &s->rope_local);
        cJSON *local = cJSON_AddArrayToObject(o, "local_layers");
        for (size_t i = 0; i < s->layers; i++) {
            if (s->local[i]) {
                cJSON_AddItemToArray(local, cJSON_CreateNumber((double)i));
            }
        }
    }
    ba_json_add_number(o, "kv_bytes_per_token_f32", (double)kv_bytes(s, 4));
    ba_json_add_number(o, "kv_bytes_per_token_16bit", (double)kv_bytes(s, 2));
}

static void add_id(cJSON *o, const char *key, int32_t id) {
    cJSON_AddItemToObject(o, key, id < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(id));
}

static void add_vocabulary(cJSON *o, const ba_vocab *v) {
    static const char *const kinds[] = {[BA_VOCAB_NONE] = "none", [BA_VOCAB_BPE] = "bpe", [BA_VOCAB_SPM] = "spm"};
    const ba_chat *chat = ba_chat_of(v);
    cJSON *vocabulary = cJSON_AddObjectToObject(o, "vocabulary");
    add_text(vocabulary, "kind", kinds[v->kind]);
    ba_json_add_number(vocabulary, "size", (double)v->n);
    ba_json_add_number(vocabulary, "merges", (double)v->n_merge);
    add_text(vocabulary, "pre", v->pre);
    add_id(vocabulary, "bos", v->bos);
    add_id(vocabulary, "eos", v->eos);
    add_id(vocabulary, "unk", v->unk);
    add_id(vocabulary, "pad", v->pad);
    cJSON_AddItemToObject(vocabulary, "ends", cJSON_CreateIntArray(v->eog, (int)v->n_eog));
    cJSON_AddBoolToObject(vocabulary, "add_bos", v->add_bos);
    cJSON_AddBoolToObject(vocabulary, "add_space_prefix", v->add_space_prefix);
    if (chat) {
        add_text(vocabulary, "chat", chat->family);
    } else {
        cJSON_AddNullToObject(vocabulary, "chat");
    }
}

static int print_json(ba_model *m, bool weights) {
    cJSON *o = cJSON_CreateObject();
    add_text(o, "path", ba_model_path(m));
    add_text(o, "name", ba_model_name(m));
    if (ba_model_shape(m)->layers) {
        add_shape(o, ba_model_shape(m));
    }
    add_vocabulary(o, ba_model_vocab(m));
    ba_json_add_number(o, "file_bytes", (double)ba_model_file_bytes(m));
    if (weights) {
        ba_json_add_number(o, "parameters", (double)parameters(m));
        add_text(o, "types", ba_model_types(m));
        add_text(o, "hash", ba_model_hash(m));
    }
    return ba_json_print(o);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

/* Everything if there is everything; only the vocabulary if the file holds no more than that. 0, or -1 and err. */
static int open_model(const char *path, ba_model **m, bool *weights, char err[BA_ERR_LEN]) {
    if (ba_model_open(path, false, m, err) != 0) {
        return -1;
    }
    *weights = ba_model_has_weights(*m);
    if (!*weights) {
        return 0;
    }
    ba_model_close(*m);
    return ba_model_open(path, true, m, err);
}

typedef struct options {
    bool fields;
} options;

/* A row of the page of fields: added to the list (JSON), or printed. */
static void show_field(const ba_field *f, cJSON *list) {
    if (!list) {
        printf("%-30s %-34s %-9s %s\n", f->file, f->field, f->verdict, f->why ? f->why : "");
        return;
    }
    cJSON *row = cJSON_CreateObject();
    add_text(row, "file", f->file);
    add_text(row, "field", f->field);
    add_text(row, "verdict", f->verdict);
    add_text(row, "why", f->why ? f->why : "");
    cJSON_AddItemToArray(list, row);
}

/* What the readers of a Hugging Face folder do with each field. */
static int print_fields(bool json) {
    cJSON *list = json ? cJSON_CreateArray() : NULL;
    const ba_field *f;
    for (size_t i = 0; (f = ba_model_field_at(i)); i++) {
        show_field(f, list);
    }
    for (f = ba_tokenizer_fields(); f->file; f++) {
        show_field(f, list);
    }
    char *text = list ? cJSON_PrintUnformatted(list) : NULL;
    if (text) {
        puts(text);
    }
    cJSON_free(text);
    cJSON_Delete(list);
    return json && !text ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : BA_EXIT_OK;
}

static int run(const ba_call *call) {
    ba_common c = *call->common;
    if (((const options *)call->options)->fields) {
        return print_fields(c.format == BA_FORMAT_JSON);
    }
    char path[4096], err[BA_ERR_LEN];
    if (call->n_operand > 1 || (call->n_operand && c.model)) {
        return ba_cli_fail(BA_EXIT_USAGE, "one model at a time: '%s' is one too many",
                           call->operand[call->n_operand - 1]);
    }
    c.model = call->n_operand ? call->operand[0] : c.model;
    ba_model *m;
    bool weights;
    if (ba_model_path_of(&c, path, sizeof path, err) != 0 || open_model(path, &m, &weights, err) != 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    int status = c.format == BA_FORMAT_JSON ? print_json(m, weights) : print_page(m, weights);
    ba_model_close(m);
    return status;
}

static const ba_option own[] = {{"fields", NULL, BA_FLAG, offsetof(options, fields),
                                 .help = "instead: every field of config.json, adapter_config.json and tokenizer.json "
                                         "that is honoured, refused or harmless"},
                                {.name = NULL}};

const ba_command ba_command_info = {
    .name = "info",
    .summary = "what a model is: shape, vocabulary, weights, bytes of KV",
    .usage = "[MODEL] [OPTIONS]",
    .about =
        "What a model is: shape, rotary positions, vocabulary, weights, bytes of KV per token. MODEL is a GGUF file "
        "or a Hugging Face folder, like --model.",
    .example = "blockattn info\n"
               "blockattn info model.gguf --json",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_MODEL | BA_TAKES_JSON,
    .operands = SIZE_MAX,
    .run = run,
};
