/* Sizes in size_t: the smaller and the larger of two, and sums and products that say when they do not fit. Every size
 * that is computed from a file, an option or a caller's dimensions goes through them before memory is asked for. */
#ifndef BA_SIZES_H
#define BA_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t ba_min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static inline size_t ba_max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

/* *out = a + b. false: the sum does not fit, and *out must not be used. */
static inline bool ba_add_sizes(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/* *out = a * b. false: the product does not fit, and *out must not be used. */
static inline bool ba_multiply_sizes(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

/* *out = a * b * c * size, the bytes of a three-dimensional array. false: more than half of the address space, which no
 * allocation can have; the half leaves room for the padding that is added to it. */
static inline bool ba_array_bytes(size_t a, size_t b, size_t c, size_t size, size_t *out) {
    size_t n;
    return ba_multiply_sizes(a, b, &n) && ba_multiply_sizes(n, c, &n) && ba_multiply_sizes(n, size, out) &&
           *out <= SIZE_MAX / 2;
}

#endif
