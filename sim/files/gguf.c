#include "gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KEY = 65535, MAX_NAME = 256, MIN_KEY_BYTES = 8 + 4 + 1, MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8 };

struct ba_gguf {
    char *path;
    ba_mapping file;
    ba_gguf_value *value; /* sorted by key */
    size_t n_values;
    ba_file_tensor *tensor; /* sorted by name */
    size_t n_tensors;
};

/* What is still to be read. */
typedef struct cursor {
    const unsigned char *p;
    size_t left;
} cursor;

static const struct {
    const char *name;
    size_t bytes; /* 0: not of fixed size */
} value_types[BA_GGUF_TYPES] = {
    [BA_GGUF_U8] = {"u8", 1},       [BA_GGUF_I8] = {"i8", 1},     [BA_GGUF_U16] = {"u16", 2},
    [BA_GGUF_I16] = {"i16", 2},     [BA_GGUF_U32] = {"u32", 4},   [BA_GGUF_I32] = {"i32", 4},
    [BA_GGUF_F32] = {"f32", 4},     [BA_GGUF_BOOL] = {"bool", 1}, [BA_GGUF_STRING] = {"string", 0},
    [BA_GGUF_ARRAY] = {"array", 0}, [BA_GGUF_U64] = {"u64", 8},   [BA_GGUF_I64] = {"i64", 8},
    [BA_GGUF_F64] = {"f64", 8},
};

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static bool take(cursor *c, size_t n, const unsigned char **out) {
    if (n > c->left) {
        return false;
    }
    *out = c->p;
    c->p += n;
    c->left -= n;
    return true;
}

static bool take_u32(cursor *c, uint32_t *out) {
    const unsigned char *p;
    return take(c, sizeof *out, &p) && memcpy(out, p, sizeof *out);
}

static bool take_u64(cursor *c, uint64_t *out) {
    const unsigned char *p;
    return take(c, sizeof *out, &p) && memcpy(out, p, sizeof *out);
}

static bool take_text(cursor *c, ba_span *out) {
    uint64_t n;
    const unsigned char *p;
    if (!take_u64(c, &n) || n > c->left || !take(c, (size_t)n, &p)) {
        return false;
    }
    *out = (ba_span){(const char *)p, (size_t)n};
    return true;
}

/* Skips the elements of a value. */
static bool take_elements(cursor *c, ba_gguf_type type, uint64_t n) {
    const unsigned char *p;
    if (type == BA_GGUF_STRING) {
        ba_span text;
        for (uint64_t i = 0; i < n; i++) {
            if (!take_text(c, &text)) {
                return false;
            }
        }
        return true;
    }
    uint64_t bytes;
    return !__builtin_mul_overflow(n, value_types[type].bytes, &bytes) && bytes <= c->left &&
           take(c, (size_t)bytes, &p);
}

static int cut_off(const ba_gguf *g, const char *what, uint64_t i, uint64_t n, char err[BA_ERR_LEN]) {
    return ba_fail(
        err, "%s: the file ends inside %s %" PRIu64 " of %" PRIu64 ", or a length there is wrong; download it again",
        g->path, what, i + 1, n);
}

/* ---- metadata --------------------------------------------------------------------------------------------------- */

static int read_value(ba_gguf *g, cursor *c, uint64_t i, uint64_t n, ba_gguf_value *v, char err[BA_ERR_LEN]) {
    uint32_t type;
    uint64_t count = 1;
    if (!take_text(c, &v->key) || v->key.n == 0 || v->key.n > MAX_KEY || !take_u32(c, &type)) {
        return cut_off(g, "metadata key", i, n, err);
    }
    v->array = type == BA_GGUF_ARRAY;
    if (v->array && (!take_u32(c, &type) || !take_u64(c, &count))) {
        return cut_off(g, "metadata key", i, n, err);
    }
    if (type >= BA_GGUF_TYPES || type == BA_GGUF_ARRAY) {
        return ba_fail(err, "%s: metadata key '%.*s' has value type %" PRIu32 ", which GGUF does not define%s", g->path,
                       (int)(v->key.n < 64 ? v->key.n : 64), v->key.s, type,
                       type == BA_GGUF_ARRAY ? " inside an array" : "");
    }
    v->type = (ba_gguf_type)type;
    v->data = c->p;
    if (!take_elements(c, v->type, count)) {
        return cut_off(g, "metadata key", i, n, err);
    }
    v->n = (size_t)count;
    return 0;
}

