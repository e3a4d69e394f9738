#include "save.h"

#include "sim/base/whole_file.h"
#include "sim/files/safetensors_write.h"
#include "sim/model/adapter.h"
#include "sim/model/config.h"
#include "sim/model/parts.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096 };

static int make_folder(const char *folder, char err[BA_ERR_LEN]) {
    struct stat st;
    if (mkdir(folder, 0777) == 0 || (errno == EEXIST && stat(folder, &st) == 0 && S_ISDIR(st.st_mode))) {
        return 0;
    }
    return ba_fail(err, "%s: no folder can be made there: %s", folder, strerror(errno));
}

/* Frees json. */
static int write_json(const char *folder, const char *name, cJSON *json, char err[BA_ERR_LEN]) {
    char path[PATH_SIZE], *text = json ? cJSON_Print(json) : NULL;
    ba_whole_file file = {0};
    cJSON_Delete(json);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int rc = text ? ba_whole_file_open(path, &file, err) : ba_fail(err, "%s: out of memory", path);
    if (rc) {
        goto done;
    }
    fprintf(file.f, "%s\n", text);
    rc = ba_whole_file_finish(&file, err);
done:
    ba_whole_file_close(&file);
    free(text);
    return rc;
}

/* ---- tensors ---- */

static bool is_norm(const ba_trained *t) {
    return strstr(t->name, "norm.weight") != NULL;
}

typedef struct from {
    const ba_train_net *net;
    size_t first;
} from;

static int read_value(void *arg, size_t i, float *values) {
    const from *x = arg;
    const ba_train_net *net = x->net;
    const ba_trained *t = &net->trained[x->first + i];
    size_t n = t->rows * t->cols;
    double *wide = malloc((n + 1) * sizeof *wide), less = is_norm(t) && net->model->arch->gain_plus_one ? 1 : 0;
    if (!wide) {
        return -1;
    }
    net->ops->param_read(net->be, t->p, BA_PARAM_VALUE, wide);
    for (size_t k = 0; k < n; k++) {
        values[k] = (float)(wide[k] - less);
    }
    free(wide);
    return 0;
}

static bool is_vector(const ba_trained *t) {
    return is_norm(t) || strstr(t->name, ".bias") != NULL;
}

/* Trained parameters [first, end) in one file. */
static int write_tensors(const ba_train_net *net, const char *folder, const char *name, size_t first, size_t end,
                         char err[BA_ERR_LEN]) {
    char path[PATH_SIZE];
    ba_tensor_out *out = calloc(net->n_trained, sizeof *out);
    from x = {net, first};
    if (!out) {
        return ba_fail(err, "out of memory");
    }
    for (size_t i = 0; i < end - first; i++) {
        const ba_trained *t = &net->trained[first + i];
        out[i] = (ba_tensor_out){t->name, t->rows, t->cols, BA_F32, is_vector(t)};
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int rc = ba_safetensors_write(path, out, end - first, NULL, 0, read_value, &x, err);
    free(out);
    return rc;
}

/* Embeddings of link tokens, the last of the trained parameters, in a separate file: no other program reads them. */
static int write_links(const ba_train_net *net, const char *folder, char err[BA_ERR_LEN]) {
    return net->links ? write_tensors(net, folder, BA_LINKS_FILE, net->n_trained - 1, net->n_trained, err) : 0;
}

/* ---- a whole model ---- */

int ba_model_save_check(const ba_train_net *net, char err[BA_ERR_LEN]) {
    const ba_model *m = net->model;
    if (!m->gguf) {
        return *m->prefix ? ba_fail(err,
                                    "%s: is part of a larger model (tensors '%s...'), which cannot be written; train "
                                    "an adapter with --lora",
                                    m->path, m->prefix)
                          : 0;
    }
    if (m->shape.rope.freq_factors || m->shape.rope.scaling != BA_ROPE_NONE) {
        return ba_fail(err,
                       "%s: a GGUF does not say enough of its rope scaling for a config.json; give the Hugging "
                       "Face folder as --model, or train an adapter with --lora",
                       m->path);
    }
    if (m->vocab.kind != BA_VOCAB_BPE) {
        return ba_fail(err,
                       "%s: no tokenizer.json can be made of this GGUF's vocabulary; give the Hugging Face folder "
                       "as --model, or train an adapter with --lora",
                       m->path);
    }
    return 0;
}

static int copy_file(const char *from_folder, const char *folder, const char *name, char err[BA_ERR_LEN]) {
    char path[PATH_SIZE], to[PATH_SIZE], buffer[1 << 16];
    ba_whole_file file = {0};
    snprintf(path, sizeof path, "%s/%s", from_folder, name);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    FILE *in = fopen(path, "rb");
    if (!in) {
        return 0; /* not every folder has every file */
    }
    int rc = ba_whole_file_open(to, &file, err);
    if (rc) {
        goto done;
    }
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, in));) {
        fwrite(buffer, 1, n, file.f);
    }
    rc = ferror(in) ? ba_fail(err, "%s: cannot be read to the end", path) : ba_whole_file_finish(&file, err);
