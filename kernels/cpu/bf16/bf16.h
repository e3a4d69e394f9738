/* Inside of the bf16 backends on the CPU: weights, keys and values are kept in bf16, activations in fp32, but for those
 * that are only multiplied by weights (operand_new): what norms, attention and gates give is rounded on its way out.
 * Every product takes bf16 and sums in fp32; norms, activation functions and the residual stream stay in fp32. Built on
 * cpu.h, whose handles and row operations are used as they are. Files: bf16.c (memory, keys and values),
 * attention_bf16_*.c (tile code under attention.c), and a file per backend that adds linear, weights and the table:
 * bf16_plain.c, native_bf16.c (with product_bf16_*.c), onednn.c (with onednn_*.c).
 *
 * Attention: queries are rotated and scaled in fp32, then rounded; probabilities are rounded before they weigh the
 * values, and their sum is that of the rounded ones, so that constant values come out constant.
 *
 * Layout of keys and values: what is summed over lies in pairs side by side, as dot-product instructions want it. Per
 * layer and head
 *   keys   [tiles, dim / 2, BA_KEYS, 2]        pairs of dimensions
 *   values [tiles * BA_KEYS / 2, v_stride, 2]  pairs of tokens
 * Room that holds no token is zero. */
#ifndef BA_BF16_H
#define BA_BF16_H

#include "kernels/cpu/cpu.h"

enum { BA_MATRIX_ROWS = 16, BA_MATRIX_DEPTH = 32 }; /* of a matrix register of bf16, 1 KiB */

/* A part of a product: out [rows, cols] of rows `stride` apart = x w + bias, or += that. */
typedef struct ba_bf16_product {
    size_t rows, cols, depth; /* cols: at most BA_KEYS; depth: even */
    const uint16_t *x;        /* [rows, depth] */
    bool tiled;               /* x is [rows / 16, depth / 32, 16, 32], depth a multiple of 32 */
    const uint16_t *w;        /* [BA_KEYS / strip, depth / 2, strip, 2] pairs of depth */
    const uint16_t *ahead;    /* what a later product will have as w, to be fetched meanwhile, or NULL */
    const float *bias;        /* [cols] or NULL */
    bool add;
    bool stream; /* out, whose rows are aligned to 64 bytes, is not read soon: it need not pass through the caches */
    float *out;
    size_t stride;
} ba_bf16_product;

/* What is compiled per instruction set. */
typedef struct ba_bf16_isa {
    ba_isa tile; /* name, attend, scores, rotate and values only; the rest is that of the fp32 table */
    void (*round)(const float *x, size_t n, uint16_t *out);
    void (*product)(const ba_bf16_product *p); /* NULL in the plain one */
    size_t strip;                              /* columns of w that lie together */
} ba_bf16_isa;

/* All but the first have no functions if the compiler is not for that processor family. */
extern const ba_bf16_isa ba_bf16_isa_plain, ba_bf16_isa_avx512, ba_bf16_isa_amx;

typedef struct ba_bf16 {
    ba_cpu cpu;
    ba_isa isa; /* what cpu.isa points to */
    void (*product)(const ba_bf16_product *p);
    size_t strip;
    uint16_t *x; /* operand of a product, as large as the largest buffer */
    size_t n_x;
} ba_bf16;

/* Whether processor and build have ba_bf16_isa_avx512. */
bool ba_bf16_has_avx512(void);
/* Whether build, processor and kernel have bf16 matrix units (AMX); asks the kernel's permission for this process. */
bool ba_bf16_has_amx(void);

/* As ba_cpu_open and ba_cpu_close. isa: what to use, or NULL for the best one (plain if BLOCKATTN_ISA says plain, and
 * no matrix units if it says anything). */
int ba_bf16_open(ba_bf16 *be, const ba_backend_config *cfg, const ba_bf16_isa *isa, char err[BA_ERR_LEN]);
void ba_bf16_close(ba_bf16 *be);

/* x [rows, cols] as an operand [rows, depth]: as it is, or rounded to be->x; depth: cols, or one more, which becomes
 * zero. */
