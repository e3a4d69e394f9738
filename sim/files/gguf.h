/* GGUF container, versions 2 and 3, little endian: metadata keys and a tensor table over a mapped file. Nothing in the
 * file is trusted: after a successful open every key, string, array and tensor is known to lie inside it, no key and no
 * tensor name occurs twice, and each tensor has the bytes that its type and dimensions need. Values are read where they
 * lie, at any alignment. Format: github.com/ggml-org/ggml, docs/gguf.md. */
#ifndef BA_GGUF_H
#define BA_GGUF_H

#include "sim/base/mapping.h"
#include "tensor_table.h"

typedef struct ba_gguf ba_gguf;

/* Types of metadata values, numbered as in the file. */
typedef enum ba_gguf_type {
    BA_GGUF_U8,
    BA_GGUF_I8,
    BA_GGUF_U16,
    BA_GGUF_I16,
    BA_GGUF_U32,
    BA_GGUF_I32,
    BA_GGUF_F32,
    BA_GGUF_BOOL,
    BA_GGUF_STRING,
    BA_GGUF_ARRAY,
    BA_GGUF_U64,
    BA_GGUF_I64,
    BA_GGUF_F64,
    BA_GGUF_TYPES
} ba_gguf_type;

/* A value as the file holds it. */
typedef struct ba_gguf_value {
    ba_span key;
    ba_gguf_type type; /* of the value, or of the elements of an array */
    bool array;
    size_t n;                  /* elements; 1 if no array */
    const unsigned char *data; /* first element */
} ba_gguf_value;

int ba_gguf_open(const char *path, ba_gguf **out, char err[BA_ERR_LEN]);
void ba_gguf_close(ba_gguf *g);

const char *ba_gguf_path(const ba_gguf *g);
size_t ba_gguf_bytes(const ba_gguf *g);
const ba_file_tensor *ba_gguf_tensors(const ba_gguf *g, size_t *n);

/* NULL: there is no such key. */
const ba_gguf_value *ba_gguf_find(const ba_gguf *g, const char *key);

/* One value of the kind asked for; any width of number will do. A key that is absent leaves *out as it is. 0, or -1
 * and err: another type, an array, a negative number, or (real) not finite. */
int ba_gguf_size(const ba_gguf *g, const char *key, size_t *out, char err[BA_ERR_LEN]);
int ba_gguf_real(const ba_gguf *g, const char *key, double *out, char err[BA_ERR_LEN]);
int ba_gguf_bool(const ba_gguf *g, const char *key, bool *out, char err[BA_ERR_LEN]);
int ba_gguf_string(const ba_gguf *g, const char *key, ba_span *out, char err[BA_ERR_LEN]);

/* An array of `type`; *out is NULL if the key is absent. 0, or -1 and err: something else is there. */
int ba_gguf_array(const ba_gguf *g, const char *key, ba_gguf_type type, const ba_gguf_value **out,
                  char err[BA_ERR_LEN]);
/* The strings of an array of them, out[value->n]. */
void ba_gguf_texts(const ba_gguf_value *value, ba_span *out);

#endif
