/* From stored tensors to the places where the engine looks for them. */
#include "kernels/base/random_weight.h"
#include "parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names without ".weight". Those of layers have the layer's number in front: "blk.N." and "model.layers.N.". Where
 * norms follow attention and feed-forward, Hugging Face names the norms otherwise. */
static const struct {
    const char *gguf, *hf, *hf_post_norms;
} names[BA_T_COUNT] = {
    [BA_T_EMBED] = {"token_embd", "model.embed_tokens", 0},
    [BA_T_HEAD] = {"output", "lm_head", 0},
    [BA_T_FINAL_NORM] = {"output_norm", "model.norm", 0},
    [BA_T_ATTN_NORM] = {"attn_norm", "input_layernorm", 0},
    [BA_T_Q] = {"attn_q", "self_attn.q_proj", 0},
    [BA_T_K] = {"attn_k", "self_attn.k_proj", 0},
    [BA_T_V] = {"attn_v", "self_attn.v_proj", 0},
    [BA_T_O] = {"attn_output", "self_attn.o_proj", 0},
    [BA_T_Q_NORM] = {"attn_q_norm", "self_attn.q_norm", 0},
    [BA_T_K_NORM] = {"attn_k_norm", "self_attn.k_norm", 0},
    [BA_T_POST_ATTN_NORM] = {"post_attention_norm", "post_attention_layernorm", 0},
    [BA_T_FFN_NORM] = {"ffn_norm", "post_attention_layernorm", "pre_feedforward_layernorm"},
    [BA_T_GATE] = {"ffn_gate", "mlp.gate_proj", 0},
    [BA_T_UP] = {"ffn_up", "mlp.up_proj", 0},
    [BA_T_DOWN] = {"ffn_down", "mlp.down_proj", 0},
    [BA_T_POST_FFN_NORM] = {"post_ffw_norm", "post_feedforward_layernorm", 0},
};

bool ba_is_norm(ba_tensor t) {
    return t == BA_T_FINAL_NORM || t == BA_T_ATTN_NORM || t == BA_T_FFN_NORM || t == BA_T_Q_NORM || t == BA_T_K_NORM ||
           t == BA_T_POST_ATTN_NORM || t == BA_T_POST_FFN_NORM;
}

static bool belongs(const ba_shape *s, ba_tensor t) {
    switch (t) {
    case BA_T_HEAD:
        return !s->tied;
    case BA_T_Q_NORM:
    case BA_T_K_NORM:
        return s->qk_norm;
    case BA_T_POST_ATTN_NORM:
    case BA_T_POST_FFN_NORM:
        return s->post_norms;
    default:
        return true;
    }
}

static void expected_size(const ba_shape *s, ba_tensor t, size_t *rows, size_t *cols) {
    const size_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    *rows = 1;
    *cols = s->d_model;
    switch (t) {
    case BA_T_EMBED:
    case BA_T_HEAD:
        *rows = s->vocab;
        break;
    case BA_T_Q:
        *rows = q;
        break;
    case BA_T_K:
    case BA_T_V:
        *rows = kv;
        break;
    case BA_T_O:
        *rows = s->d_model;
        *cols = q;
        break;
    case BA_T_GATE:
    case BA_T_UP:
        *rows = s->d_ff;
        break;
    case BA_T_DOWN:
        *rows = s->d_model;
        *cols = s->d_ff;
        break;
    case BA_T_Q_NORM:
    case BA_T_K_NORM:
        *cols = s->head_dim;
        break;
    default:
        break;
    }
}

size_t ba_slots(const ba_model *m) {
    return BA_T_ATTN_NORM + m->shape.layers * BA_PER_LAYER;
}

ba_slot *ba_slot_of(const ba_model *m, ba_tensor t, size_t layer) {
    if (!m->slot || (t >= BA_T_ATTN_NORM && layer >= m->shape.layers) || t >= BA_T_COUNT) {
        return NULL;
    }
    size_t i = t < BA_T_ATTN_NORM ? (size_t)t : BA_T_ATTN_NORM + layer * BA_PER_LAYER + (size_t)(t - BA_T_ATTN_NORM);
    return &m->slot[i];
}

