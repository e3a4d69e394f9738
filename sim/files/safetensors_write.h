/* Writes one safetensors file; under its name only when it is whole. */
#ifndef BA_SAFETENSORS_WRITE_H
#define BA_SAFETENSORS_WRITE_H

#include "kernels/base/dtype.h"
#include "kernels/base/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ba_tensor_out {
    const char *name;
    size_t rows, cols;
    ba_dtype type; /* BA_F32 or BA_BF16 */
    bool vector;   /* written with one dimension: rows is 1 */
} ba_tensor_out;

/* Values of tensor i, [rows, cols]; 0, or -1: out of memory. */
typedef int (*ba_tensor_read)(void *arg, size_t i, float *values);

/* note: [n_note] keys and values in turn, for the file's __metadata__. 0, or -1 and err. */
int ba_safetensors_write(const char *path, const ba_tensor_out *tensor, size_t n, const char *const *note,
                         size_t n_note, ba_tensor_read read, void *arg, char err[BA_ERR_LEN]);

#endif
