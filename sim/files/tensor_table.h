/* Tensors as a model file stores them: the table that both containers, GGUF and safetensors, are read into. Plain
 * data, checked: `bytes` bytes at `data` lie inside the file, and are what type and dimensions need. */
#ifndef BA_TENSOR_TABLE_H
#define BA_TENSOR_TABLE_H

#include "kernels/base/dtype.h"
#include "kernels/base/error.h"
#include "sim/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BA_MAX_DIMS 4

typedef struct ba_file_tensor {
    ba_span name; /* borrowed from the file */
    size_t n_dims;
    uint64_t dim[BA_MAX_DIMS]; /* fastest first: columns, rows */
    bool decodable;            /* false: `type`, `data` and `bytes` mean nothing, type_name says what it is */
    ba_dtype type;
    char type_name[24];
    const void *data; /* any alignment */
    size_t bytes;
} ba_file_tensor;

/* Bytes of a tensor of this type and these dimensions. false: overflow, a dimension of 0, or columns that are not a
 * multiple of the type's block. */
bool ba_file_tensor_size(ba_dtype type, const uint64_t *dim, size_t n_dims, size_t *bytes);

/* Sorts by name, for find. -1 and err: a name occurs twice. */
int ba_tensor_table_sort(ba_file_tensor *list, size_t n, const char *path, char err[BA_ERR_LEN]);
/* NULL: there is none. */
const ba_file_tensor *ba_tensor_table_find(const ba_file_tensor *list, size_t n, const char *name);

/* "[576, 49152]" for messages, fastest dimension first as GGUF prints it. */
void ba_file_tensor_dims(const uint64_t *dim, size_t n_dims, char *out, size_t size);

#endif