void ba_tensor_name(const ba_shape *s, ba_tensor t, size_t layer, const char *end, char *out, size_t size) {
    const char *hf = s->post_norms && names[t].hf_post_norms ? names[t].hf_post_norms : names[t].hf;
    if (t >= BA_T_ATTN_NORM) {
        snprintf(out, size, "model.layers.%zu.%s.%s", layer, hf, end);
    } else {
        snprintf(out, size, "%s.%s", hf, end);
    }
}

/* What the file calls a tensor, or its bias. */
static void stored_name(const ba_model *m, ba_tensor t, size_t layer, const char *end, char *out, size_t size) {
    if (!m->gguf) {
        size_t used = strlen(m->prefix) < size ? strlen(m->prefix) : size;
        memcpy(out, m->prefix, used);
        ba_tensor_name(&m->shape, t, layer, end, out + used, size - used);
    } else if (t >= BA_T_ATTN_NORM) {
        snprintf(out, size, "blk.%zu.%s.%s", layer, names[t].gguf, end);
    } else {
        snprintf(out, size, "%s.%s", names[t].gguf, end);
    }
}

static const ba_file_tensor *find(const ba_model *m, const char *name) {
    const ba_file_tensor *t = ba_tensor_table_find(m->stored, m->n_stored, name);
    if (t) {
        m->used[t - m->stored] = true;
    }
    return t;
}

static bool has_size(const ba_file_tensor *t, size_t rows, size_t cols) {
    if (t->dim[0] != cols || t->n_dims < (rows > 1 ? 2 : 1)) {
        return false;
    }
    for (size_t i = 1; i < t->n_dims; i++) {
        if (t->dim[i] != (i == 1 ? rows : 1)) {
            return false;
        }
    }
    return true;
}

/* A tensor that must be there, of this size, in a type that can be decoded. */
static const ba_file_tensor *need(const ba_model *m, const char *name, size_t rows, size_t cols, char err[BA_ERR_LEN]) {
    const ba_file_tensor *t = find(m, name);
    char found[112], wanted[64];
    ba_file_tensor_dims((const uint64_t[]){cols, rows}, rows > 1 ? 2 : 1, wanted, sizeof wanted);
    if (!t) {
        ba_fail(err, "%s: tensor '%s' is missing; a %s model needs it as %s", m->path, name, m->shape.arch, wanted);
        return NULL;
    }
    if (!t->decodable) {
        ba_fail(err, "%s: tensor '%s' is stored as %s, which cannot be decoded; quantise the model to another type",
                m->path, name, t->type_name);
        return NULL;
    }
    if (!has_size(t, rows, cols)) {
        bool vocabulary = rows == m->shape.vocab && t->n_dims > 1 && t->dim[0] == cols;
        ba_file_tensor_dims(t->dim, t->n_dims, found, sizeof found);
        ba_fail(err, "%s: tensor '%s' is %s, where %s is expected%s; convert the model again", m->path, name, found,
                wanted, vocabulary ? " (the vocabulary and this tensor disagree)" : "");
        return NULL;
    }
    return t;
}

/* A vector as floats, owned by the caller. */
static float *decode_vector(const ba_model *m, const ba_file_tensor *t, size_t n, char err[BA_ERR_LEN]) {
    float *v = malloc(n * sizeof *v);
    if (!v) {
        ba_fail(err, "%s: out of memory", m->path);
        return NULL;
    }
    ba_dtype_get(t->type)->decode(t->data, v, n);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) {
            ba_fail(err, "%s: tensor '%.*s' holds a value that is not finite; download it again", m->path,
                    (int)t->name.n, t->name.s);
            free(v);
            return NULL;
        }
    }
    return v;
}

static int bind_bias(ba_model *m, ba_tensor t, size_t layer, ba_slot *s, char err[BA_ERR_LEN]) {
    char name[128];
    if (!m->shape.qkv_bias || (t != BA_T_Q && t != BA_T_K && t != BA_T_V)) {
        return 0;
    }
    stored_name(m, t, layer, "bias", name, sizeof name);
    const ba_file_tensor *bias = need(m, name, 1, s->view.rows, err);
    s->owned = bias ? decode_vector(m, bias, s->view.rows, err) : NULL;
    s->view.bias = s->owned;
    return s->owned ? 0 : -1;
}

