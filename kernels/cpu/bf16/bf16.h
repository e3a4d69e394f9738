/* Inside of the backend "cpu" in bf16. Weights, keys and values are in bf16. Activations are in fp32, except those that
 * are only multiplied by weights (operand_new): norms, attention and gates round their results as they write them.
 * Every product reads bf16 and sums in fp32; norms, activation functions and the residual stream stay in fp32. Handles
 * and row operations are those of cpu.h.
 *
 * Attention: queries are rotated and scaled in fp32, then rounded; probabilities are rounded before they weigh the
 * values, and their sum is that of the rounded ones, so that constant values come out constant.
 *
 * Layout of keys and values: neighbours in the dimension that is summed over are stored in pairs, as dot-product
 * instructions read them. Per layer and head
 *   keys   [tiles, dim / 2, BA_KEYS, 2]        pairs of dimensions
 *   values [tiles * BA_KEYS / 2, v_stride, 2]  pairs of tokens
 * Places without a token are zero. */
#ifndef BA_BF16_H
#define BA_BF16_H

#include "kernels/cpu/cpu.h"

enum { BA_MATRIX_ROWS = 16, BA_MATRIX_DEPTH = 32 }; /* rows and columns of a matrix register of bf16, 1 KiB */

/* A part of a product: out [rows, cols], with rows `stride` apart, = x w + bias, or += that if `add` is set. */
typedef struct ba_bf16_product {
    size_t rows, cols, depth; /* cols: at most BA_KEYS; depth: even */
    const uint16_t *x;        /* [rows, depth] */
    bool tiled;               /* x is [rows / 16, depth / 32, 16, 32], depth a multiple of 32 */
    const uint16_t *w;        /* [BA_KEYS / strip, depth / 2, strip, 2] pairs of depth */
    const uint16_t *ahead;    /* w of a later product, to be fetched into the cache meanwhile, or NULL */
    const float *bias;        /* [cols] or NULL */
    bool add;
    bool stream; /* out is not read soon, so it bypasses the caches; its rows are aligned to 64 bytes */
    float *out;
    size_t stride;
} ba_bf16_product;

/* The functions that are compiled once per instruction set. */
typedef struct ba_bf16_isa {
    ba_isa tile; /* only name, attend, scores, rotate and values; the other functions are those of the fp32 table */
    void (*round)(const float *x, size_t n, uint16_t *out);
    void (*product)(const ba_bf16_product *p); /* NULL in the plain one */
    size_t strip;                              /* neighbouring columns of w that are stored together */
} ba_bf16_isa;

/* The second and third have no functions if the compiler is not for that processor family. */
extern const ba_bf16_isa ba_bf16_isa_plain, ba_bf16_isa_avx512, ba_bf16_isa_amx;

typedef struct ba_bf16 {
    ba_cpu cpu;
    ba_isa isa; /* what cpu.isa points to */
    void (*product)(const ba_bf16_product *p);
    size_t strip;
    uint16_t *x; /* [n_x] the rounded operand of a product, as large as the largest buffer */
    size_t n_x;
    float *gated; /* [threads, BA_GATED_ROWS, BA_GATED_COLS] sums of a gated product; NULL in plain C */
    char describe[96];
} ba_bf16;

/* Rows of a gated product that one thread keeps until gate and gated value meet, and the columns of both. */
enum { BA_GATED_ROWS = 256, BA_GATED_COLS = 3 * BA_KEYS };

/* Whether processor and build have ba_bf16_isa_avx512. */
bool ba_bf16_has_avx512(void);
/* Whether build, processor and operating system have bf16 matrix units (AMX); asks the system for permission. */
bool ba_bf16_has_amx(void);

/* x [rows, cols] as an operand [rows, depth]: x itself if it is bf16, else rounded into be->x. depth is cols, or one
 * more, filled with zeros. */
const uint16_t *ba_bf16_operand(ba_bf16 *be, ba_view x, size_t rows, size_t cols, size_t depth);

/* For processors where ba_bf16_has_avx512(), or ba_bf16_has_amx(), holds. The second reads up to 15 rows after x. */
void ba_bf16_product_avx512(const ba_bf16_product *p);
void ba_bf16_product_amx(const ba_bf16_product *p);
enum { BA_STRIP_AVX512 = BA_KEYS, BA_STRIP_AMX = 32 };

