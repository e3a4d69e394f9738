/* KV in 8 bits: every channel (layer, K or V, head, dimension) has one scale over the tokens of its block, the largest
 * magnitude / 127; values are rounded to the nearest multiple. Done through the backend's own operations, so that any
 * layout and element type can be coded and restored. Restored KV is close to what was coded, not equal.
 *
 *   scales  float [layers, 2, kv_heads * head_dim]
 *   values  int8 [layers, 2, n, kv_heads * head_dim] */
#ifndef BA_Q8_H
#define BA_Q8_H

#include "kernels/backend.h"

/* The shape of a KV. */
typedef struct ba_q8_shape {
    size_t layers, kv_heads, head_dim, n; /* n tokens */
} ba_q8_shape;

size_t ba_q8_bytes(const ba_q8_shape *s);
/* 0, or -1: out of memory. Only reads the KV: may run beside the backend's other operations. */
int ba_q8_code(ba_backend *be, const ba_kv *kv, const ba_q8_shape *s, unsigned char *out);
/* A KV of its own; NULL: out of memory. `from` has any alignment. */
ba_kv *ba_q8_restore(ba_backend *be, const ba_q8_shape *s, const unsigned char *from);

#endif
