/* What a tiny model is made of: sizes, tensors, values, vocabulary. */
#include "sim/base/random.h"
#include "tiny_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t vocabulary_size(bool spm);

/* ---- sizes ------------------------------------------------------------------------------------------------------ */

static void set_default(size_t *value, size_t standard) {
    if (!*value) {
        *value = standard;
    }
}

ba_tiny_spec ba_tiny_resolve(const ba_tiny_options *opt) {
    ba_tiny_spec s = {.o = opt ? *opt : (ba_tiny_options){0}};
    if (!s.o.arch) {
        s.o.arch = "llama";
    }
    s.gemma = strcmp(s.o.arch, "gemma3") == 0;
    s.bias = s.o.bias || strcmp(s.o.arch, "qwen2") == 0;
    s.qk_norm = s.gemma || strcmp(s.o.arch, "qwen3") == 0;
    s.interleaved = strcmp(s.o.arch, "llama") == 0;
    set_default(&s.o.layers, s.gemma ? 6 : 2);
    set_default(&s.o.d_model, 64);
    set_default(&s.o.heads, 4);
    set_default(&s.o.kv_heads, 2);
    set_default(&s.o.head_dim, 16);
    set_default(&s.o.d_ff, 96);
    set_default(&s.o.ctx, 2048);
    s.vocab = vocabulary_size(s.o.spm);
    return s;
}