static int bind_norm(ba_model *m, const ba_file_tensor *t, ba_slot *s, char err[BA_ERR_LEN]) {
    s->owned = decode_vector(m, t, s->view.cols, err);
    for (size_t i = 0; s->owned && !m->gguf && m->arch->gain_plus_one && i < s->view.cols; i++) {
        s->owned[i] += 1;
    }
    return s->owned ? 0 : -1;
}

static int bind_one(ba_model *m, ba_tensor t, size_t layer, char err[BA_ERR_LEN]) {
    char name[128];
    ba_slot *s = ba_slot_of(m, t, layer);
    if (!belongs(&m->shape, t)) {
        return 0;
    }
    expected_size(&m->shape, t, &s->view.rows, &s->view.cols);
    stored_name(m, t, layer, "weight", name, sizeof name);
    const ba_file_tensor *stored = need(m, name, s->view.rows, s->view.cols, err);
    if (!stored) {
        return -1;
    }
    s->present = true;
    s->view.type = stored->type;
    s->view.data = stored->data;
    s->view.row_order = t == BA_T_Q ? m->q_order : t == BA_T_K ? m->k_order : NULL;
    return ba_is_norm(t) ? bind_norm(m, stored, s, err) : bind_bias(m, t, layer, s, err);
}

/* Row r of a head in half-split order is pair r % half, first or second half; interleaved files keep it at 2 pair +
 * half. */
static uint32_t *half_split_order(size_t heads, size_t head_dim) {
    uint32_t *order = malloc(heads * head_dim * sizeof *order);
    for (size_t i = 0; order && i < heads * head_dim; i++) {
        size_t r = i % head_dim, half = head_dim / 2;
        order[i] = (uint32_t)(i - r + 2 * (r % half) + r / half);
    }
    return order;
}

static int set_orders(ba_model *m, char err[BA_ERR_LEN]) {
    if (!m->gguf || !m->arch->interleaved) {
        return 0;
    }
    m->q_order = half_split_order(m->shape.heads, m->shape.head_dim);
    m->k_order = half_split_order(m->shape.kv_heads, m->shape.head_dim);
    return m->q_order && m->k_order ? 0 : ba_fail(err, "%s: out of memory", m->path);
}

/* Llama 3 files carry their scaling as divisors of the frequencies. */
static int set_freq_factors(ba_model *m, char err[BA_ERR_LEN]) {
    size_t n = m->shape.head_dim / 2;
    if (!find(m, "rope_freqs.weight")) {
        return 0;
    }
    const ba_file_tensor *t = need(m, "rope_freqs.weight", 1, n, err);
    m->freq_factors = t ? decode_vector(m, t, n, err) : NULL;
    for (size_t i = 0; m->freq_factors && i < n; i++) {
        if (!(m->freq_factors[i] > 0)) {
            return ba_fail(err, "%s: tensor 'rope_freqs.weight' holds %g, where a divisor above 0 is needed", m->path,
                           (double)m->freq_factors[i]);
        }
    }
    m->shape.rope.freq_factors = m->freq_factors;
    if (m->arch->theta_local == 0) {
        m->shape.rope_local.freq_factors = m->freq_factors;
    }
    return m->freq_factors ? 0 : -1;
}

/* Tensors that may lie unused in a file without changing what the model computes. */
static bool harmless(const ba_model *m, ba_span name) {
    static const char *const parts[] = {"rotary_emb.inv_freq", "vision_tower.", "multi_modal_projector."};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (memmem(name.s, name.n, parts[i], strlen(parts[i]))) {
            return true;
        }
    }
    return m->shape.tied && !m->gguf && ba_span_is(name, "lm_head.weight");
}

/* A tensor that nobody uses is arithmetic left out: better no logits than wrong ones. */
static int check_unused(const ba_model *m, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < m->n_stored; i++) {
        if (!m->used[i] && !harmless(m, m->stored[i].name)) {
            return ba_fail(err,
                           "%s: tensor '%.*s' is nothing that a %s model of %zu layers computes with; this variant is "
                           "not supported",
                           m->path, (int)m->stored[i].name.n, m->stored[i].name.s, m->shape.arch, m->shape.layers);
        }
    }
    return 0;
}

