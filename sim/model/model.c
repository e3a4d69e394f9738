#include "model.h"

#include "parts.h"
#include "shape_read.h"
#include "sim/base/json_read.h"
#include "sim/chat/chat.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static int read_gguf_shape(ba_model *m, char err[BA_ERR_LEN]) {
    ba_span arch = {"", 0};
    char name[64];
    if (ba_gguf_string(m->gguf, "general.architecture", &arch, err) != 0) {
        return -1;
    }
    snprintf(name, sizeof name, "%.*s", (int)(arch.n < 63 ? arch.n : 63), arch.s);
    if (!(m->arch = ba_arch_by_name(name))) {
        return ba_arch_unknown(m->path, "general.architecture", name, err);
    }
    ba_arch_begin(m->arch, &m->shape);
    if (ba_shape_from_gguf(m->gguf, m->arch, &m->shape, err) != 0) {
        return -1;
    }
    const ba_file_tensor *embed = ba_tensor_table_find(m->stored, m->n_stored, "token_embd.weight");
    if (m->vocab.n && m->shape.vocab && m->shape.vocab != m->vocab.n) {
        return ba_fail(err, "%s: '%s.vocab_size' is %zu, but there are %zu tokens; convert the model again", m->path,
                       name, m->shape.vocab, m->vocab.n);
    }
    m->shape.vocab = m->vocab.n ? m->vocab.n : embed && embed->n_dims == 2 ? (size_t)embed->dim[1] : m->shape.vocab;
    m->shape.embed_scale = m->arch->embed_scaled ? sqrt((double)m->shape.d_model) : 1;
    m->shape.tied = !ba_tensor_table_find(m->stored, m->n_stored, "output.weight");
    return 0;
}

static int open_gguf(ba_model *m, char err[BA_ERR_LEN]) {
    ba_span name = {"", 0};
    if (ba_gguf_open(m->path, &m->gguf, err) != 0 || ba_vocab_from_gguf(m->gguf, &m->vocab, err) != 0 ||
        ba_gguf_string(m->gguf, "general.name", &name, err) != 0) {
        return -1;
    }
    if (ba_chat_learn(&m->vocab) != 0) {
        return ba_fail(err, "%s: out of memory", m->path);
    }
    const char *slash = strrchr(m->path, '/');
    m->name = name.n ? strndup(name.s, name.n) : strdup(slash ? slash + 1 : m->path);
    m->stored = ba_gguf_tensors(m->gguf, &m->n_stored);
    return m->name ? 0 : ba_fail(err, "%s: out of memory", m->path);
}

/* How names of the text model's tensors begin. */
static const char *name_prefix(const ba_model *m) {
    static const char *const prefixes[] = {"", "language_model.", "model.language_"};
    char name[96];
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        snprintf(name, sizeof name, "%smodel.norm.weight", prefixes[i]);
        if (ba_tensor_table_find(m->stored, m->n_stored, name)) {
            return prefixes[i];
        }
    }
    return "";
}

static int open_folder(ba_model *m, char err[BA_ERR_LEN]) {
    char path[4096], real[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/config.json", m->path) >= sizeof path) {
        return ba_fail(err, "%s: the path is too long", m->path);
    }
    const cJSON *config;
    if (ba_json_read(path, &m->config, err) != 0 ||
        ba_shape_from_config_file(m->config, path, &config, &m->arch, &m->shape, err) != 0) {
        return -1;
    }
    m->name = strdup(basename(realpath(m->path, real) ? real : m->path));
    if (!m->name) {
        return ba_fail(err, "%s: out of memory", m->path);
    }
    if (ba_vocab_from_folder(m->path, config, m->shape.vocab, &m->vocab, &m->vocab_source, err) != 0) {
        return -1;
    }
    return ba_chat_learn(&m->vocab) == 0 ? 0 : ba_fail(err, "%s: out of memory", m->path);
}

static int open_weights(ba_model *m, char err[BA_ERR_LEN]) {
    if (m->gguf) {
        if (read_gguf_shape(m, err) != 0 || ba_shape_check(&m->shape, m->path, err) != 0) {
            return -1;
        }
    } else {
        if (ba_safetensors_open(m->path, &m->weights, err) != 0) {
            return -1;
        }
        m->stored = ba_safetensors_tensors(m->weights, &m->n_stored);
        m->prefix = name_prefix(m);
    }
    if (m->n_stored == 0) {
        return ba_fail(err, "%s: the file holds no weights, only a vocabulary; give a model with weights", m->path);
    }
    return ba_model_bind(m, err);
}

