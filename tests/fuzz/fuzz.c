#include "fuzz.h"

#include "targets.h"

#include "sim/tokenizer/tokenizer.h"

#include "sim/model/model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ba_fuzz *const targets[] = {
    &ba_fuzz_gguf,  &ba_fuzz_safetensors, &ba_fuzz_index,      &ba_fuzz_config,  &ba_fuzz_tokenizer,
    &ba_fuzz_text,  &ba_fuzz_request,     &ba_fuzz_experiment, &ba_fuzz_trace,   &ba_fuzz_game,
    &ba_fuzz_block, &ba_fuzz_redis,       &ba_fuzz_template,   &ba_fuzz_adapter, &ba_fuzz_table,
};

const ba_fuzz *ba_fuzz_at(size_t i) {
    return i < sizeof targets / sizeof *targets ? targets[i] : NULL;
}

const ba_fuzz *ba_fuzz_by_name(const char *name) {
    for (size_t i = 0; ba_fuzz_at(i); i++) {
        if (strcmp(targets[i]->name, name) == 0) {
            return targets[i];
        }
    }
    return NULL;
}

int ba_fuzz_write(const char *folder, const char *name, const void *data, size_t size) {
    char path[BA_FUZZ_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f) {
        return -1;
    }
    bool good = fwrite(data, 1, size, f) == size;
    return fclose(f) == 0 && good ? 0 : -1;
}

bool ba_fuzz_check(bool held, const char *what) {
    if (!held) {
        fprintf(stderr, "fuzz: does not hold: %s\n", what);
    }
    return held;
}

/* Decodes the last row of a tensor: it must be inside the file, with any header. */
static bool decode_last_row(const ba_tensor_view *v) {
    const ba_dtype_info *type = ba_dtype_get(v->type);
    size_t stride = v->cols / type->block * type->bytes;
    float *row = malloc(v->cols * sizeof *row);
    if (row) {
        type->decode((const unsigned char *)v->data + (v->rows - 1) * stride, row, v->cols);
    }
    free(row);
    return true;
}

static bool use_tensors(const ba_model *m) {
    ba_tensor_view view;
    size_t layers = ba_model_shape(m)->layers;
    for (int t = 0; t < BA_T_COUNT; t++) {
        for (size_t layer = 0; layer < layers; layer++) {
            if (ba_model_tensor(m, (ba_tensor)t, layer, &view)) {
                decode_last_row(&view);
            }
        }
    }
    return ba_fuzz_check(*ba_model_types(m) && *ba_model_name(m), "a model has a name and types");
}

static bool use_tokenizer(const ba_model *m) {
    static const char sample[] = "The key, 12  tokens <|im_start|>\xf0\x9f\x98\x80\xff\n";
    char err[BA_ERR_LEN] = "";
    ba_tokenizer *tok = NULL;
    if (ba_tokenizer_new(ba_model_vocab(m), &tok, err) != 0) {
        return ba_fuzz_check(*err, "a tokenizer that is refused says why");
    }
    bool held = true;
    for (int special = 0; special < 2; special++) {
        int32_t *ids = NULL;
        size_t n = 0, len;
        if (ba_tokenize(tok, sample, sizeof sample - 1, special, &ids, &n, err) == 0) {
            for (size_t i = 0; i < n; i++) {
                held = held && ids[i] >= 0 && (size_t)ids[i] < ba_model_vocab(m)->n;
            }
            free(ba_detokenize(tok, ids, n, true, &len));
        }
        free(ids);
    }
    ba_chat_of(ba_model_vocab(m));
    ba_tokenizer_free(tok);
    return ba_fuzz_check(held, "ids are in the vocabulary");
}

bool ba_fuzz_model(const char *path) {
    bool held = true;
    /* What cannot be run may still have a vocabulary. */
    for (int weights = 1; weights >= 0; weights--) {
        char err[BA_ERR_LEN] = "";
        ba_model *m = NULL;
        if (ba_model_open(path, weights, &m, err) != 0) {
            held =
                ba_fuzz_check(*err && !strchr(err, '\n') && !m, "a model that is refused says why, in a line") && held;
            continue;
        }
        held = (!weights || use_tensors(m)) && held;
        held = use_tokenizer(m) && held;
        ba_model_close(m);
        break;
    }
    return held;
}