/* "Q4_1 (211), F32 (61)", most frequent first. */
static void list_types(ba_model *m) {
    size_t count[BA_DTYPE_COUNT] = {0}, used = 0;
    for (size_t i = 0; i < m->n_stored; i++) {
        count[m->stored[i].type] += m->used[i];
    }
    for (;;) {
        size_t most = 0;
        for (size_t t = 1; t < BA_DTYPE_COUNT; t++) {
            most = count[t] > count[most] ? t : most;
        }
        if (!count[most] || used >= sizeof m->types) {
            return;
        }
        used += (size_t)snprintf(m->types + used, sizeof m->types - used, "%s%s (%zu)", used ? ", " : "",
                                 ba_dtype_get((ba_dtype)most)->name, count[most]);
        count[most] = 0;
    }
}

/* A folder may call its head tied and store one: transformers 5 then uses what is stored, if it differs. */
static void settle_head(ba_model *m) {
    char name[128];
    if (m->gguf || !m->shape.tied) {
        return;
    }
    stored_name(m, BA_T_EMBED, 0, "weight", name, sizeof name);
    const ba_file_tensor *embed = ba_tensor_table_find(m->stored, m->n_stored, name);
    stored_name(m, BA_T_HEAD, 0, "weight", name, sizeof name);
    const ba_file_tensor *head = ba_tensor_table_find(m->stored, m->n_stored, name);
    if (embed && head) {
        m->shape.tied = head->type == embed->type && head->bytes == embed->bytes &&
                        memcmp(head->data, embed->data, head->bytes) == 0;
    }
}

int ba_model_bind(ba_model *m, char err[BA_ERR_LEN]) {
    char name[128];
    m->slot = calloc(ba_slots(m), sizeof *m->slot);
    m->used = calloc(m->n_stored + 1, sizeof *m->used);
    if (!m->slot || !m->used) {
        return ba_fail(err, "%s: out of memory", m->path);
    }
    if (m->gguf) {
        stored_name(m, BA_T_Q, 0, "bias", name, sizeof name);
        m->shape.qkv_bias = m->arch->qkv_bias || ba_tensor_table_find(m->stored, m->n_stored, name);
    }
    settle_head(m);
    if (set_orders(m, err) != 0 || set_freq_factors(m, err) != 0) {
        return -1;
    }
    for (int t = 0; t < BA_T_COUNT; t++) {
        for (size_t layer = 0; layer < (t < BA_T_ATTN_NORM ? 1 : m->shape.layers); layer++) {
            if (bind_one(m, (ba_tensor)t, layer, err) != 0) {
                return -1;
            }
        }
    }
    list_types(m);
    return check_unused(m, err);
}

/* ---- random weights ---------------------------------------------------------------------------------------------- */

static int fill_random(ba_model *m, ba_tensor t, size_t layer, char err[BA_ERR_LEN]) {
    ba_slot *s = ba_slot_of(m, t, layer);
    if (!belongs(&m->shape, t)) {
        return 0;
    }
    ba_tensor_view *v = &s->view;
    expected_size(&m->shape, t, &v->rows, &v->cols);
    v->type = BA_BF16;
    v->seed = ba_random_mix(ba_random_mix(m->seed) ^ (uint64_t)(s - m->slot));
    s->present = true;
    bool bias = m->shape.qkv_bias && (t == BA_T_Q || t == BA_T_K || t == BA_T_V);
    size_t n = ba_is_norm(t) ? v->cols : bias ? v->rows : 0;
    if (n && !(s->owned = malloc(n * sizeof *s->owned))) {
        return ba_fail(err, "%s: out of memory", m->path);
    }
    for (size_t i = 0; i < n; i++) {
        s->owned[i] = bias ? ba_random_weight(~v->seed, i, ba_random_weight_scale(v->cols)) : 1;
    }
    v->bias = bias ? s->owned : NULL;
    return 0;
}

int ba_model_bind_random(ba_model *m, char err[BA_ERR_LEN]) {
    if (!(m->slot = calloc(ba_slots(m), sizeof *m->slot))) {
        return ba_fail(err, "%s: out of memory", m->path);
    }
    for (int t = 0; t < BA_T_COUNT; t++) {
        for (size_t layer = 0; layer < (t < BA_T_ATTN_NORM ? 1 : m->shape.layers); layer++) {
            if (fill_random(m, (ba_tensor)t, layer, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}
