/* The name of a model: a hash of everything that decides its logits. */
#include "parts.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static void hash_rope(XXH3_state_t *state, const ba_rope *r, size_t head_dim) {
    const double numbers[] = {r->theta,        (double)r->scaling, r->factor,    r->low_freq, r->high_freq,
                              r->original_ctx, r->beta_fast,       r->beta_slow, r->magnitude};
    const char exact[] = "exact ramp"; /* only where it is set, so that other hashes stay what they were */
    XXH3_128bits_update(state, numbers, sizeof numbers);
    if (r->exact_ramp) {
        XXH3_128bits_update(state, exact, sizeof exact);
    }
    if (r->freq_factors) {
        XXH3_128bits_update(state, r->freq_factors, head_dim / 2 * sizeof *r->freq_factors);
    }
}

/* Everything that decides a logit but the weights; not the context length, the name or the vocabulary. */
static void hash_shape(XXH3_state_t *state, const ba_model *m) {
    const ba_shape *s = &m->shape;
    const uint64_t sizes[] = {s->layers, s->d_model, s->heads, s->kv_heads, s->head_dim, s->d_ff,       s->vocab,
                              s->window, s->glu,     s->tied,  s->qkv_bias, s->qk_norm,  s->post_norms, !!m->q_order};
    const double scales[] = {s->norm_eps, s->attn_scale, s->embed_scale};
    XXH3_128bits_update(state, s->arch, strlen(s->arch) + 1);
    XXH3_128bits_update(state, sizes, sizeof sizes);
    XXH3_128bits_update(state, scales, sizeof scales);
    XXH3_128bits_update(state, s->local, s->layers * sizeof *s->local);
    hash_rope(state, &s->rope, s->head_dim);
    if (s->window) {
        hash_rope(state, &s->rope_local, s->head_dim);
    }
}

static void hash_slot(XXH3_state_t *state, const ba_slot *s) {
    size_t bytes;
    const uint64_t dim[] = {s->view.cols, s->view.rows}, head[] = {s->view.type, dim[0], dim[1], s->view.bias != NULL};
    if (!s->present || !ba_file_tensor_size(s->view.type, dim, 2, &bytes)) {
        return;
    }
    XXH3_128bits_update(state, head, sizeof head);
    if (s->view.data) {
        XXH3_128bits_update(state, s->view.data, bytes);
    } else {
        XXH3_128bits_update(state, &s->view.seed, sizeof s->view.seed);
    }
    if (s->view.bias) {
        XXH3_128bits_update(state, s->view.bias, s->view.rows * sizeof *s->view.bias);
    }
}

static void name_hash(const XXH3_state_t *state, char out[33]) {
    XXH128_hash_t h = XXH3_128bits_digest(state);
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}

const char *ba_model_hash(ba_model *m) {
    XXH3_state_t *state = m->hash[0] || !m->slot ? NULL : XXH3_createState();
    if (!state) {
        return m->hash;
    }
    XXH3_128bits_reset(state);
    hash_shape(state, m);
    for (size_t i = 0; i < ba_slots(m); i++) {
        hash_slot(state, &m->slot[i]);
    }
    if (m->links) {
        XXH3_128bits_update(state, m->links, m->vocab.n_links * m->shape.d_model * sizeof *m->links);
    }
    name_hash(state, m->hash);
    XXH3_freeState(state);
    return m->hash;
}

static void hash_texts(XXH3_state_t *state, const ba_span *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint64_t size = text[i].n;
        XXH3_128bits_update(state, &size, sizeof size);
        XXH3_128bits_update(state, text[i].s, text[i].n);
    }
}

const char *ba_model_vocab_hash(ba_model *m) {
    const ba_vocab *v = &m->vocab;
    XXH3_state_t *state = m->vocab_hash[0] ? NULL : XXH3_createState();
    if (!state) {
        return m->vocab_hash;
    }
    const uint64_t facts[] = {v->kind, v->n, v->n_merge, v->score != NULL, v->add_space_prefix};
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, facts, sizeof facts);
    XXH3_128bits_update(state, v->pre ? v->pre : "", v->pre ? strlen(v->pre) : 0);
    hash_texts(state, v->token, v->n);
    hash_texts(state, v->merge, v->n_merge);
    if (v->n) {
        XXH3_128bits_update(state, v->type, v->n * sizeof *v->type);
    }
    if (v->score) {
        XXH3_128bits_update(state, v->score, v->n * sizeof *v->score);
    }
    if (v->recipe) {
        XXH3_128bits_update(state, v->recipe->digest_text, strlen(v->recipe->digest_text));
    }
    name_hash(state, m->vocab_hash);
    XXH3_freeState(state);
    return m->vocab_hash;
}
