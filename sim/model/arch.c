/* The architectures that the engine computes. */
#include "arch.h"

#include <stdio.h>
#include <string.h>

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

void ba_arch_begin(const ba_arch *a, ba_shape *s) {
    s->qk_norm = a->qk_norm;
    s->post_norms = a->post_norms;
    s->glu = a->glu;
    s->norm_eps = 1e-5;
    snprintf(s->arch, sizeof s->arch, "%s", a->name);
}

int ba_arch_unknown(const char *path, const char *field, const char *found, char err[BA_ERR_LEN]) {
    char list[128];
    size_t used = 0;
    for (size_t i = 0; i < N_ARCHS; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", archs[i].name);
    }
    return ba_fail(err, "%s: %s is '%.40s', which is not supported; there is %s (and mistral as llama)", path, field,
                   found, list);
}
