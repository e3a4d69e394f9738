/* A GGUF file. */
#include "targets.h"

#include "tests/support/tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *open_path(const ba_fuzz *self, const char *folder) {
    (void)self;
    return strdup(folder);
}

static bool take(void *state, const unsigned char *data, size_t size) {
    const char *folder = state;
    char path[BA_FUZZ_PATH];
    snprintf(path, sizeof path, "%s/input.gguf", folder);
    return ba_fuzz_write(folder, "input.gguf", data, size) != 0 || ba_fuzz_model(path);
}

static int seed(const ba_fuzz *self, const char *folder) {
    (void)self;
    static const float factors[] = {1, 2};
    static const ba_tiny_meta yarn[] = {{"llama.rope.scaling.type", BA_TINY_STRING, 0, "yarn"},
                                        {"llama.rope.scaling.factor", BA_TINY_F32, 4, 0},
                                        {"llama.rope.scaling.original_context_length", BA_TINY_U32, 64, 0},
                                        {0}};
    /* Small, so that mutations meet headers rather than weights. */
    const ba_tiny_options small = {.layers = 1, .d_model = 8, .heads = 2, .kv_heads = 1, .head_dim = 4, .d_ff = 8};
    ba_tiny_options variant[] = {small, small, small, small, small};
    variant[1].arch = "qwen2";
    variant[1].type = BA_F16;
    variant[2].arch = "qwen3";
    variant[2].untied = true;
    variant[2].type = BA_BF16;
    variant[3].arch = "gemma3";
    variant[3].spm = true;
    variant[4].freq_factors = factors;
    variant[4].meta = yarn;
    int rc = 0;
    for (size_t i = 0; i < sizeof variant / sizeof *variant; i++) {
        char path[BA_FUZZ_PATH];
        snprintf(path, sizeof path, "%s/seed-%zu", folder, i);
        rc = ba_tiny_gguf(path, &variant[i]) ? -1 : rc;
    }
    return rc;
}

const ba_fuzz ba_fuzz_gguf = {"gguf", NULL, open_path, take, free, seed};
