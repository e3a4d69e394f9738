#include "tensor_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ba_file_tensor_size(ba_dtype type, const uint64_t *dim, size_t n_dims, size_t *bytes) {
    const ba_dtype_info *info = ba_dtype_get(type);
    uint64_t elements = 1, size;
    for (size_t i = 0; i < n_dims; i++) {
        if (dim[i] == 0 || __builtin_mul_overflow(elements, dim[i], &elements)) {
            return false;
        }
    }
    if (n_dims == 0 || dim[0] % info->block != 0) {
        return false;
    }
    if (__builtin_mul_overflow(elements / info->block, info->bytes, &size) || size > SIZE_MAX) {
        return false;
    }
    *bytes = (size_t)size;
    return true;
}

static int compare_texts(ba_span a, ba_span b) {
    int order = memcmp(a.s, b.s, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_names(const void *a, const void *b) {
    return compare_texts(((const ba_file_tensor *)a)->name, ((const ba_file_tensor *)b)->name);
}

int ba_tensor_table_sort(ba_file_tensor *list, size_t n, const char *path, char err[BA_ERR_LEN]) {
    if (n) {
        qsort(list, n, sizeof *list, compare_names);
    }
    for (size_t i = 1; i < n; i++) {
        if (compare_names(&list[i - 1], &list[i]) == 0) {
            return ba_fail(err, "%s: tensor '%.*s' occurs twice; convert the model again", path, (int)list[i].name.n,
                           list[i].name.s);
        }
    }
    return 0;
}

const ba_file_tensor *ba_tensor_table_find(const ba_file_tensor *list, size_t n, const char *name) {
    ba_file_tensor key = {.name = {name, strlen(name)}};
    return n ? bsearch(&key, list, n, sizeof *list, compare_names) : NULL;
}

void ba_file_tensor_dims(const uint64_t *dim, size_t n_dims, char *out, size_t size) {
    int used = snprintf(out, size, "[");
    for (size_t i = 0; i < n_dims && used >= 0 && (size_t)used < size; i++) {
        used += snprintf(out + used, size - (size_t)used, "%s%" PRIu64, i ? ", " : "", dim[i]);
    }
    if (used >= 0 && (size_t)used < size) {
        snprintf(out + used, size - (size_t)used, "]");
    }
}
