#include "known_models.h"

#include "guess.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const ba_known_model table[] = {
    {"smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf", "model", "SmolLM2 135M Instruct, the default", 98362432},
    {"gemma3-270m", "gemma-3-270m.Q4_K_M.gguf", "gemma", "Gemma 3 270M, not instruction-tuned", 253113024},
    {"qwen2.5-0.5b", "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf", "qwen-small", "Qwen2.5-Coder 0.5B Instruct", 491400064},
    {"qwen2.5-1.5b", "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf", "qwen", "Qwen2.5-Coder 1.5B Instruct", 1117320768},
};

const ba_known_model *ba_known_model_at(size_t i) {
    return i < sizeof table / sizeof *table ? &table[i] : NULL;
}

const ba_known_model *ba_known_model_named(const char *name) {
    const ba_known_model *m;
    for (size_t i = 0; (m = ba_known_model_at(i)); i++) {
        if (strcmp(m->name, name) == 0) {
            return m;
        }
    }
    return NULL;
}

int ba_in_cache(const char *name, char *path, size_t size) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = cache && *cache ? snprintf(path, size, "%s/blockattn/%s", cache, name)
                            : snprintf(path, size, "%s/.cache/blockattn/%s", home ? home : "", name);
    return n < 0 || (size_t)n >= size ? -1 : 0;
}

bool ba_known_model_path(const ba_known_model *m, char *path, size_t size) {
    struct stat info;
    if (ba_in_cache(m->file, path, size) != 0) {
        *path = '\0';
        return false;
    }
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && (size_t)info.st_size == m->bytes;
}

int ba_known_model_find(const char *given, char *path, size_t size, char err[BA_ERR_LEN]) {
    const ba_known_model *m = ba_known_model_named(given);
    int n = snprintf(path, size, "%s", given);
    if (n < 0 || (size_t)n >= size) {
        return ba_fail(err, "the model's path is too long");
    }
    if (access(path, F_OK) == 0 || strchr(given, '/')) {
        return 0; /* opening it says what is wrong with it */
    }
    if (m) {
        return ba_known_model_path(m, path, size)
                   ? 0
                   : ba_fail(err, "model %s is not at %s: run 'make %s', which puts it there", m->name, path,
                             m->target);
    }
    ba_guess g = ba_guess_begin(given, strlen(given));
    for (size_t i = 0; (m = ba_known_model_at(i)); i++) {
        ba_guess_offer(&g, m->name);
    }
    return ba_fail(err, "model '%.200s': no such file or folder, and none of the names that 'blockattn models' lists%s",
                   given, g.text);
}
