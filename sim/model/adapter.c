#include "adapter.h"

#include "adapter_target.h"
#include "parts.h"
#include "sim/base/json_read.h"
#include "sim/files/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "base_model.model."

typedef struct adapter {
    const char *folder;
    char path[4096]; /* of adapter_config.json, for messages */
    cJSON *json;
    ba_adapter_fields f;
    ba_adapter_target *target;
    ba_safetensors *file;
    const ba_file_tensor *tensor;
    size_t n, used, targeted; /* tensors, those that were merged, modules that the configuration covers */
} adapter;

/* ---- adapter_config.json ---- */

/* Initialisations that leave the base as it is. The others take the adapter's first value out of the base weights, so
 * that the tensors alone are not enough. */
static int check_init(const adapter *a, char err[BA_ERR_LEN]) {
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    const cJSON *init = a->f.init_lora_weights;
    if (!cJSON_IsString(init)) {
        return 0;
    }
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        if (strcmp(init->valuestring, harmless[i]) == 0) {
            return 0;
        }
    }
    return ba_fail(
        err,
        "%s: 'init_lora_weights' is '%.40s', which may change the weights of the base; merge the adapter with "
        "peft and give the merged model",
        a->path, init->valuestring);
}

static int read_config(adapter *a, char err[BA_ERR_LEN]) {
    snprintf(a->path, sizeof a->path, "%s/adapter_config.json", a->folder);
    if (ba_json_read(a->path, &a->json, err) != 0) {
        return -1;
    }
    const char *type = "", *task = "CAUSAL_LM";
    if (ba_json_string(a->json, "peft_type", &type, a->path, err) != 0) {
        return -1;
    }
    if (strcmp(type, "LORA") != 0) {
        return ba_fail(err, "%s: 'peft_type' is '%.40s'; only LORA is supported", a->path, type);
    }
    if (ba_fields_read(ba_adapter_rows, "", a->json, a->path, &a->f, err) != 0 || check_init(a, err) != 0) {
        return -1;
    }
    task = ba_text_or(a->f.task_type, task);
    if (strcmp(task, "CAUSAL_LM") != 0) {
        return ba_fail(err, "%s: 'task_type' is '%.40s'; only CAUSAL_LM is supported", a->path, task);
    }
    if (ba_whole_or(a->f.rank, 8) < 1) {
        return ba_fail(err, "%s: 'r' is 0, where a rank from 1 on is needed", a->path);
    }
    return ba_adapter_target_new(&a->f, a->path, &a->target, err);
}

/* ---- tensors ---- */

/* Decoded values of a tensor that must have `rows` (0: any) and `cols` (0: any); *rows and *cols get what it has. NULL
 * and err. */
static float *read_tensor(const adapter *a, const ba_file_tensor *t, size_t *rows, size_t *cols, char err[BA_ERR_LEN]) {
    char found[112], wanted[112];
    bool fits = t->n_dims == 2 && (!*rows || t->dim[1] == *rows) && (!*cols || t->dim[0] == *cols);
    if (!t->decodable || !fits) {
        ba_file_tensor_dims(t->dim, t->n_dims, found, sizeof found);
        ba_file_tensor_dims((const uint64_t[]){*cols, *rows}, 2, wanted, sizeof wanted);
        ba_fail(err,
                "%s: tensor '%.*s' is %s (%s), where this model needs %s (0: the rank); it is an adapter of "
                "another model",
                a->folder, (int)t->name.n, t->name.s, found, t->type_name, wanted);
        return NULL;
    }
    *rows = t->dim[1];
    *cols = t->dim[0];
    float *values = malloc((*rows * *cols + 1) * sizeof *values);
    if (!values) {
        ba_fail(err, "%s: out of memory", a->folder);
        return NULL;
    }
    ba_dtype_get(t->type)->decode(t->data, values, *rows * *cols);
    return values;
}