static int compare_keys(const void *a, const void *b) {
    const ba_span x = ((const ba_gguf_value *)a)->key, y = ((const ba_gguf_value *)b)->key;
    int order = memcmp(x.s, y.s, x.n < y.n ? x.n : y.n);
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

static int read_metadata(ba_gguf *g, cursor *c, uint64_t n, char err[BA_ERR_LEN]) {
    if (n > c->left / MIN_KEY_BYTES) {
        return ba_fail(err, "%s: the header speaks of %" PRIu64 " metadata keys, more than the file can hold", g->path,
                       n);
    }
    g->value = calloc((size_t)n + 1, sizeof *g->value);
    if (!g->value) {
        return ba_fail(err, "%s: out of memory", g->path);
    }
    for (uint64_t i = 0; i < n; i++) {
        if (read_value(g, c, i, n, &g->value[i], err) != 0) {
            return -1;
        }
    }
    g->n_values = (size_t)n;
    qsort(g->value, g->n_values, sizeof *g->value, compare_keys);
    for (size_t i = 1; i < g->n_values; i++) {
        if (compare_keys(&g->value[i - 1], &g->value[i]) == 0) {
            return ba_fail(err, "%s: metadata key '%.*s' occurs twice; convert the model again", g->path,
                           (int)(g->value[i].key.n < 64 ? g->value[i].key.n : 64), g->value[i].key.s);
        }
    }
    return 0;
}

const ba_gguf_value *ba_gguf_find(const ba_gguf *g, const char *key) {
    ba_gguf_value wanted = {.key = {key, strlen(key)}};
    return bsearch(&wanted, g->value, g->n_values, sizeof *g->value, compare_keys);
}

static int wrong_type(const ba_gguf *g, const ba_gguf_value *v, const char *wanted, char err[BA_ERR_LEN]) {
    return ba_fail(err, "%s: metadata key '%.*s' holds %s%s, where %s is needed; convert the model again", g->path,
                   (int)v->key.n, v->key.s, v->array ? "an array of " : "", value_types[v->type].name, wanted);
}

/* An integer of any width. false: no integer, or negative. */
static bool unsigned_value(const ba_gguf_value *v, uint64_t *out) {
    *out = 0;
    switch (v->type) {
    case BA_GGUF_I8:
    case BA_GGUF_I16:
    case BA_GGUF_I32:
    case BA_GGUF_I64:
        if (v->data[value_types[v->type].bytes - 1] & 0x80) {
            return false;
        }
        break;
    case BA_GGUF_U8:
    case BA_GGUF_U16:
    case BA_GGUF_U32:
    case BA_GGUF_U64:
        break;
    default:
        return false;
    }
    memcpy(out, v->data, value_types[v->type].bytes); /* little endian, like the machine: checked at opening */
    return true;
}

int ba_gguf_size(const ba_gguf *g, const char *key, size_t *out, char err[BA_ERR_LEN]) {
    const ba_gguf_value *v = ba_gguf_find(g, key);
    uint64_t value;
    if (!v) {
        return 0;
    }
    if (v->array || !unsigned_value(v, &value) || value > SIZE_MAX) {
        return wrong_type(g, v, "one whole number, not negative,", err);
    }
    *out = (size_t)value;
    return 0;
}

int ba_gguf_real(const ba_gguf *g, const char *key, double *out, char err[BA_ERR_LEN]) {
    const ba_gguf_value *v = ba_gguf_find(g, key);
    uint64_t whole;
    float single;
    double value = NAN;
    if (!v) {
        return 0;
    }
    if (!v->array && v->type == BA_GGUF_F32) {
        memcpy(&single, v->data, sizeof single);
        value = (double)single;
    } else if (!v->array && v->type == BA_GGUF_F64) {
        memcpy(&value, v->data, sizeof value);
    } else if (!v->array && unsigned_value(v, &whole)) {
        value = (double)whole;
    }
    if (!isfinite(value)) {
        return wrong_type(g, v, "one finite number", err);
    }
    *out = value;
    return 0;
}

int ba_gguf_bool(const ba_gguf *g, const char *key, bool *out, char err[BA_ERR_LEN]) {
    const ba_gguf_value *v = ba_gguf_find(g, key);
    if (!v) {
        return 0;
    }
    if (v->array || v->type != BA_GGUF_BOOL) {
        return wrong_type(g, v, "one bool", err);
    }
    *out = v->data[0] != 0;
    return 0;
}

int ba_gguf_string(const ba_gguf *g, const char *key, ba_span *out, char err[BA_ERR_LEN]) {
    const ba_gguf_value *v = ba_gguf_find(g, key);
    if (!v) {
        return 0;
    }
    if (v->array || v->type != BA_GGUF_STRING) {
        return wrong_type(g, v, "one string", err);
    }
    ba_gguf_texts(v, out);
    return 0;
}

int ba_gguf_array(const ba_gguf *g, const char *key, ba_gguf_type type, const ba_gguf_value **out,
                  char err[BA_ERR_LEN]) {
    char wanted[32];
    *out = ba_gguf_find(g, key);
    if (!*out || ((*out)->array && (*out)->type == type)) {
        return 0;
    }
    snprintf(wanted, sizeof wanted, "an array of %s", value_types[type].name);
    return wrong_type(g, *out, wanted, err);
}

void ba_gguf_texts(const ba_gguf_value *value, ba_span *out) {
    const unsigned char *p = value->data;
    for (size_t i = 0; i < value->n; i++) {
        uint64_t n;
        memcpy(&n, p, sizeof n);
        out[i] = (ba_span){(const char *)p + sizeof n, (size_t)n};
        p += sizeof n + n;
    }
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

/* The offset counts from the data section, whose place is known only after the last entry. */
static int read_entry(ba_gguf *g, cursor *c, uint64_t i, uint64_t n, ba_file_tensor *t, uint64_t *offset,
                      char err[BA_ERR_LEN]) {
    uint32_t n_dims, type;
    if (!take_text(c, &t->name) || t->name.n == 0 || t->name.n > MAX_NAME || !take_u32(c, &n_dims)) {
        return cut_off(g, "tensor entry", i, n, err);
    }
    if (n_dims < 1 || n_dims > BA_MAX_DIMS) {
        return ba_fail(err, "%s: tensor '%.*s' has %" PRIu32 " dimensions, where 1 to %d are possible", g->path,
                       (int)t->name.n, t->name.s, n_dims, BA_MAX_DIMS);
    }
    t->n_dims = n_dims;
    for (size_t d = 0; d < n_dims; d++) {
        if (!take_u64(c, &t->dim[d])) {
            return cut_off(g, "tensor entry", i, n, err);
        }
    }
    if (!take_u32(c, &type) || !take_u64(c, offset)) {
        return cut_off(g, "tensor entry", i, n, err);
    }
    const char *name = ba_dtype_ggml_name(type);
    t->decodable = ba_dtype_by_ggml(type, &t->type) == 0;
    if (name) {
        snprintf(t->type_name, sizeof t->type_name, "%s", name);
    } else {
        snprintf(t->type_name, sizeof t->type_name, "type %" PRIu32, type);
    }
    return 0;
}

static int place_tensor(const ba_gguf *g, ba_file_tensor *t, size_t data_at, size_t align, uint64_t offset,
                        char err[BA_ERR_LEN]) {
    size_t room = g->file.size - data_at;
    char dims[112];
    ba_file_tensor_dims(t->dim, t->n_dims, dims, sizeof dims);
    if (!t->decodable) {
        return 0; /* its size is unknown; refused, by name, where it is needed */
    }
    if (!ba_file_tensor_size(t->type, t->dim, t->n_dims, &t->bytes)) {
        return ba_fail(err, "%s: tensor '%.*s' has dimensions %s, which %s cannot have; convert the model again",
                       g->path, (int)t->name.n, t->name.s, dims, t->type_name);
    }
    if (offset % align != 0) {
        return ba_fail(err, "%s: tensor '%.*s' begins at offset %" PRIu64 ", not a multiple of the alignment %zu",
                       g->path, (int)t->name.n, t->name.s, offset, align);
    }
    if (offset > room || t->bytes > room - offset) {
        return ba_fail(err,
                       "%s: tensor '%.*s' %s ends after the end of the file (offset %" PRIu64 " + %zu of %zu bytes); "
                       "the file is truncated: download it again",
                       g->path, (int)t->name.n, t->name.s, dims, offset, t->bytes, room);
    }
    t->data = g->file.data + data_at + offset;
    return 0;
}

static int data_section(const ba_gguf *g, const cursor *c, size_t *at, size_t *align, char err[BA_ERR_LEN]) {
    *align = 32;
    if (ba_gguf_size(g, "general.alignment", align, err) != 0) {
        return -1;
    }
    if (*align == 0 || (*align & (*align - 1)) != 0 || *align > 1u << 20) {
        return ba_fail(err, "%s: general.alignment is %zu, where a power of two up to 1048576 is needed", g->path,
                       *align);
    }
    size_t end = g->file.size - c->left, past = end % *align;
    *at = past ? end + (*align - past) : end;
    if (*at > g->file.size) { /* no tensors: no padding needed */
        *at = g->file.size;
    }
    return 0;
}

static int read_tensors(ba_gguf *g, cursor *c, uint64_t n, char err[BA_ERR_LEN]) {
    size_t data_at = 0, align = 0;
    if (n > c->left / MIN_TENSOR_BYTES) {
        return ba_fail(err, "%s: the header speaks of %" PRIu64 " tensors, more than the file can hold", g->path, n);
    }
    g->tensor = calloc((size_t)n + 1, sizeof *g->tensor);
    uint64_t *offset = calloc((size_t)n + 1, sizeof *offset);
    int rc = g->tensor && offset ? 0 : ba_fail(err, "%s: out of memory", g->path);
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        rc = read_entry(g, c, i, n, &g->tensor[i], &offset[i], err);
    }
    if (rc == 0) {
        rc = data_section(g, c, &data_at, &align, err);
    }
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        rc = place_tensor(g, &g->tensor[i], data_at, align, offset[i], err);
    }
    free(offset);
    g->n_tensors = (size_t)n;
    return rc == 0 ? ba_tensor_table_sort(g->tensor, g->n_tensors, g->path, err) : -1;
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static int read_file(ba_gguf *g, char err[BA_ERR_LEN]) {
    cursor c = {g->file.data, g->file.size};
    const unsigned char *magic;
    uint32_t version;
    uint64_t n_tensors, n_values;
    if (!take(&c, 4, &magic) || memcmp(magic, "GGUF", 4) != 0) {
        return ba_fail(err, "%s: not a GGUF file (it does not begin with 'GGUF'); give a GGUF file or a folder",
                       g->path);
    }
    if (!take_u32(&c, &version) || !take_u64(&c, &n_tensors) || !take_u64(&c, &n_values)) {
        return ba_fail(err, "%s: the file ends inside its header; download it again", g->path);
    }
    if (version != 0 && (version & 0xffff) == 0) {
        return ba_fail(err, "%s: a big-endian GGUF file; convert it to little endian", g->path);
    }
    if (version != 2 && version != 3) {
        return ba_fail(err, "%s: GGUF version %" PRIu32 ", where 2 or 3 is needed; convert the model again", g->path,
                       version);
    }
    return read_metadata(g, &c, n_values, err) == 0 ? read_tensors(g, &c, n_tensors, err) : -1;
}

int ba_gguf_open(const char *path, ba_gguf **out, char err[BA_ERR_LEN]) {
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF values are read as the machine's own");
    *out = NULL;
    ba_gguf *g = calloc(1, sizeof *g);
    if (!g || !(g->path = strdup(path))) {
        free(g);
        return ba_fail(err, "%s: out of memory", path);
    }
    if (ba_mapping_open(path, &g->file, err) != 0 || read_file(g, err) != 0) {
        ba_gguf_close(g);
        return -1;
    }
    *out = g;
    return 0;
}

void ba_gguf_close(ba_gguf *g) {
    if (!g) {
        return;
    }
    ba_mapping_close(&g->file);
    free(g->value);
    free(g->tensor);
    free(g->path);
    free(g);
}

const char *ba_gguf_path(const ba_gguf *g) {
    return g->path;
}

size_t ba_gguf_bytes(const ba_gguf *g) {
    return g->file.size;
}

const ba_file_tensor *ba_gguf_tensors(const ba_gguf *g, size_t *n) {
    *n = g->n_tensors;
    return g->tensor;
}
