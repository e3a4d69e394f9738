#include "safetensors.h"

#include "sim/base/json_read.h"
#include "sim/base/mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SHARDS = 4096, LENGTH_BYTES = 8 };

typedef struct shard {
    char *path;
    ba_mapping file;
    cJSON *header; /* owns the names */
} shard;

struct ba_safetensors {
    shard *shard;
    size_t n_shards;
    ba_file_tensor *tensor; /* sorted by name */
    size_t n_tensors, room;
};

/* ---- one file --------------------------------------------------------------------------------------------------- */

static void set_type(ba_file_tensor *t, const char *name) {
    static const struct {
        const char *name;
        ba_dtype type;
    } known[] = {{"F32", BA_F32}, {"F16", BA_F16}, {"BF16", BA_BF16}};
    snprintf(t->type_name, sizeof t->type_name, "%s", name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, name) == 0) {
            t->type = known[i].type;
            t->decodable = true;
        }
    }
}

static int read_shape(const shard *s, const cJSON *entry, ba_file_tensor *t, char err[BA_ERR_LEN]) {
    const cJSON *shape = ba_json_get(entry, "shape"), *dim;
    int n = cJSON_GetArraySize(shape);
    size_t i = 0, value;
    if (!cJSON_IsArray(shape) || n > BA_MAX_DIMS) {
        return ba_fail(err, "%s: tensor '%.*s': 'shape' must be a list of up to %d sizes", s->path, (int)t->name.n,
                       t->name.s, BA_MAX_DIMS);
    }
    t->n_dims = n ? (size_t)n : 1;
    t->dim[0] = 1; /* a scalar is a vector of one */
    cJSON_ArrayForEach(dim, shape) {
        if (!ba_json_whole(dim, &value)) {
            return ba_fail(err, "%s: tensor '%.*s': 'shape' holds something that is no size", s->path, (int)t->name.n,
                           t->name.s);
        }
        t->dim[t->n_dims - 1 - i++] = value;
    }
    return 0;
}

static int read_entry(const shard *s, const cJSON *entry, ba_file_tensor *t, char err[BA_ERR_LEN]) {
    const unsigned char *data = s->file.data;
    uint64_t header;
    size_t begin = 0, end = 0;
    memcpy(&header, data, sizeof header);
    data += LENGTH_BYTES + header;
    size_t room = s->file.size - LENGTH_BYTES - (size_t)header;
    const cJSON *dtype = ba_json_get(entry, "dtype"), *offsets = ba_json_get(entry, "data_offsets");
    t->name = (ba_span){entry->string, strlen(entry->string)};
    if (!cJSON_IsString(dtype) || cJSON_GetArraySize(offsets) != 2 ||
        !ba_json_whole(cJSON_GetArrayItem(offsets, 0), &begin) ||
        !ba_json_whole(cJSON_GetArrayItem(offsets, 1), &end)) {
        return ba_fail(err, "%s: tensor '%s' has no proper dtype and data_offsets; download it again", s->path,
                       entry->string);
    }
    set_type(t, dtype->valuestring);
    if (read_shape(s, entry, t, err) != 0) {
        return -1;
    }
    if (begin > end || end > room) {
        return ba_fail(err,
                       "%s: tensor '%s' is at bytes %zu to %zu of %zu: the file is truncated, or its header wrong; "
                       "download it again",
                       s->path, entry->string, begin, end, room);
    }
    t->data = data + begin;
    if (!t->decodable) {
        return 0; /* refused, by name, where it is needed */
    }
    if (!ba_file_tensor_size(t->type, t->dim, t->n_dims, &t->bytes) || t->bytes != end - begin) {
        char dims[112];
        ba_file_tensor_dims(t->dim, t->n_dims, dims, sizeof dims);
        return ba_fail(err, "%s: tensor '%s' has %zu bytes, which is not what %s of %s takes; download it again",
                       s->path, entry->string, end - begin, dims, t->type_name);
    }
    return 0;
}

static int read_header(shard *s, char err[BA_ERR_LEN]) {
    uint64_t length;
    if (s->file.size < LENGTH_BYTES + 2) {
        return ba_fail(err, "%s: too short for a safetensors file; download it again", s->path);
    }
    memcpy(&length, s->file.data, sizeof length);
    if (length > s->file.size - LENGTH_BYTES) {
        return ba_fail(err,
                       "%s: its header claims %llu bytes, more than the file has; it is truncated, or no "
                       "safetensors file",
                       s->path, (unsigned long long)length);
    }
    char why[BA_ERR_LEN];
    if (ba_json_parse((const char *)s->file.data + LENGTH_BYTES, (size_t)length, &s->header, why) != 0) {
        return ba_fail(err, "%s: its header: %s; download it again", s->path, why);
    }
    if (!cJSON_IsObject(s->header)) {
        return ba_fail(err, "%s: its header is no JSON object; download it again", s->path);
    }
    return 0;
}

static int add_tensors(ba_safetensors *all, const shard *s, char err[BA_ERR_LEN]) {
    size_t n = (size_t)cJSON_GetArraySize(s->header);
    ba_file_tensor *grown = realloc(all->tensor, (all->n_tensors + n + 1) * sizeof *grown);
    if (!grown) {
        return ba_fail(err, "%s: out of memory", s->path);
    }
    all->tensor = grown;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, s->header) {
        if (strcmp(entry->string, "__metadata__") == 0) {
            continue;
        }
        ba_file_tensor *t = &all->tensor[all->n_tensors];
        *t = (ba_file_tensor){0};
        if (read_entry(s, entry, t, err) != 0) {
            return -1;
        }
        all->n_tensors++;
    }
    return 0;
}

