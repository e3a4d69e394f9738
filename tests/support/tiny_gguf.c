/* A tiny model as a GGUF file (version 3). */
#include "tiny_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 32, KV_ARRAY = 9 };

typedef struct writer {
    const ba_tiny_spec *spec;
    ba_tiny_bytes head, meta, table, data;
    uint64_t n_meta, n_tensor;
} writer;

static void put_u32(ba_tiny_bytes *b, uint32_t v) {
    ba_tiny_put(b, &v, sizeof v);
}

static void put_u64(ba_tiny_bytes *b, uint64_t v) {
    ba_tiny_put(b, &v, sizeof v);
}

static void put_string(ba_tiny_bytes *b, const char *s) {
    put_u64(b, strlen(s));
    ba_tiny_put(b, s, strlen(s));
}

static void pad(ba_tiny_bytes *b) {
    while (b->n % ALIGN && !b->failed) {
        ba_tiny_put(b, "", 1);
    }
}

/* ---- metadata --------------------------------------------------------------------------------------------------- */

/* Begins a key unless the options speak of it. */
static bool begin_key(writer *w, const char *key, uint32_t type) {
    for (const ba_tiny_meta *m = w->spec->o.meta; m && m->key; m++) {
        if (strcmp(m->key, key) == 0) {
            return false;
        }
    }
    put_string(&w->meta, key);
    put_u32(&w->meta, type);
    w->n_meta++;
    return true;
}

static void put_value(ba_tiny_bytes *b, int type, double number, const char *text) {
    float f = (float)number;
    switch (type) {
    case BA_TINY_STRING:
        put_string(b, text);
        break;
    case BA_TINY_BOOL:
        ba_tiny_put(b, number != 0 ? "\1" : "\0", 1);
        break;
    case BA_TINY_F32:
        ba_tiny_put(b, &f, sizeof f);
        break;
    default:
        put_u32(b, (uint32_t)(int64_t)number);
        break;
    }
}

static void put_number(writer *w, const char *key, int type, double number) {
    if (begin_key(w, key, (uint32_t)type)) {
        put_value(&w->meta, type, number, "");
    }
}

static void put_text(writer *w, const char *key, const char *text) {
    if (begin_key(w, key, BA_TINY_STRING)) {
        put_string(&w->meta, text);
    }
}

static void put_arch(writer *w, const char *key, int type, double number) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", w->spec->o.arch, key);
    put_number(w, full, type, number);
}

static bool begin_array(writer *w, const char *key, int type, size_t n) {
    if (!begin_key(w, key, KV_ARRAY)) {
        return false;
    }
    put_u32(&w->meta, (uint32_t)type);
    put_u64(&w->meta, n);
    return true;
}

static void put_vocabulary(writer *w) {
    const ba_tiny_spec *s = w->spec;
    put_text(w, "tokenizer.ggml.model", s->o.spm ? "llama" : "gpt2");
    put_text(w, "tokenizer.ggml.pre", s->o.spm ? "default" : "smollm");
    if (begin_array(w, "tokenizer.ggml.tokens", BA_TINY_STRING, s->vocab)) {
        for (size_t i = 0; i < s->vocab; i++) {
            put_string(&w->meta, ba_tiny_token_at(s, i).text);
        }
    }
    if (begin_array(w, "tokenizer.ggml.token_type", BA_TINY_I32, s->vocab)) {
        for (size_t i = 0; i < s->vocab; i++) {
            put_u32(&w->meta, ba_tiny_token_at(s, i).type);
        }
    }
    if (s->o.spm && begin_array(w, "tokenizer.ggml.scores", BA_TINY_F32, s->vocab)) {
        for (size_t i = 0; i < s->vocab; i++) {
            put_value(&w->meta, BA_TINY_F32, ba_tiny_token_at(s, i).score, NULL);
        }
    }
    if (!s->o.spm && begin_array(w, "tokenizer.ggml.merges", BA_TINY_STRING, ba_tiny_merges(s))) {
        for (size_t i = 0; i < ba_tiny_merges(s); i++) {
            put_string(&w->meta, ba_tiny_merge_at(s, i));
        }
    }
    put_number(w, "tokenizer.ggml.bos_token_id", BA_TINY_U32, s->o.spm ? 1 : 0);
    put_number(w, "tokenizer.ggml.eos_token_id", BA_TINY_U32, 2);
    put_number(w, "tokenizer.ggml.add_bos_token", BA_TINY_BOOL, s->o.spm);
    put_text(w, "tokenizer.chat_template", ba_tiny_chat_template(s));
}

