#include "safetensors_write.h"

#include "sim/base/whole_file.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Padded with spaces so that the data begins at a multiple of 8, as the format asks. malloc'ed; NULL: out of memory. */
static char *header_of(const ba_tensor_out *tensor, size_t n, const char *const *note, size_t n_note) {
    cJSON *header = cJSON_CreateObject();
    double at = 0;
    cJSON *metadata = cJSON_AddObjectToObject(header, "__metadata__");
    bool ok = metadata && cJSON_AddStringToObject(metadata, "format", "pt"); /* which transformers insists on */
    for (size_t i = 0; i < n_note; i += 2) {
        ok = ok && cJSON_AddStringToObject(metadata, note[i], note[i + 1]);
    }
    for (size_t i = 0; ok && i < n; i++) {
        const ba_tensor_out *t = &tensor[i];
        cJSON *entry = cJSON_AddObjectToObject(header, t->name);
        double dims[] = {(double)t->rows, (double)t->cols}, end = at + dims[0] * dims[1] * (t->type == BA_F32 ? 4 : 2);
        ok = cJSON_AddStringToObject(entry, "dtype", t->type == BA_F32 ? "F32" : "BF16") &&
             cJSON_AddItemToObject(entry, "shape", cJSON_CreateDoubleArray(dims + t->vector, 2 - (int)t->vector)) &&
             cJSON_AddItemToObject(entry, "data_offsets", cJSON_CreateDoubleArray((double[]){at, end}, 2));
        at = end;
    }
    char *text = ok ? cJSON_PrintUnformatted(header) : NULL, *padded = NULL;
    cJSON_Delete(header);
    if (text) {
        size_t len = strlen(text), full = (len + 7) / 8 * 8;
        if ((padded = malloc(full + 1))) {
            memset(padded, ' ', full);
            memcpy(padded, text, len);
            padded[full] = '\0';
        }
    }
    free(text);
    return padded;
}

/* A short write shows in the stream's error state, which whole_file looks at. */
static int write_tensor(FILE *f, const ba_tensor_out *t, size_t i, ba_tensor_read read, void *arg) {
    size_t n = t->rows * t->cols;
    float *values = malloc((n + 1) * sizeof *values);
    if (!values || read(arg, i, values)) {
        free(values);
        return -1;
    }
    if (t->type == BA_F32) {
        fwrite(values, sizeof *values, n, f);
    } else {
        uint16_t *half = (uint16_t *)values; /* element j is read before it is overwritten */
        for (size_t j = 0; j < n; j++) {
            float x = values[j];
            uint16_t rounded = ba_f32_to_bf16(x);
            memcpy(half + j, &rounded, sizeof rounded);
        }
        fwrite(half, sizeof *half, n, f);
    }
    free(values);
    return 0;
}

int ba_safetensors_write(const char *path, const ba_tensor_out *tensor, size_t n, const char *const *note,
                         size_t n_note, ba_tensor_read read, void *arg, char err[BA_ERR_LEN]) {
    ba_whole_file file = {0};
    char *header = header_of(tensor, n, note, n_note);
    if (!header) {
        return ba_fail(err, "%s: out of memory", path);
    }
    uint64_t length = strlen(header);
    int rc = ba_whole_file_open(path, &file, err);
    if (rc != 0) {
        goto done;
    }
    fwrite(&length, sizeof length, 1, file.f); /* little endian, like every machine that this program runs on */
    fputs(header, file.f);
    for (size_t i = 0; i < n; i++) {
        if (write_tensor(file.f, &tensor[i], i, read, arg) != 0) {
            rc = ba_fail(err, "%s: out of memory", path);
            goto done;
        }
    }
    rc = ba_whole_file_finish(&file, err);
done:
    ba_whole_file_close(&file);
    free(header);
    return rc;
}
