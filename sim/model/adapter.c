#include "adapter.h"

#include "parts.h"
#include "sim/base/json_read.h"
#include "sim/files/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct adapter {
    const char *folder;
    char config[4096]; /* its path, for messages */
    double scale;
    ba_safetensors *file;
    const ba_file_tensor *tensor;
    size_t n, used;
} adapter;

/* ---- adapter_config.json ---- */

static bool is_empty(const cJSON *x) {
    return !x || cJSON_IsFalse(x) || (cJSON_IsString(x) && strcmp(x->valuestring, "none") == 0) ||
           ((cJSON_IsArray(x) || cJSON_IsObject(x)) && !x->child);
}

/* What would change the arithmetic and is not done here. */
static int refuse(const adapter *a, const cJSON *c, char err[BA_ERR_LEN]) {
    static const char *const fields[] = {"bias",
                                         "fan_in_fan_out",
                                         "use_dora",
                                         "rank_pattern",
                                         "alpha_pattern",
                                         "modules_to_save",
                                         "trainable_token_indices"};
    const char *type = "";
    if (ba_json_string(c, "peft_type", &type, a->config, err) != 0) {
        return -1;
    }
    if (strcmp(type, "LORA") != 0) {
        return ba_fail(err, "%s: 'peft_type' is '%.40s'; only LORA is supported", a->config, type);
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!is_empty(ba_json_get(c, fields[i]))) {
            return ba_fail(err,
                           "%s: '%s' is set, which is not supported; merge the adapter with peft and give the "
                           "merged model",
                           a->config, fields[i]);
        }
    }
    return 0;
}

static int read_config(adapter *a, char err[BA_ERR_LEN]) {
    cJSON *c = NULL;
    double rank = 0, alpha = 0;
    bool root = false;
    snprintf(a->config, sizeof a->config, "%s/adapter_config.json", a->folder);
    if (ba_json_read(a->config, &c, err) != 0) {
        return -1;
    }
    int rc = refuse(a, c, err) != 0 || ba_json_real(c, "r", &rank, a->config, err) != 0 ||
                     ba_json_real(c, "lora_alpha", &alpha, a->config, err) != 0 ||
                     ba_json_bool(c, "use_rslora", &root, a->config, err) != 0
                 ? -1
                 : 0;
    if (!rc && (!(rank >= 1) || !isfinite(alpha))) {
        rc = ba_fail(err, "%s: 'r' and 'lora_alpha' must be numbers, r from 1 on", a->config);
    }
    a->scale = alpha / (root ? sqrt(rank) : rank);
    cJSON_Delete(c);
    return rc;
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

static const ba_file_tensor *find(const adapter *a, const ba_shape *s, ba_tensor t, size_t layer, const char *end) {
    char base[128], name[160];
    ba_tensor_name(s, t, layer, end, base, sizeof base);
    snprintf(name, sizeof name, "base_model.model.%s", base);
    return ba_tensor_table_find(a->tensor, a->n, name);
}

static int merge_one(adapter *a, ba_model *m, ba_tensor t, size_t layer, char err[BA_ERR_LEN]) {
    const ba_file_tensor *in = find(a, &m->shape, t, layer, "lora_A.weight"),
                         *out = find(a, &m->shape, t, layer, "lora_B.weight");
    ba_slot *s = ba_slot_of(m, t, layer);
    if (!in && !out) {
        return 0;
    }
    if (!in || !out) {
        const ba_file_tensor *one = in ? in : out;
        return ba_fail(err, "%s: tensor '%.*s' has no partner lora_%s", a->folder, (int)one->name.n, one->name.s,
                       in ? "B" : "A");
    }
    size_t rank = 0, cols = s->view.cols, rows = s->view.rows;
    float *low = read_tensor(a, in, &rank, &cols, err), *high = low ? read_tensor(a, out, &rows, &rank, err) : NULL;
    float *w = high ? merged(s, high, low, rank, a->scale) : NULL;
    int rc = w && replace(s, w) == 0 ? 0 : -1;
    if (high && rc) {
        free(w);
        ba_fail(err, "%s: out of memory", a->folder);
    }
    free(low);
    free(high);
    a->used += 2;
    return rc;
}

/* The first tensor that no layer of the model asks for. */
static int name_unused(const adapter *a, const ba_model *m, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < a->n; i++) {
        bool known = false;
        for (size_t l = 0; !known && l < m->shape.layers; l++) {
            for (int t = BA_T_Q; !known && t <= BA_T_DOWN; t++) {
                known = find(a, &m->shape, (ba_tensor)t, l, "lora_A.weight") == &a->tensor[i] ||
                        find(a, &m->shape, (ba_tensor)t, l, "lora_B.weight") == &a->tensor[i];
            }
        }
        if (!known) {
            return ba_fail(err,
                           "%s: tensor '%.*s' belongs to nothing that a %s model of %zu layers has; it is an "
                           "adapter of another model",
                           a->folder, (int)a->tensor[i].name.n, a->tensor[i].name.s, m->shape.arch, m->shape.layers);
        }
    }
    return ba_fail(err, "%s: holds no LoRA tensors", a->folder);
}

static int merge_all(adapter *a, ba_model *m, char err[BA_ERR_LEN]) {
    static const ba_tensor linear[] = {BA_T_Q, BA_T_K, BA_T_V, BA_T_O, BA_T_GATE, BA_T_UP, BA_T_DOWN};
    if (ba_safetensors_open_file(a->folder, "adapter_model.safetensors", &a->file, err)) {
        return -1;
    }
    a->tensor = ba_safetensors_tensors(a->file, &a->n);
    for (size_t l = 0; l < m->shape.layers; l++) {
        for (size_t i = 0; i < sizeof linear / sizeof *linear; i++) {
            if (merge_one(a, m, linear[i], l, err)) {
                return -1;
            }
        }
    }
    return a->used == a->n && a->n ? 0 : name_unused(a, m, err);
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
    int rc = read_config(&a, err) || merge_all(&a, model, err) || read_links(folder, model, err) ? -1 : 0;
    ba_safetensors_close(a.file);
    model->hash[0] = '\0'; /* it is another model now */
    return rc;
}