const uint16_t *ba_bf16_operand(ba_bf16 *be, ba_view x, size_t rows, size_t cols, size_t depth);

/* Only where ba_bf16_has_avx512(), or ba_bf16_has_amx(), says so. The second reads up to 15 rows behind those of x. */
void ba_bf16_product_avx512(const ba_bf16_product *p);
void ba_bf16_product_amx(const ba_bf16_product *p);
enum { BA_STRIP_AVX512 = BA_KEYS, BA_STRIP_AMX = 32 };

/* Rows of a tile of a product whose first operand is at most `bytes` (but at least a step's), all tiles alike: a
 * multiple of what fills matrix registers. */
static inline size_t ba_bf16_tile_rows(size_t rows, size_t depth, size_t bytes) {
    const size_t unit = 32, most = bytes / (depth * sizeof(uint16_t)), tiles = (rows + most) / (most + 1);
    return tiles ? ((rows + tiles - 1) / tiles + unit - 1) / unit * unit : unit;
}

/* Row `row` of x, and how far apart its runs of BA_MATRIX_DEPTH elements lie. */
static inline const uint16_t *ba_bf16_row(const ba_bf16_product *p, size_t row) {
    size_t in = row % BA_MATRIX_ROWS;
    return p->tiled ? p->x + (row - in) * p->depth + in * BA_MATRIX_DEPTH : p->x + row * p->depth;
}

static inline size_t ba_bf16_step(bool tiled) {
    return tiled ? BA_MATRIX_ROWS * BA_MATRIX_DEPTH : BA_MATRIX_DEPTH;
}

/* out[0..n) = sum + bias, or += that. */
void ba_bf16_store(const float *sum, const float *bias, size_t n, bool add, float *out);

/* Rows of the table, as documented in backend.h. */
ba_buf *ba_bf16_buf_new(ba_backend *be, size_t rows, size_t cols);
ba_buf *ba_bf16_operand_new(ba_backend *be, size_t rows, size_t cols);
void ba_bf16_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                      ba_view v, const ba_rot *rot, size_t rot_row);
void ba_bf16_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                     const ba_rot *rot, size_t rot_row);
void ba_bf16_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v);
void ba_bf16_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                         size_t first_b, size_t n, double *out);

/* Rows that all tables of bf16 have alike. */
#define BA_BF16_ROWS                                                                                                   \
    BA_CPU_ROWS, .buf_new = ba_bf16_buf_new, .operand_new = ba_bf16_operand_new, .kv_write = ba_bf16_kv_write,         \
                 .kv_copy = ba_bf16_kv_copy, .kv_read = ba_bf16_kv_read, .kv_distance = ba_bf16_kv_distance

/* Entries of the instruction sets' tables that are shared: a query rotated in fp32, times factor, rounded to bf16 [dim]
 * in the first half of out's floats; and the values of a key tile. */
void ba_bf16_rotate(const float *x, size_t dim, const float *rot, float factor, float *out);
void ba_bf16_values(const void *v, size_t v_stride, float *out);
/* The first by vectors, and the rounding: of attention_bf16_avx512.c. */
void ba_bf16_rotate_avx512(const float *x, size_t dim, const float *rot, float factor, float *out);
void ba_bf16_round_avx512(const float *x, size_t n, uint16_t *out);

/* Where element d of a token lies in the keys, and in the values, of a layer and head. */
static inline size_t ba_bf16_key_at(size_t dim, size_t token, size_t d) {
    return ((token / BA_KEYS * (dim / 2) + d / 2) * BA_KEYS + token % BA_KEYS) * 2 + d % 2;
}

static inline size_t ba_bf16_value_at(size_t v_stride, size_t token, size_t d) {
    return (token / 2 * v_stride + d) * 2 + token % 2;
}

/* Round to nearest even; NaN stays NaN. Inline, since layouts are written element by element. */
static inline uint16_t ba_bf16_round(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return (uint16_t)((nan ? bits | 0x00400000u : bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static inline float ba_bf16_wide(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
