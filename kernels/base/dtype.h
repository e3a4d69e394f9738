/* Storage types of weights: one table row each, with the function that decodes it to fp32.
 *
 * A row describes `block` consecutive elements kept in `bytes` bytes. Block formats follow the GGML definitions
 * (little endian, scale first). Decoding reads unaligned memory, and no more than n / block * bytes. */
#ifndef BA_DTYPE_H
#define BA_DTYPE_H

#include "half.h"

#include <stddef.h>
#include <stdint.h>

typedef enum ba_dtype {
    BA_F32,
    BA_F16,
    BA_BF16,
    BA_Q4_0,
    BA_Q4_1,
    BA_Q5_0,
    BA_Q5_1,
    BA_Q8_0,
    BA_Q2_K,
    BA_Q3_K,
    BA_Q4_K,
    BA_Q5_K,
    BA_Q6_K,
    BA_IQ4_NL,
    BA_DTYPE_COUNT
} ba_dtype;

typedef struct ba_dtype_info {
    const char *name;                                      /* as printed, e.g. "Q4_1" */
    uint32_t ggml_type;                                    /* number in a GGUF tensor header */
    size_t block;                                          /* elements per block */
    size_t bytes;                                          /* bytes per block */
    void (*decode)(const void *src, float *dst, size_t n); /* n: a multiple of block */
} ba_dtype_info;

/* Row of a type; never NULL for a value below BA_DTYPE_COUNT. */
const ba_dtype_info *ba_dtype_get(ba_dtype type);

/* Type of a GGUF type number: 0 and *type, or -1 if this program cannot decode it. */
int ba_dtype_by_ggml(uint32_t ggml_type, ba_dtype *type);

/* Name of a GGUF type number, also of types that cannot be decoded ("IQ2_XXS"), or NULL if the number is unknown. */
const char *ba_dtype_ggml_name(uint32_t ggml_type);

#endif