/* Without weights the shape is a courtesy: what cannot be read stays zero, and the vocabulary can still be used. */
static void describe_only(ba_model *m) {
    char ignored[BA_ERR_LEN];
    if (m->gguf && (read_gguf_shape(m, ignored) != 0 || ba_shape_check(&m->shape, m->path, ignored) != 0)) {
        m->shape = (ba_shape){0};
    }
}

int ba_model_open(const char *path, bool need_weights, ba_model **out, char err[BA_ERR_LEN]) {
    struct stat info;
    *out = NULL;
    ba_model *m = calloc(1, sizeof *m);
    if (!m || !(m->path = strdup(path))) {
        ba_model_close(m);
        return ba_fail(err, "%s: out of memory", path);
    }
    m->prefix = "";
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    int rc = folder ? open_folder(m, err) : open_gguf(m, err);
    if (rc == 0 && need_weights) {
        rc = open_weights(m, err);
    } else if (rc == 0) {
        describe_only(m);
    }
    if (rc != 0) {
        ba_model_close(m);
        return -1;
    }
    *out = m;
    return 0;
}

int ba_model_random(const ba_shape *shape, const char *name, uint64_t seed, ba_model **out, char err[BA_ERR_LEN]) {
    *out = NULL;
    ba_model *m = calloc(1, sizeof *m);
    if (!m || !(m->path = strdup(name)) || !(m->name = strdup(name))) {
        ba_model_close(m);
        return ba_fail(err, "%s: out of memory", name);
    }
    m->prefix = "";
    m->arch = ba_arch_by_name(shape->arch);
    m->shape = *shape;
    m->random = true;
    m->seed = seed;
    snprintf(m->types, sizeof m->types, "weights: random, seed %llu", (unsigned long long)seed);
    if (ba_shape_check(shape, name, err) != 0 || ba_model_bind_random(m, err) != 0) {
        ba_model_close(m);
        return -1;
    }
    *out = m;
    return 0;
}

void ba_model_close(ba_model *m) {
    if (!m) {
        return;
    }
    for (size_t i = 0; m->slot && i < ba_slots(m); i++) {
        free(m->slot[i].owned);
        free(m->slot[i].merged);
    }
    free(m->slot);
    free(m->used);
    free(m->q_order);
    free(m->k_order);
    free(m->freq_factors);
    free(m->links);
    ba_vocab_free(&m->vocab);
    ba_vocab_source_free(&m->vocab_source);
    ba_safetensors_close(m->weights);
    ba_gguf_close(m->gguf);
    cJSON_Delete(m->config);
    free(m->name);
    free(m->path);
    free(m);
}

/* ---- what is asked of a model ----------------------------------------------------------------------------------- */

const ba_shape *ba_model_shape(const ba_model *m) {
    return &m->shape;
}

const ba_vocab *ba_model_vocab(const ba_model *m) {
    return &m->vocab;
}

int ba_model_choose_chat(ba_model *m, const char *choice, const char *template_path, char err[BA_ERR_LEN]) {
    return ba_chat_choose(&m->vocab, choice, template_path, err);
}

bool ba_model_has_weights(const ba_model *m) {
    return m->random || (m->gguf ? m->n_stored > 0 : m->weights || ba_safetensors_present(m->path));
}

const char *ba_model_path(const ba_model *m) {
    return m->path;
}

const char *ba_model_name(const ba_model *m) {
    return m->name;
}

bool ba_model_tensor(const ba_model *m, ba_tensor t, size_t layer, ba_tensor_view *out) {
    const ba_slot *s = ba_slot_of(m, t == BA_T_HEAD && m->shape.tied ? BA_T_EMBED : t, layer);
    if (!s || !s->present) {
        return false;
    }
    *out = s->view;
    return true;
}

const float *ba_model_gain(const ba_model *m, ba_tensor t, size_t layer, size_t *n) {
    const ba_slot *s = ba_slot_of(m, t, layer);
    if (!s || !s->present || !ba_is_norm(t)) {
        return NULL;
    }
    *n = s->view.cols;
    return s->owned;
}

uint64_t ba_model_file_bytes(const ba_model *m) {
    return m->gguf ? ba_gguf_bytes(m->gguf) : m->weights ? ba_safetensors_bytes(m->weights) : 0;
}

const char *ba_model_types(const ba_model *m) {
    return m->types;
}

const float *ba_model_links(const ba_model *m, size_t *n) {
    *n = m->links ? m->vocab.n_links : 0;
    return m->links;
}

void ba_model_set_links(ba_model *m, float *embedding, size_t n) {
    free(m->links);
    m->links = embedding;
    m->vocab.first_link = (int32_t)m->shape.vocab;
    m->vocab.n_links = n;
}