/* W as floats in the order of its rows, plus scale B A. NULL: out of memory. */
static float *merged(const ba_slot *s, const float *b, const float *a, size_t rank, double scale) {
    const ba_tensor_view *v = &s->view;
    const ba_dtype_info *type = ba_dtype_get(v->type);
    float *w = malloc(v->rows * v->cols * sizeof *w);
    for (size_t r = 0; w && r < v->rows; r++) {
        float *row = w + r * v->cols;
        size_t from = v->row_order ? v->row_order[r] : r;
        type->decode((const uint8_t *)v->data + from * (v->cols / type->block * type->bytes), row, v->cols);
        for (size_t k = 0; k < rank; k++) {
            float factor = (float)(scale * (double)b[r * rank + k]);
            const float *add = a + k * v->cols;
            for (size_t i = 0; i < v->cols; i++) {
                row[i] += factor * add[i];
            }
        }
    }
    return w;
}

/* The merged matrix takes the slot; a bias follows its rows into their order. */
static int replace(ba_slot *s, float *w) {
    if (s->view.row_order && s->view.bias) {
        float *bias = malloc(s->view.rows * sizeof *bias);
        if (!bias) {
            return -1;
        }
        for (size_t r = 0; r < s->view.rows; r++) {
            bias[r] = s->view.bias[s->view.row_order[r]];
        }
        free(s->owned);
        s->owned = bias;
        s->view.bias = bias;
    }
    s->view.type = BA_F32;
    s->view.data = w;
    s->view.row_order = NULL;
    free(s->merged);
    s->merged = w;
    return 0;
}

/* ---- modules ---- */

/* "model.layers.0.self_attn.q_proj" */
static void name_module(const ba_shape *s, ba_tensor t, size_t layer, char *out, size_t size) {
    ba_tensor_name(s, t, layer, "", out, size);
    size_t n = strlen(out);
    out[n ? n - 1 : 0] = '\0'; /* the point before the ending */
}

static const ba_file_tensor *find(const adapter *a, const char *module, const char *end) {
    char name[192];
    snprintf(name, sizeof name, PREFIX "%s.%s", module, end);
    return ba_tensor_table_find(a->tensor, a->n, name);
}

/* A head that shares the embedding becomes a matrix of its own before it is changed. */
static ba_slot *slot_to_change(ba_model *m, ba_tensor t, size_t layer) {
    ba_slot *s = ba_slot_of(m, t, layer);
    if (t == BA_T_HEAD && m->shape.tied) {
        s->view = ba_slot_of(m, BA_T_EMBED, 0)->view;
        s->present = true;
        m->shape.tied = false;
    }
    return s;
}

static int merge_pair(adapter *a, ba_model *m, ba_tensor t, size_t layer, const ba_file_tensor *pair[2],
                      const char *module, char err[BA_ERR_LEN]) {
    size_t wanted, rank = 0;
    double scale;
    ba_slot *s = slot_to_change(m, t, layer);
    size_t cols = s->view.cols, rows = s->view.rows;
    float *high = NULL, *w = NULL, *low = read_tensor(a, pair[0], &rank, &cols, err);
    int rc = -1;
    if (!low) {
        return -1;
    }
    ba_adapter_scale(a->target, module, &wanted, &scale);
    if (rank != wanted) {
        ba_fail(err, "%s: 'r' is %zu for '%s', but its tensors have rank %zu; PEFT refuses that, too", a->path, wanted,
                module, rank);
        goto done;
    }
    if (!(high = read_tensor(a, pair[1], &rows, &rank, err))) {
        goto done;
    }
    w = merged(s, high, low, rank, scale);
    if (!w || replace(s, w) != 0) {
        free(w);
        ba_fail(err, "%s: out of memory", a->folder);
        goto done;
    }
    a->used += 2;
    rc = 0;
done:
    free(low);
    free(high);
    return rc;
}

/* A module that the configuration covers gets its pair; without one it stays what it is, as long as PEFT starts B at
 * zero. The pair of a module that is not covered is ignored, as PEFT does. */