done:
    ba_whole_file_close(&file);
    fclose(in);
    return rc;
}

static int write_tokenizer(const ba_model *m, const char *folder, char err[BA_ERR_LEN]) {
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                                        "generation_config.json", "chat_template.jinja"};
    if (m->gguf) {
        return write_json(folder, "tokenizer.json", ba_tokenizer_json(&m->vocab), err) ||
                       write_json(folder, "tokenizer_config.json", ba_tokenizer_config_json(m), err)
                   ? -1
                   : 0;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (copy_file(m->path, folder, names[i], err)) {
            return -1;
        }
    }
    return 0;
}

int ba_model_save(const ba_train_net *net, const char *folder, char err[BA_ERR_LEN]) {
    if (ba_model_save_check(net, err) || make_folder(folder, err)) {
        return -1;
    }
    return write_tensors(net, folder, "model.safetensors", 0, net->n_trained - (net->links != NULL), err) ||
                   write_json(folder, "config.json", ba_model_config_json(net->model), err) ||
                   write_tokenizer(net->model, folder, err) || write_links(net, folder, err)
               ? -1
               : 0;
}

/* ---- an adapter ---- */

static cJSON *adapter_config(const ba_train_net *net, const char *base) {
    static const char *const modules[] = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
    cJSON *c = cJSON_CreateObject();
    cJSON_AddStringToObject(c, "peft_type", "LORA");
    cJSON_AddStringToObject(c, "task_type", "CAUSAL_LM");
    cJSON_AddStringToObject(c, "base_model_name_or_path", base);
    cJSON_AddNumberToObject(c, "r", (double)net->opt.rank);
    cJSON_AddNumberToObject(c, "lora_alpha", net->opt.alpha);
    cJSON_AddNumberToObject(c, "lora_dropout", 0);
    cJSON_AddStringToObject(c, "bias", "none");
    cJSON_AddFalseToObject(c, "fan_in_fan_out");
    cJSON_AddFalseToObject(c, "use_rslora");
    cJSON_AddFalseToObject(c, "use_dora");
    cJSON_AddTrueToObject(c, "inference_mode");
    cJSON_AddItemToObject(c, "target_modules", cJSON_CreateStringArray(modules, sizeof modules / sizeof *modules));
    return c;
}

int ba_adapter_save(const ba_train_net *net, const char *folder, const char *base, char err[BA_ERR_LEN]) {
    return make_folder(folder, err) ||
                   write_tensors(net, folder, "adapter_model.safetensors", 0, net->n_trained - (net->links != NULL),
                                 err) ||
                   write_json(folder, "adapter_config.json", adapter_config(net, base), err) ||
                   write_links(net, folder, err)
               ? -1
               : 0;
}
