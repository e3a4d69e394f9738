/* A Hugging Face folder in which one file is replaced. */
#include "targets.h"

#include "tests/support/tiny.h"

#include "experiments/cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct state {
    const char *file;
    char *folder;
} state;

static const ba_tiny_options small = {
    .layers = 1, .d_model = 8, .heads = 2, .kv_heads = 1, .head_dim = 4, .d_ff = 8, .type = BA_BF16};

static bool sharded(const ba_fuzz *self) {
    return strstr(self->file, "index") != NULL;
}

static void *open_folder(const ba_fuzz *self, const char *folder) {
    state *s = calloc(1, sizeof *s);
    ba_tiny_options options = small;
    options.shards = sharded(self) ? 2 : 1;
    if (s) {
        *s = (state){self->file, strdup(folder)};
    }
    if (s && (!s->folder || ba_tiny_folder(folder, &options) != 0)) {
        free(s->folder);
        free(s);
        s = NULL;
    }
    return s;
}

static void close_folder(void *arg) {
    state *s = arg;
    free(s->folder);
    free(s);
}

static bool take(void *arg, const unsigned char *data, size_t size) {
    const state *s = arg;
    return ba_fuzz_write(s->folder, s->file, data, size) != 0 || ba_fuzz_model(s->folder);
}

/* The file out of folders of several architectures. */
static int seed(const ba_fuzz *self, const char *folder) {
    static const char *const arch[] = {"llama", "qwen2", "qwen3", "gemma3"};
    int rc = 0;
    for (size_t i = 0; i < sizeof arch / sizeof *arch; i++) {
        char made[BA_FUZZ_PATH], path[BA_FUZZ_PATH + 64], name[64], err[BA_ERR_LEN], *text = NULL;
        size_t len;
        ba_tiny_options options = small;
        options.arch = arch[i];
        options.spm = i == 3;
        options.shards = sharded(self) ? 2 : 1;
        snprintf(made, sizeof made, "%s/model-XXXXXX", folder);
        snprintf(name, sizeof name, "seed-%s", arch[i]);
        if (!mkdtemp(made) || ba_tiny_folder(made, &options) != 0) {
            return -1;
        }
        snprintf(path, sizeof path, "%s/%s", made, self->file);
        rc = ba_read_file(path, 1 << 20, &text, &len, err) || ba_fuzz_write(folder, name, text, len) ? -1 : rc;
        free(text);
        static const char *const files[] = {"config.json",
                                            "tokenizer.json",
                                            "tokenizer_config.json",
                                            "model.safetensors",
                                            "model.safetensors.index.json",
                                            "model-00001-of-00002.safetensors",
                                            "model-00002-of-00002.safetensors"};
        for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
            snprintf(path, sizeof path, "%s/%s", made, files[f]);
            remove(path);
        }
        rmdir(made);
    }
    return rc;
}

const ba_fuzz ba_fuzz_safetensors = {"safetensors", "model.safetensors", open_folder, take, close_folder, seed};
const ba_fuzz ba_fuzz_index = {"index", "model.safetensors.index.json", open_folder, take, close_folder, seed};
const ba_fuzz ba_fuzz_config = {"config", "config.json", open_folder, take, close_folder, seed};
const ba_fuzz ba_fuzz_tokenizer = {"tokenizer", "tokenizer.json", open_folder, take, close_folder, seed};
