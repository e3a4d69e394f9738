/* adapter_config.json beside an adapter of a tiny model. */
#include "targets.h"

#include "tests/support/tiny.h"

#include "sim/files/safetensors_write.h"
#include "sim/model/adapter.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define Q0 "base_model.model.model.layers.0.self_attn.q_proj.lora_"

typedef struct state {
    char *folder;
    ba_model *model;
} state;

static const ba_tiny_options small = {.layers = 1, .d_model = 8, .heads = 2, .kv_heads = 1, .head_dim = 4, .d_ff = 8};

static int read_ones(void *arg, size_t i, float *values) {
    (void)i;
    for (size_t k = 0; k < *(const size_t *)arg; k++) {
        values[k] = 1;
    }
    return 0;
}

static void close_adapter(void *arg) {
    state *s = arg;
    ba_model_close(s->model);
    free(s->folder);
    free(s);
}

static void *open_adapter(const ba_fuzz *self, const char *folder) {
    (void)self;
    char path[BA_FUZZ_PATH + 64], err[BA_ERR_LEN];
    const ba_tensor_out out[] = {{Q0 "A.weight", 2, 8, BA_F32, false}, {Q0 "B.weight", 8, 2, BA_F32, false}};
    size_t n = 16;
    state *s = calloc(1, sizeof *s);
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    if (!s || !(s->folder = strdup(folder)) || ba_tiny_gguf(path, &small) != 0 ||
        ba_model_open(path, true, &s->model, err) != 0) {
        free(s ? s->folder : NULL);
        free(s);
        return NULL;
    }
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    if (ba_safetensors_write(path, out, 2, NULL, 0, read_ones, &n, err) != 0) {
        close_adapter(s);
        return NULL;
    }
    return s;
}

/* Merging again and again only makes the weights larger. */
static bool take(void *arg, const unsigned char *data, size_t size) {
    const state *s = arg;
    char err[BA_ERR_LEN] = "";
    if (ba_fuzz_write(s->folder, "adapter_config.json", data, size) != 0) {
        return true;
    }
    int rc = ba_adapter_merge(s->folder, s->model, err);
    return ba_fuzz_check(rc == 0 || (*err && !strchr(err, '\n')), "an adapter that is refused says why, in a line");
}

static int seed(const ba_fuzz *self, const char *folder) {
    (void)self;
    static const char *const config[] = {
        ("{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"target_modules\": [\"q_proj\", \"v_proj\"], "
         "\"layers_to_transform\": [0], \"layers_pattern\": \"layers\", \"exclude_modules\": [\"mlp.up_proj\"]}"),
        ("{\"peft_type\": \"LORA\", \"r\": 2, \"target_modules\": \".*\\\\.(?:q|v)_proj\", \"rank_pattern\": "
         "{\"layers\\\\.\\\\d+\\\\.self_attn.[qk]_proj\": 2}, \"alpha_pattern\": {\"q_proj\": 0.5}, "
         "\"use_rslora\": true}"),
        ("{\"peft_type\": \"LORA\", \"r\": 2, \"target_modules\": \"all-linear\", \"init_lora_weights\": \"gaussian\", "
         "\"bias\": \"none\", \"modules_to_save\": null, \"exclude_modules\": \".*[^q]_proj\", \"use_dora\": false}")};
    int rc = 0;
    for (size_t i = 0; i < sizeof config / sizeof *config; i++) {
        const char name[] = {'s', (char)('0' + i), 0};
        rc = ba_fuzz_write(folder, name, config[i], strlen(config[i])) ? -1 : rc;
    }
    return rc;
}

const ba_fuzz ba_fuzz_adapter = {"adapter", NULL, open_adapter, take, close_adapter, seed};
