/* A tuner's state in a file: value and moments of every trained parameter, and the number of steps. */
#include "parts.h"
#include "sim/files/safetensors.h"
#include "sim/files/safetensors_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "checkpoint.safetensors"

static const struct {
    ba_param_part part;
    const char *name;
} parts[] = {{BA_PARAM_VALUE, "value"}, {BA_PARAM_MEAN, "mean"}, {BA_PARAM_VARIANCE, "variance"}};
enum { PARTS = sizeof parts / sizeof *parts, NAME = 160 };

static void name_of(const ba_trained *t, size_t part, char name[NAME]) {
    snprintf(name, NAME, "%s/%s", t->name, parts[part].name);
}

static int read_part(void *arg, size_t i, float *values) {
    const ba_tuner *t = arg;
    const ba_trained *p = &t->net->trained[i / PARTS];
    size_t n = p->rows * p->cols;
    double *wide = malloc(n * sizeof *wide);
    if (!wide) {
        return -1;
    }
    t->net->ops->param_read(t->net->be, p->p, parts[i % PARTS].part, wide);
    for (size_t k = 0; k < n; k++) {
        values[k] = (float)wide[k];
    }
    free(wide);
    return 0;
}

int ba_tuner_save(const ba_tuner *t, const char *folder, const char *name, char err[BA_ERR_LEN]) {
    size_t n = t->net->n_trained * PARTS;
    ba_tensor_out *out = calloc(n, sizeof *out);
    char(*names)[NAME] = calloc(n, sizeof *names), path[4096], step[32];
    const char *const note[] = {"step", step, "name", name};
    int rc = -1;
    if (!out || !names) {
        ba_fail(err, "out of memory");
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        const ba_trained *p = &t->net->trained[i / PARTS];
        name_of(p, i % PARTS, names[i]);
        out[i] = (ba_tensor_out){names[i], p->rows, p->cols, BA_F32, false};
    }
    snprintf(path, sizeof path, "%s/" FILE_NAME, folder);
    snprintf(step, sizeof step, "%llu", (unsigned long long)t->step);
    rc = ba_safetensors_write(path, out, n, note, 4, read_part, (void *)t, err);
done:
    free(out);
    free(names);
    return rc;
}

static int load_part(ba_tuner *t, const ba_safetensors *file, size_t i, const char *folder, char err[BA_ERR_LEN]) {
    const ba_trained *p = &t->net->trained[i / PARTS];
    char name[NAME];
    size_t n_stored, n = p->rows * p->cols;
    const ba_file_tensor *all = ba_safetensors_tensors(file, &n_stored);
    name_of(p, i % PARTS, name);
    const ba_file_tensor *s = ba_tensor_table_find(all, n_stored, name);
    if (!s || s->type != BA_F32 || s->bytes != n * sizeof(float)) {
        return ba_fail(err, "%s/" FILE_NAME ": tensor '%s' is missing or of another size; begin anew in another folder",
                       folder, name);
    }
    double *wide = malloc(n * sizeof *wide);
    if (!wide) {
        return ba_fail(err, "out of memory");
    }
    for (size_t k = 0; k < n; k++) {
        float value;
        memcpy(&value, (const char *)s->data + k * sizeof value, sizeof value); /* at any alignment */
        wide[k] = value;
    }
    t->net->ops->param_write(t->net->be, p->p, parts[i % PARTS].part, wide);
    free(wide);
    return 0;
}

int ba_tuner_load(ba_tuner *t, const char *folder, const char *name, char err[BA_ERR_LEN]) {
    char path[4096];
    ba_safetensors *file = NULL;
    snprintf(path, sizeof path, "%s/" FILE_NAME, folder);
    FILE *there = fopen(path, "rb");
    if (!there) {
        return 0;
    }
    fclose(there);
    if (ba_safetensors_open_file(folder, FILE_NAME, &file, err)) {
        return -1;
    }
    const char *step = ba_safetensors_note(file, "step"), *whose = ba_safetensors_note(file, "name");
    int rc = -1;
    if (!step || !whose || strcmp(whose, name) != 0) {
        ba_fail(err, "%s: is of another model, other data or other options; repeat those, or choose another folder",
                path);
        goto done;
    }
    for (size_t i = 0; i < t->net->n_trained * PARTS; i++) {
        if (load_part(t, file, i, folder, err)) {
            goto done;
        }
    }
    t->step = strtoull(step, NULL, 10);
    rc = 0;
done:
    ba_safetensors_close(file);
    return rc;
}