static int merge_one(adapter *a, ba_model *m, ba_tensor t, size_t layer, char err[BA_ERR_LEN]) {
    char module[160];
    name_module(&m->shape, t, layer, module, sizeof module);
    const ba_file_tensor *pair[] = {find(a, module, "lora_A.weight"), find(a, module, "lora_B.weight")};
    if (!ba_adapter_targets(a->target, module, t != BA_T_HEAD)) {
        a->used += (size_t) !!pair[0] + !!pair[1];
        return 0;
    }
    a->targeted++;
    if (!pair[0] && !pair[1]) {
        const cJSON *init = a->f.init_lora_weights;
        bool zero =
            !init || cJSON_IsTrue(init) || (cJSON_IsString(init) && strcmp(init->valuestring, "orthogonal") != 0);
        return zero ? 0
                    : ba_fail(err, "%s: tensors of '%s' are missing, and 'init_lora_weights' would make them at random",
                              a->folder, module);
    }
    if (!pair[0] || !pair[1]) {
        const ba_file_tensor *one = pair[0] ? pair[0] : pair[1];
        return ba_fail(err, "%s: tensor '%.*s' has no partner lora_%s", a->folder, (int)one->name.n, one->name.s,
                       pair[0] ? "B" : "A");
    }
    return merge_pair(a, m, t, layer, pair, module, err);
}

/* Modules that are no matrices: an adapter that covers one does something that is not computed here. */
static int check_others(const adapter *a, const ba_model *m, char err[BA_ERR_LEN]) {
    static const char *const once[] = {"model", "model.embed_tokens", "model.layers", "model.norm", "model.rotary_emb"};
    static const char *const each[] = {"",
                                       ".self_attn",
                                       ".self_attn.q_norm",
                                       ".self_attn.k_norm",
                                       ".mlp",
                                       ".mlp.act_fn",
                                       ".input_layernorm",
                                       ".post_attention_layernorm",
                                       ".pre_feedforward_layernorm",
                                       ".post_feedforward_layernorm"};
    enum { ONCE = sizeof once / sizeof *once, EACH = sizeof each / sizeof *each };
    for (size_t i = 0; i < ONCE + m->shape.layers * EACH; i++) {
        char module[160];
        if (i < ONCE) {
            snprintf(module, sizeof module, "%s", once[i]);
        } else {
            snprintf(module, sizeof module, "model.layers.%zu%s", (i - ONCE) / EACH, each[(i - ONCE) % EACH]);
        }
        if (ba_adapter_targets(a->target, module, false)) {
            return ba_fail(err, "%s: 'target_modules' covers '%s'; only linear layers can be adapted", a->path, module);
        }
    }
    return 0;
}

/* Why a tensor is not read, in the words of what it looks like. */
static const char *why_unknown(ba_span name) {
    static const struct {
        const char *part, *why;
    } reasons[] = {
        {"lora_embedding_", "adapters of embeddings are not computed"},
        {"lora_magnitude_vector", "magnitudes of DoRA are not computed"},
        {".bias", "biases are not read"},
        {".modules_to_save.", "whole trained modules are not read"},
        {".base_layer.", "weights of the base do not belong into an adapter"},
        {".lora_A.default.", "PEFT does not read names that hold the adapter's name; save the adapter with peft again"},
        {".lora_B.default.", "PEFT does not read names that hold the adapter's name; save the adapter with peft again"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (memmem(name.s, name.n, reasons[i].part, strlen(reasons[i].part))) {
            return reasons[i].why;
        }
    }
    return name.n < strlen(PREFIX) || memcmp(name.s, PREFIX, strlen(PREFIX)) != 0
               ? "PEFT reads only names that begin with " PREFIX
               : NULL;
}

static const ba_tensor linear[] = {BA_T_Q, BA_T_K, BA_T_V, BA_T_O, BA_T_GATE, BA_T_UP, BA_T_DOWN};
enum { N_LINEAR = sizeof linear / sizeof *linear };

static bool is_known(const adapter *a, const ba_model *m, const ba_file_tensor *t) {
    char module[160];
    for (size_t i = 0; i <= m->shape.layers * N_LINEAR; i++) {
        bool head = i == m->shape.layers * N_LINEAR;
        name_module(&m->shape, head ? BA_T_HEAD : linear[i % N_LINEAR], i / N_LINEAR, module, sizeof module);
        if (find(a, module, "lora_A.weight") == t || find(a, module, "lora_B.weight") == t) {
            return true;
        }
    }
    return false;
}

/* The first tensor that no module of the model asks for. */
static int name_unused(const adapter *a, const ba_model *m, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < a->n; i++) {
        const ba_span name = a->tensor[i].name;
        if (is_known(a, m, &a->tensor[i])) {
            continue;
        }
        const char *why = why_unknown(name);
        if (why) {
            return ba_fail(err, "%s: tensor '%.*s' is not used: %s", a->folder, (int)name.n, name.s, why);
        }
        return ba_fail(err,
                       "%s: tensor '%.*s' belongs to nothing that a %s model of %zu layers has; it is an adapter of "
                       "another model",
                       a->folder, (int)name.n, name.s, m->shape.arch, m->shape.layers);
    }
    return ba_fail(err, "%s: holds no LoRA tensors", a->folder);
}

