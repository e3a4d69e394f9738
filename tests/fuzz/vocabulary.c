#include "vocabulary.h"

#include "fuzz.h"

#include "tests/support/tiny.h"
#include <stdio.h>
#include <stdlib.h>

ba_fuzz_vocabulary *ba_fuzz_vocabulary_open(const char *folder) {
    ba_fuzz_vocabulary *v = calloc(1, sizeof *v);
    bool good = v != NULL;
    for (int spm = 0; spm < 2 && good; spm++) {
        char path[BA_FUZZ_PATH], err[BA_ERR_LEN];
        const ba_tiny_options options = {.spm = spm};
        snprintf(path, sizeof path, "%s/%d.gguf", folder, spm);
        good = ba_tiny_gguf(path, &options) == 0 && ba_model_open(path, false, &v->model[spm], err) == 0 &&
               ba_tokenizer_new(ba_model_vocab(v->model[spm]), &v->tok[spm], err) == 0;
    }
    if (v && !good) {
        ba_fuzz_vocabulary_close(v);
        v = NULL;
    }
    return v;
}

void ba_fuzz_vocabulary_close(void *vocabulary) {
    ba_fuzz_vocabulary *v = vocabulary;
    for (int spm = 0; spm < 2; spm++) {
        ba_tokenizer_free(v->tok[spm]);
        ba_model_close(v->model[spm]);
    }
    free(v);
}