/* ---- the folder ------------------------------------------------------------------------------------------------- */

static char *join(const char *folder, const char *name) {
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = malloc(n);
    if (path) {
        snprintf(path, n, "%s/%s", folder, name);
    }
    return path;
}

static int add_shard(ba_safetensors *all, const char *folder, const char *name, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < all->n_shards; i++) {
        const char *slash = strrchr(all->shard[i].path, '/');
        if (strcmp(slash + 1, name) == 0) {
            return 0;
        }
    }
    if (all->n_shards == MAX_SHARDS) {
        return ba_fail(err, "%s: the index lists more than %d shards", folder, MAX_SHARDS);
    }
    shard *grown = realloc(all->shard, (all->n_shards + 1) * sizeof *grown);
    if (!grown) {
        return ba_fail(err, "%s: out of memory", folder);
    }
    all->shard = grown;
    shard *s = &grown[all->n_shards];
    *s = (shard){.path = join(folder, name)};
    if (!s->path) {
        return ba_fail(err, "%s: out of memory", folder);
    }
    all->n_shards++;
    if (access(s->path, F_OK) != 0) {
        return ba_fail(err, "%s: this file is missing; download it too", s->path);
    }
    return ba_mapping_open(s->path, &s->file, err) == 0 && read_header(s, err) == 0 ? add_tensors(all, s, err) : -1;
}

/* Every tensor of the index must be somewhere; where exactly does not matter. */
static int read_index(ba_safetensors *all, const char *folder, const cJSON *index, const char *path,
                      char err[BA_ERR_LEN]) {
    const cJSON *map = ba_json_get(index, "weight_map"), *entry;
    if (!cJSON_IsObject(map) || !map->child) {
        return ba_fail(err, "%s: 'weight_map' must be an object that names the shard of each tensor", path);
    }
    const char *last = "";
    cJSON_ArrayForEach(entry, map) {
        const char *name = cJSON_IsString(entry) ? entry->valuestring : "";
        if (!*name || strchr(name, '/')) {
            return ba_fail(err, "%s: the shard of '%s' must be the name of a file in this folder", path, entry->string);
        }
        if (strcmp(name, last) != 0 && add_shard(all, folder, name, err) != 0) {
            return -1;
        }
        last = name;
    }
    if (ba_tensor_table_sort(all->tensor, all->n_tensors, folder, err) != 0) {
        return -1;
    }
    cJSON_ArrayForEach(entry, map) {
        if (!ba_tensor_table_find(all->tensor, all->n_tensors, entry->string)) {
            return ba_fail(err, "%s: tensor '%s' is listed but in none of the shards; download them again", path,
                           entry->string);
        }
    }
    return 0;
}

bool ba_safetensors_present(const char *folder) {
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = join(folder, names[i]);
        found = found || (path && access(path, F_OK) == 0);
        free(path);
    }
    return found;
}

static int open_folder(ba_safetensors *all, const char *folder, const char *index_path, char err[BA_ERR_LEN]) {
    if (access(index_path, F_OK) != 0) {
        return add_shard(all, folder, "model.safetensors", err) == 0
                   ? ba_tensor_table_sort(all->tensor, all->n_tensors, folder, err)
                   : -1;
    }
    char *single = join(folder, "model.safetensors");
    bool both = single && access(single, F_OK) == 0;
    free(single);
    if (both) {
        return ba_fail(err, "%s: model.safetensors and an index of shards are both there; move one of them away",
                       folder);
    }
    cJSON *index;
    if (ba_json_read(index_path, &index, err) != 0) {
        return -1;
    }
    int rc = read_index(all, folder, index, index_path, err);
    cJSON_Delete(index);
    return rc;
}

int ba_safetensors_open(const char *folder, ba_safetensors **out, char err[BA_ERR_LEN]) {
    ba_safetensors *all = calloc(1, sizeof *all);
    char *index_path = join(folder, "model.safetensors.index.json");
    int rc = all && index_path ? open_folder(all, folder, index_path, err) : ba_fail(err, "%s: out of memory", folder);
    free(index_path);
    if (rc != 0) {
        ba_safetensors_close(all);
        all = NULL;
    }
    *out = all;
    return rc;
}

int ba_safetensors_open_file(const char *folder, const char *name, ba_safetensors **out, char err[BA_ERR_LEN]) {
    ba_safetensors *all = *out = calloc(1, sizeof *all);
    if (!all) {
        return ba_fail(err, "%s: out of memory", folder);
    }
    if (add_shard(all, folder, name, err) != 0 || ba_tensor_table_sort(all->tensor, all->n_tensors, folder, err) != 0) {
        ba_safetensors_close(all);
        *out = NULL;
        return -1;
    }
    return 0;
}

const char *ba_safetensors_note(const ba_safetensors *s, const char *key) {
    const cJSON *metadata = s->n_shards ? ba_json_get(s->shard[0].header, "__metadata__") : NULL;
    const cJSON *text = metadata ? ba_json_get(metadata, key) : NULL;
    return cJSON_IsString(text) ? text->valuestring : NULL;
}

void ba_safetensors_close(ba_safetensors *s) {
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->n_shards; i++) {
        ba_mapping_close(&s->shard[i].file);
        cJSON_Delete(s->shard[i].header);
        free(s->shard[i].path);
    }
    free(s->shard);
    free(s->tensor);
    free(s);
}

const ba_file_tensor *ba_safetensors_tensors(const ba_safetensors *s, size_t *n) {
    *n = s->n_tensors;
    return s->tensor;
}

uint64_t ba_safetensors_bytes(const ba_safetensors *s) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->n_shards; i++) {
        bytes += s->shard[i].file.size;
    }
    return bytes;
}