static int open_tensors(adapter *a, char err[BA_ERR_LEN]) {
    char path[4096];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", a->folder);
    bool there = access(path, F_OK) == 0;
    snprintf(path, sizeof path, "%s/adapter_model.bin", a->folder);
    if (!there && access(path, F_OK) == 0) {
        return ba_fail(err,
                       "%s: is a pickle, which can run code and is not read; save the adapter as safetensors "
                       "(peft: save_pretrained with safe_serialization)",
                       path);
    }
    if (ba_safetensors_open_file(a->folder, "adapter_model.safetensors", &a->file, err) != 0) {
        return -1;
    }
    a->tensor = ba_safetensors_tensors(a->file, &a->n);
    return 0;
}

static int merge_all(adapter *a, ba_model *m, char err[BA_ERR_LEN]) {
    if (open_tensors(a, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < m->shape.layers * N_LINEAR; i++) {
        if (merge_one(a, m, linear[i % N_LINEAR], i / N_LINEAR, err) != 0) {
            return -1;
        }
    }
    if (merge_one(a, m, BA_T_HEAD, 0, err) != 0 || check_others(a, m, err) != 0) {
        return -1;
    }
    if (a->used != a->n || !a->n) {
        return name_unused(a, m, err);
    }
    return a->targeted ? 0 : ba_fail(err, "%s: 'target_modules' covers no module of this model", a->path);
}

/* ---- link tokens ---- */

static int read_links(const char *folder, ba_model *m, char err[BA_ERR_LEN]) {
    char path[4096];
    adapter a = {.folder = folder};
    size_t rows = 0, cols = m->shape.d_model;
    snprintf(path, sizeof path, "%s/" BA_LINKS_FILE, folder);
    if (access(path, F_OK) != 0) {
        return 0;
    }
    if (ba_safetensors_open_file(folder, BA_LINKS_FILE, &a.file, err)) {
        return -1;
    }
    a.tensor = ba_safetensors_tensors(a.file, &a.n);
    const ba_file_tensor *t = ba_tensor_table_find(a.tensor, a.n, "link_embeddings.weight");
    float *values = t ? read_tensor(&a, t, &rows, &cols, err) : NULL;
    if (!t) {
        ba_fail(err, "%s: tensor 'link_embeddings.weight' is missing", path);
    }
    ba_safetensors_close(a.file);
    if (values) {
        ba_model_set_links(m, values, rows);
    }
    return values ? 0 : -1;
}

int ba_adapter_merge(const char *folder, ba_model *model, char err[BA_ERR_LEN]) {
    adapter a = {.folder = folder};
    int rc = read_config(&a, err);
    if (rc == 0) {
        rc = merge_all(&a, model, err);
    }
    if (rc == 0) {
        rc = read_links(folder, model, err);
    }
    ba_safetensors_close(a.file);
    ba_adapter_target_free(a.target);
    cJSON_Delete(a.json);
    model->hash[0] = '\0'; /* it is another model now */
    return rc;
}
