#include "model.h"

#include "config_fields.h"
#include "parts.h"
#include "shape_read.h"
#include "sim/base/json_read.h"
#include "sim/chat/chat.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- architectures ---------------------------------------------------------------------------------------------- */

static const ba_arch archs[] = {
    {.name = "llama", .model_type = {"llama", "mistral"}, .interleaved = true, .theta = 1e4},
    {.name = "qwen2", .model_type = {"qwen2"}, .qkv_bias = true, .theta = 1e4},
    {.name = "qwen3", .model_type = {"qwen3"}, .qk_norm = true, .theta = 1e4},
    {.name = "gemma3",
     .model_type = {"gemma3_text"},
     .qk_norm = true,
     .post_norms = true,
     .gain_plus_one = true,
     .embed_scaled = true,
     .tied = true,
     .glu = BA_GLU_GELU_TANH,
     .pattern = 6,
     .theta = 1e6,
     .theta_local = 1e4},
};
enum { N_ARCHS = sizeof archs / sizeof *archs, N_MODEL_TYPES = sizeof archs->model_type / sizeof *archs->model_type };

const ba_arch *ba_arch_by_name(const char *name) {
    for (size_t i = 0; i < N_ARCHS; i++) {
        if (strcmp(archs[i].name, name) == 0) {
            return &archs[i];
        }
    }
    return NULL;
}

const ba_arch *ba_arch_by_model_type(const char *model_type) {
    for (size_t i = 0; i < N_ARCHS; i++) {
        for (size_t k = 0; k < N_MODEL_TYPES && archs[i].model_type[k]; k++) {
            if (strcmp(archs[i].model_type[k], model_type) == 0) {
                return &archs[i];
            }
        }
    }
    return NULL;
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static void start_shape(ba_model *m) {
    const ba_arch *a = m->arch;
    m->shape.qk_norm = a->qk_norm;
    m->shape.post_norms = a->post_norms;
    m->shape.glu = a->glu;
    m->shape.norm_eps = 1e-5;
    snprintf(m->shape.arch, sizeof m->shape.arch, "%s", a->name);
}

static int no_arch(const char *path, const char *field, const char *found, char err[BA_ERR_LEN]) {
    char list[128];
    size_t used = 0;
    for (size_t i = 0; i < N_ARCHS; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", archs[i].name);
    }
    return ba_fail(err, "%s: %s is '%.40s', which is not supported; there is %s (and mistral as llama)", path, field,
                   found, list);
}

static int read_gguf_shape(ba_model *m, char err[BA_ERR_LEN]) {
    ba_span arch = {"", 0};
    char name[64];
    if (ba_gguf_string(m->gguf, "general.architecture", &arch, err) != 0) {
        return -1;
    }
    snprintf(name, sizeof name, "%.*s", (int)(arch.n < 63 ? arch.n : 63), arch.s);
    if (!(m->arch = ba_arch_by_name(name))) {
        return no_arch(m->path, "general.architecture", name, err);
    }
    start_shape(m);
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

/* The object that describes the text model. In a model of text and images it is a part of the file, and *tied says
 * what the part around it decides; else *tied is left alone. */
static int find_text_config(const ba_model *m, const char *path, const cJSON **text, const cJSON **tied,
                            char err[BA_ERR_LEN]) {
    const char *type = "";
    ba_wrapper_fields f = {0};
    *text = m->config;
    if (ba_json_string(m->config, "model_type", &type, path, err) != 0) {
        return -1;
    }
    if (strcmp(type, "gemma3") != 0) {
        return 0;
    }
    if (ba_fields_read(ba_wrapper_rows, type, m->config, path, &f, err) != 0) {
        return -1;
    }
    if (!ba_is_set(f.text_config)) {
        return ba_fail(err, "%s: 'text_config' is missing, where 'model_type' is gemma3", path);
    }
    *text = f.text_config;
    *tied = f.tied;
    return 0;
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
    if (ba_json_read(path, &m->config, err) != 0) {
        return -1;
    }
    const cJSON *config, *tied = NULL;
    if (find_text_config(m, path, &config, &tied, err) != 0) {
        return -1;
    }
    const char *type = config == m->config ? "" : "gemma3_text";
    if (ba_json_string(config, "model_type", &type, path, err) != 0) {
        return -1;
    }
    if (!(m->arch = ba_arch_by_model_type(type))) {
        return no_arch(path, "'model_type'", type, err);
    }
    start_shape(m);
    m->name = strdup(basename(realpath(m->path, real) ? real : m->path));
    if (!m->name) {
        return ba_fail(err, "%s: out of memory", m->path);
    }
    if (ba_shape_from_config(config, path, m->arch, type, &m->shape, err) != 0 ||
        ba_shape_check(&m->shape, path, err) != 0) {
        return -1;
    }
    m->shape.tied = config == m->config ? m->shape.tied : ba_bool_or(tied, true);
    m->shape.embed_scale = m->arch->embed_scaled ? sqrt((double)m->shape.d_model) : 1;
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
    return m->gguf ? m->n_stored > 0 : m->weights || ba_safetensors_present(m->path);
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