static void put_metadata(writer *w) {
    const ba_tiny_options *o = &w->spec->o;
    put_text(w, "general.architecture", o->arch);
    put_text(w, "general.name", "tiny");
    put_number(w, "general.alignment", BA_TINY_U32, ALIGN);
    put_arch(w, "block_count", BA_TINY_U32, (double)o->layers);
    put_arch(w, "context_length", BA_TINY_U32, (double)o->ctx);
    put_arch(w, "embedding_length", BA_TINY_U32, (double)o->d_model);
    put_arch(w, "feed_forward_length", BA_TINY_U32, (double)o->d_ff);
    put_arch(w, "attention.head_count", BA_TINY_U32, (double)o->heads);
    put_arch(w, "attention.head_count_kv", BA_TINY_U32, (double)o->kv_heads);
    put_arch(w, "attention.key_length", BA_TINY_U32, (double)o->head_dim);
    put_arch(w, "attention.value_length", BA_TINY_U32, (double)o->head_dim);
    put_arch(w, "attention.layer_norm_rms_epsilon", BA_TINY_F32, 1e-6);
    put_arch(w, "rope.freq_base", BA_TINY_F32, w->spec->gemma ? 1e6 : 1e4);
    if (w->spec->gemma) {
        put_arch(w, "attention.sliding_window", BA_TINY_U32, 8);
    }
    put_vocabulary(w);
    for (const ba_tiny_meta *m = o->meta; m && m->key; m++) {
        if (m->type != BA_TINY_DROP) {
            put_string(&w->meta, m->key);
            put_u32(&w->meta, (uint32_t)m->type);
            put_value(&w->meta, m->type, m->number, m->text);
            w->n_meta++;
        }
    }
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

/* Where a block format keeps its half-precision scale and minimum (0: none), and the scale that gives values of about
 * one, the minimum in scales. */
static const struct {
    size_t scale_at, min_at;
    double scale, min;
} block_scales[BA_DTYPE_COUNT] = {
    [BA_Q4_0] = {0, 0, 0.2, 0},      [BA_Q4_1] = {0, 2, 0.2, -8},    [BA_Q5_0] = {0, 0, 0.1, 0},
    [BA_Q5_1] = {0, 2, 0.1, -16},    [BA_Q8_0] = {0, 0, 0.014, 0},   [BA_Q2_K] = {80, 82, 0.08, 1.5},
    [BA_Q3_K] = {108, 0, 0.025, 0},  [BA_Q4_K] = {0, 2, 0.004, 8},   [BA_Q5_K] = {0, 2, 0.002, 16},
    [BA_Q6_K] = {208, 0, 0.0007, 0}, [BA_IQ4_NL] = {0, 0, 0.014, 0},
};

/* Random bits are a valid block once its scales are sane. */
static void put_block(ba_tiny_bytes *b, const ba_tiny_spec *s, const ba_tiny_part *p, ba_dtype type, size_t row,
                      size_t col) {
    unsigned char block[256];
    const ba_dtype_info *info = ba_dtype_get(type);
    double spread = 1 / sqrt((double)p->cols), unit = sqrt(3 / (double)p->cols);
    for (size_t i = 0; i < info->bytes; i++) {
        /* bytes beyond the block's elements come from the next stream over */
        size_t element = i < info->block ? col + i : col;
        double v = ba_tiny_element(s, p, row + (i < info->block ? 0 : p->rows), element) / unit;
        block[i] = (unsigned char)((v + 1) * 0.5 * 65536);
    }
    double scale = block_scales[type].scale * spread;
    uint16_t d = ba_f32_to_f16((float)scale), m = ba_f32_to_f16((float)(scale * block_scales[type].min));
    memcpy(block + block_scales[type].scale_at, &d, sizeof d);
    if (block_scales[type].min_at) {
        memcpy(block + block_scales[type].min_at, &m, sizeof m);
    }
    ba_tiny_put(b, block, info->bytes);
}

/* Llama files keep the two halves of a rotary pair in neighbouring rows. */
static size_t half_split_row(const ba_tiny_spec *s, const ba_tiny_part *p, size_t row) {
    if (!s->interleaved || (p->tensor != BA_T_Q && p->tensor != BA_T_K)) {
        return row;
    }
    size_t head = row / s->o.head_dim, r = row % s->o.head_dim;
    return head * s->o.head_dim + r % 2 * (s->o.head_dim / 2) + r / 2;
}

static void put_tensor_data(writer *w, const ba_tiny_part *p, ba_dtype type) {
    for (size_t row = 0; row < p->rows; row++) {
        size_t from = p->bias ? row : half_split_row(w->spec, p, row);
        for (size_t col = 0; col < p->cols; col += ba_dtype_get(type)->block) {
            if (ba_dtype_get(type)->block > 1) {
                put_block(&w->data, w->spec, p, type, from, col);
            } else {
                size_t from_col = p->bias ? half_split_row(w->spec, p, col) : col;
                ba_tiny_put_element(&w->data, type, ba_tiny_element(w->spec, p, from, from_col));
            }
        }
    }
}

static void put_entry(writer *w, ba_tiny_entry *e) {
    if (w->spec->o.edit) {
        w->spec->o.edit(w->spec->o.arg, e);
    }
    if (e->omit) {
        return;
    }
    put_string(&w->table, e->name);
    put_u32(&w->table, e->n_dims);
    for (uint32_t i = 0; i < e->n_dims && i < 4; i++) {
        put_u64(&w->table, e->dim[i]);
    }
    put_u32(&w->table, e->ggml_type);
    put_u64(&w->table, e->offset);
    w->n_tensor++;
}

static void put_part(writer *w, const ba_tiny_part *p) {
    ba_dtype type = p->vector ? BA_F32 : w->spec->o.type;
    pad(&w->data);
    ba_tiny_entry e = {.n_dims = p->vector ? 1 : 2,
                       .dim = {p->cols, p->rows},
                       .ggml_type = ba_dtype_get(type)->ggml_type,
                       .offset = w->data.n};
    snprintf(e.name, sizeof e.name, "%s", p->gguf);
    put_entry(w, &e);
    put_tensor_data(w, p, type);
}

static void put_freq_factors(writer *w) {
    pad(&w->data);
    ba_tiny_entry e = {.name = "rope_freqs.weight", .n_dims = 1, .dim = {w->spec->o.head_dim / 2}, .offset = w->data.n};
    put_entry(w, &e);
    ba_tiny_put(&w->data, w->spec->o.freq_factors, w->spec->o.head_dim / 2 * sizeof(float));
}

int ba_tiny_gguf(const char *path, const ba_tiny_options *opt) {
    const ba_tiny_spec spec = ba_tiny_resolve(opt);
    writer w = {.spec = &spec};
    size_t n = 0;
    ba_tiny_part *part = ba_tiny_list(&spec, &n);
    put_metadata(&w);
    for (size_t i = 0; i < n; i++) {
        put_part(&w, &part[i]);
    }
    if (spec.o.freq_factors) {
        put_freq_factors(&w);
    }
    ba_tiny_put(&w.head, "GGUF\3\0\0", 8);
    put_u64(&w.head, w.n_tensor);
    put_u64(&w.head, w.n_meta);
    ba_tiny_put(&w.head, w.meta.p, w.meta.n);
    ba_tiny_put(&w.head, w.table.p, w.table.n);
    pad(&w.head);
    int rc = part ? ba_tiny_write(path, (const ba_tiny_bytes *const[]){&w.head, &w.data}, 2) : -1;
    bool lost = w.meta.failed || w.table.failed;
    free(part);
    free(w.head.p);
    free(w.meta.p);
    free(w.table.p);
    free(w.data.p);
    return lost ? -1 : rc;
}