/* Rows of a tile of a product, so that its part of the first operand has about `bytes` and all tiles are equal: a
 * multiple of the rows that fill matrix registers. */
static inline size_t ba_bf16_tile_rows(size_t rows, size_t depth, size_t bytes) {
    const size_t unit = 32, most = bytes / (depth * sizeof(uint16_t)), tiles = (rows + most) / (most + 1);
    return tiles ? ((rows + tiles - 1) / tiles + unit - 1) / unit * unit : unit;
}

/* Row `row` of x, and the distance between its runs of BA_MATRIX_DEPTH elements. */
static inline const uint16_t *ba_bf16_row(const ba_bf16_product *p, size_t row) {
    size_t in = row % BA_MATRIX_ROWS;
    return p->tiled ? p->x + (row - in) * p->depth + in * BA_MATRIX_DEPTH : p->x + row * p->depth;
}

static inline size_t ba_bf16_step(bool tiled) {
    return tiled ? BA_MATRIX_ROWS * BA_MATRIX_DEPTH : BA_MATRIX_DEPTH;
}

/* Operations of the table, as documented in backend.h. */
ba_buf *ba_bf16_buf_new(ba_backend *be, size_t rows, size_t cols);
ba_buf *ba_bf16_operand_new(ba_backend *be, size_t rows, size_t cols);
void ba_bf16_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                      ba_view v, const ba_rot *rot, size_t rot_row);
void ba_bf16_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                     const ba_rot *rot, size_t rot_row);
void ba_bf16_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v);
void ba_bf16_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                         size_t first_b, size_t n, double *out);
void ba_bf16_kv_shift(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                      const double *from, const double *to);

/* The same for weights in panels, panels.c, and in plain C, product_plain.c. */
ba_weight *ba_bf16_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]);
void ba_bf16_weight_free(ba_backend *be, ba_weight *weight);
size_t ba_bf16_weight_bytes(const ba_weight *weight);
const char *ba_bf16_packing(const ba_backend *be);
ba_packed_view ba_bf16_weight_packed(const ba_weight *weight);
ba_weight *ba_bf16_weight_mapped(ba_backend *be, const ba_weight_src *src, size_t n_src, ba_packed_view packed);
void ba_bf16_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out);
void ba_bf16_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add, bool stable);
void ba_bf16_gated(ba_backend *be, ba_act act, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool stable);
ba_weight *ba_bf16_plain_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]);
void ba_bf16_plain_weight_free(ba_backend *be, ba_weight *w);
size_t ba_bf16_plain_weight_bytes(const ba_weight *w);
void ba_bf16_plain_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out);
void ba_bf16_plain_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add,
                          bool stable);

/* Rows that both tables of bf16 share. */
#define BA_BF16_ROWS                                                                                                   \
    BA_CPU_ROWS, .buf_new = ba_bf16_buf_new, .operand_new = ba_bf16_operand_new, .kv_write = ba_bf16_kv_write,         \
                 .kv_copy = ba_bf16_kv_copy, .kv_read = ba_bf16_kv_read, .kv_distance = ba_bf16_kv_distance,           \
                 .kv_shift = ba_bf16_kv_shift

/* Functions that instruction sets share: a query, rotated in fp32 and times factor, rounded to bf16 [dim] into the
 * first half of out; and the values of a key tile in fp32. */
void ba_bf16_rotate(const float *x, size_t dim, const float *rot, float factor, float *out);
void ba_bf16_values(const void *v, size_t v_stride, float *out);
/* Rotation and rounding by vectors, in attention_avx512_bf16.c. */
void ba_bf16_rotate_avx512(const float *x, size_t dim, const float *rot, float factor, float *out);
void ba_bf16_round_avx512(const float *x, size_t n, uint16_t *out);

/* The index of element d of a token in the keys, and in the values, of a layer and head. */
static inline size_t ba_bf16_key_at(size_t dim, size_t token, size_t d) {
    return ((token / BA_KEYS * (dim / 2) + d / 2) * BA_KEYS + token % BA_KEYS) * 2 + d % 2;
}

static inline size_t ba_bf16_value_at(size_t v_stride, size_t token, size_t d) {
    return (token / 2 * v_stride + d) * 2 + token % 2;
}

#endif