size_t ba_tiny_vocab(const ba_tiny_options *opt) {
    return ba_tiny_resolve(opt).vocab;
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

static const struct {
    ba_tensor tensor;
    const char *gguf, *hf, *hf_gemma; /* hf_gemma: NULL if as hf */
} names[] = {
    {BA_T_ATTN_NORM, "attn_norm", "input_layernorm", 0},
    {BA_T_Q, "attn_q", "self_attn.q_proj", 0},
    {BA_T_K, "attn_k", "self_attn.k_proj", 0},
    {BA_T_V, "attn_v", "self_attn.v_proj", 0},
    {BA_T_O, "attn_output", "self_attn.o_proj", 0},
    {BA_T_Q_NORM, "attn_q_norm", "self_attn.q_norm", 0},
    {BA_T_K_NORM, "attn_k_norm", "self_attn.k_norm", 0},
    {BA_T_POST_ATTN_NORM, "post_attention_norm", "post_attention_layernorm", 0},
    {BA_T_FFN_NORM, "ffn_norm", "post_attention_layernorm", "pre_feedforward_layernorm"},
    {BA_T_GATE, "ffn_gate", "mlp.gate_proj", 0},
    {BA_T_UP, "ffn_up", "mlp.up_proj", 0},
    {BA_T_DOWN, "ffn_down", "mlp.down_proj", 0},
    {BA_T_POST_FFN_NORM, "post_ffw_norm", "post_feedforward_layernorm", 0},
};
enum { N_NAMES = sizeof names / sizeof *names };

static ba_tiny_part make_part(const ba_tiny_spec *s, ba_tensor t, size_t layer) {
    ba_tiny_part p = {.tensor = t, .layer = layer, .rows = 1, .cols = s->o.d_model, .vector = true};
    switch (t) {
    case BA_T_EMBED:
    case BA_T_HEAD:
        p.rows = s->vocab;
        break;
    case BA_T_Q:
        p.rows = s->o.heads * s->o.head_dim;
        break;
    case BA_T_K:
    case BA_T_V:
        p.rows = s->o.kv_heads * s->o.head_dim;
        break;
    case BA_T_O:
        p.rows = s->o.d_model;
        p.cols = s->o.heads * s->o.head_dim;
        break;
    case BA_T_GATE:
    case BA_T_UP:
        p.rows = s->o.d_ff;
        break;
    case BA_T_DOWN:
        p.rows = s->o.d_model;
        p.cols = s->o.d_ff;
        break;
    case BA_T_Q_NORM:
    case BA_T_K_NORM:
        p.cols = s->o.head_dim;
        break;
    default:
        break;
    }
    p.vector = p.rows == 1;
    return p;
}

static ba_tiny_part outer_part(const ba_tiny_spec *s, ba_tensor t, const char *gguf, const char *hf) {
    ba_tiny_part p = make_part(s, t, 0);
    snprintf(p.gguf, sizeof p.gguf, "%s.weight", gguf);
    snprintf(p.hf, sizeof p.hf, "%s.weight", hf);
    return p;
}

static ba_tiny_part layer_part(const ba_tiny_spec *s, size_t name, size_t layer, bool bias) {
    ba_tiny_part p = make_part(s, names[name].tensor, layer);
    const char *hf = s->gemma && names[name].hf_gemma ? names[name].hf_gemma : names[name].hf;
    const char *end = bias ? "bias" : "weight";
    if (bias) {
        p.cols = p.rows;
        p.rows = 1;
        p.vector = p.bias = true;
    }
    snprintf(p.gguf, sizeof p.gguf, "blk.%zu.%s.%s", layer, names[name].gguf, end);
    snprintf(p.hf, sizeof p.hf, "model.layers.%zu.%s.%s", layer, hf, end);
    return p;
}

static bool present(const ba_tiny_spec *s, ba_tensor t) {
    if (t == BA_T_Q_NORM || t == BA_T_K_NORM) {
        return s->qk_norm;
    }
    if (t == BA_T_POST_ATTN_NORM || t == BA_T_POST_FFN_NORM) {
        return s->gemma;
    }
    return true;
}

ba_tiny_part *ba_tiny_list(const ba_tiny_spec *s, size_t *n) {
    ba_tiny_part *list = calloc(3 + s->o.layers * (N_NAMES + 3), sizeof *list);
    size_t k = 0;
    if (!list) {
        return NULL;
    }
    list[k++] = outer_part(s, BA_T_EMBED, "token_embd", "model.embed_tokens");
    list[k++] = outer_part(s, BA_T_FINAL_NORM, "output_norm", "model.norm");
    if (s->o.untied) {
        list[k++] = outer_part(s, BA_T_HEAD, "output", "lm_head");
    }
    for (size_t layer = 0; layer < s->o.layers; layer++) {
        for (size_t i = 0; i < N_NAMES; i++) {
            ba_tensor t = names[i].tensor;
            if (!present(s, t)) {
                continue;
            }
            list[k++] = layer_part(s, i, layer, false);
            if (s->bias && (t == BA_T_Q || t == BA_T_K || t == BA_T_V)) {
                list[k++] = layer_part(s, i, layer, true);
            }
        }
    }
    *n = k;
    return list;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

double ba_tiny_element(const ba_tiny_spec *s, const ba_tiny_part *p, size_t row, size_t col) {
    uint64_t seed = s->o.seed * 1000003 + p->layer * 64 + (uint64_t)p->tensor * 2 + p->bias;
    uint64_t element = ba_random_bits(&seed) + (row * p->cols + col) * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t bits = ba_random_bits(&element);
    double unit = ldexp((double)(bits >> 11), -52) - 1; /* [-1, 1) */
    if (p->bias) {
        return 0.1 * unit;
    }
    return p->vector ? 1 + 0.2 * unit : unit * sqrt(3 / (double)p->cols);
}

double ba_tiny_value(const ba_tiny_options *opt, ba_tensor tensor, size_t layer, size_t row, size_t col) {
    ba_tiny_spec s = ba_tiny_resolve(opt);
    ba_tiny_part p = make_part(&s, tensor, layer);
    if (col == SIZE_MAX) {
        p.cols = p.rows;
        p.vector = p.bias = true;
        col = row;
        row = 0;
    }
    return ba_tiny_element(&s, &p, row, col);
}

/* ---- vocabulary ------------------------------------------------------------------------------------------------- */

#define G "\xc4\xa0"     /* U+0120, a space in the byte-level alphabet */
#define B "\xe2\x96\x81" /* U+2581, a space in SentencePiece */

static const char *const bpe_merges[] = {
    G " t", "h e", G "t he", "i n",   "o n", "e r",  G " a", "a n",  "an d", G " and", "r e",  "o r",   "e n",
    "i s",  "e s", G " o",   G "o f", "a t", G " w", "i t",  "in g", G " s", "e d",    G " i", G "i n", "l e",
    "a r",  "t i", "ti on",  "l o",   "k e", "ke y", "a s",  "ar e", "c h",  "o u",    "n e",  "s t",   "l l",
};
static const char *const spm_merges[] = {
    B " t", "h e", B "t he", "i n", "o n", "e r", B " a", "a n", "an d", B " and", "r e", "o r", B " o", B "o f",
};
#define COUNT(list) (sizeof(list) / sizeof *(list))

size_t ba_tiny_merges(const ba_tiny_spec *s) {
    return s->o.spm ? COUNT(spm_merges) : COUNT(bpe_merges);
}

const char *ba_tiny_merge_at(const ba_tiny_spec *s, size_t i) {
    return s->o.spm ? spm_merges[i] : bpe_merges[i];
}

static void merge_result(const char *merge, char *out, size_t size) {
    const char *space = strchr(merge, ' ');
    snprintf(out, size, "%.*s%s", (int)(space - merge), merge, space + 1);
}

/* The byte-level alphabet: printable Latin-1 maps to itself, the others for U+0100 and up in their order. */
static void byte_symbol(size_t byte, char *out) {
    size_t code = byte, other = 0;
    for (size_t b = 0; b <= byte; b++) {
        bool printable = (b > 32 && b < 127) || (b > 160 && b != 173);
        code = printable ? b : 256 + other;
        other += !printable;
    }
    if (code < 128) {
        out[0] = (char)code;
    } else {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
    }
}

static ba_tiny_token named(const char *text, ba_token_type type) {
    ba_tiny_token t = {.type = type};
    snprintf(t.text, sizeof t.text, "%s", text);
    return t;
}

static ba_tiny_token bpe_token(size_t id) {
    static const char *const control[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    ba_tiny_token t = {.type = BA_TOKEN_NORMAL};
    if (id < 3) {
        return named(control[id], BA_TOKEN_CONTROL);
    }
    if (id < 3 + 256) {
        byte_symbol(id - 3, t.text);
    } else {
        merge_result(bpe_merges[id - 3 - 256], t.text, sizeof t.text);
    }
    return t;
}

/* Where the parts of a SentencePiece vocabulary end: U+2581 and printable ASCII, then merges, then two marks. */
enum { CHARS = 1 + 94, MERGED = 3 + 256 + CHARS, LAST = MERGED + COUNT(spm_merges) };

static size_t vocabulary_size(bool spm) {
    return spm ? LAST + 2 : 3 + 256 + COUNT(bpe_merges);
}

static ba_tiny_token spm_token(size_t id) {
    static const char *const first[] = {"<unk>", "<s>", "</s>"}, *const last[] = {"<start_of_turn>", "<end_of_turn>"};
    ba_tiny_token t = {.type = BA_TOKEN_NORMAL};
    if (id < 3) {
        return named(first[id], id ? BA_TOKEN_CONTROL : BA_TOKEN_UNKNOWN);
    }
    if (id < 3 + 256) {
        snprintf(t.text, sizeof t.text, "<0x%02X>", (unsigned)(id - 3));
        t.type = BA_TOKEN_BYTE;
    } else if (id < MERGED) {
        size_t c = id - 3 - 256;
        snprintf(t.text, sizeof t.text, "%s", B);
        if (c) {
            snprintf(t.text, sizeof t.text, "%c", (int)(0x20 + c));
        }
        t.score = -(float)(1000 + c);
    } else if (id < LAST) {
        merge_result(spm_merges[id - MERGED], t.text, sizeof t.text);
        t.score = -(float)(id - MERGED);
    } else {
        return named(last[id - LAST], BA_TOKEN_CONTROL);
    }
    return t;
}

ba_tiny_token ba_tiny_token_at(const ba_tiny_spec *s, size_t id) {
    return s->o.spm ? spm_token(id) : bpe_token(id);
}

const char *ba_tiny_chat_template(const ba_tiny_spec *s) {
    return s->o.spm ? "{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}"
                      "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
                    : "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
}

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

void ba_tiny_put(ba_tiny_bytes *b, const void *data, size_t n) {
    if (b->n + n > b->room && !b->failed) {
        size_t room = 2 * (b->n + n);
        unsigned char *p = realloc(b->p, room);
        b->failed = !p;
        b->p = p ? p : b->p;
        b->room = p ? room : b->room;
    }
    if (!b->failed && n) {
        memcpy(b->p + b->n, data, n);
        b->n += n;
    }
}

void ba_tiny_put_element(ba_tiny_bytes *b, ba_dtype type, double value) {
    float f = (float)value;
    uint16_t half = type == BA_F16 ? ba_f32_to_f16(f) : ba_f32_to_bf16(f);
    ba_tiny_put(b, type == BA_F32 ? (void *)&f : &half, type == BA_F32 ? sizeof f : sizeof half);
}

int ba_tiny_write(const char *path, const ba_tiny_bytes *const *part, size_t n) {
    FILE *f = fopen(path, "wb");
    bool good = f != NULL;
    for (size_t i = 0; i < n && good; i++) {
        good = !part[i]->failed && fwrite(part[i]->p, 1, part[i]->n, f) == part[i]->n;
    }
    if (f && fclose(f) != 0) {
        good = false;
    }
    return good ? 0 : -1;
}
