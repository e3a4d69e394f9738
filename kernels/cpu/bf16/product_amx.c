/* Matrix products for AMX with bf16 (ba_bf16_product in bf16.h): blocks of two by two registers of sums. A matrix unit
 * sums every row by itself, independently of the other rows; rows after the last one are computed and ignored.
 *
 * Registers: 0 to 3 hold sums, [2, 2] of [16, 16]; 4 and 5 rows of x; 6 and 7 columns of w. */
#include "bf16.h"

#if defined(__x86_64__) && defined(__AVX512BF16__) && (defined(__AMX_BF16__) || defined(BA_AMX_PLAIN))
#include "amx.h"

#include <immintrin.h>
#include <string.h>

enum {
    SIDE = 2 * AMX_ROWS, /* rows and columns of a block */
    PAIR = 2 * AMX_ROWS, /* elements of the pairs in a register's row */
    LINE = 32,           /* elements of a cache line */
    AHEAD = 1,           /* steps of the depth that are fetched ahead */
};
#define INLINE static inline __attribute__((always_inline)) /* strides become constants */
_Static_assert((int)BA_PAD_ROWS >= (int)AMX_ROWS, "operands have rows after the last one that may be read");
_Static_assert((int)BA_STRIP_AMX == (int)SIDE, "the columns of a block are stored together");
_Static_assert((int)BA_MATRIX_ROWS == (int)AMX_ROWS && (int)BA_MATRIX_DEPTH == (int)AMX_DEPTH, "a tile is a register");

/* Brings a register's worth of lines, `stride` elements apart, into the first-level cache. */
INLINE void fetch_lines(const uint16_t *at, size_t stride) {
    for (size_t r = 0; r < AMX_ROWS; r++) {
        _mm_prefetch((const char *)(at + r * stride), _MM_HINT_T0);
    }
}

/* Distances in x, in elements: between rows, to the lower half of a block, and between steps along the depth. */
typedef struct rows_at {
    size_t stride, half, step;
} rows_at;

/* Adds one step of the depth; two: the block has more rows than a register. If there is a step AHEAD, its operands are
 * fetched between the products, because a register's load waits for each line of the second-level cache in turn. */
INLINE void multiply_step(bool two, bool ahead, const uint16_t *x, rows_at at, const uint16_t *w) {
    const size_t x_bytes = at.stride * sizeof *x, w_bytes = 2 * PAIR * sizeof *w;
    const uint16_t *next_x = ahead ? x + AHEAD * at.step : x, *next_w = ahead ? w + AHEAD * AMX_DEPTH * SIDE : w;
    tile_load(6, w, w_bytes);
    tile_load(4, x, x_bytes);
    tile_load(7, w + PAIR, w_bytes);
    fetch_lines(next_w, LINE);
    tile_multiply(0, 4, 6);
    fetch_lines(next_w + AMX_ROWS * LINE, LINE);
    tile_multiply(1, 4, 7);
    if (two) {
        tile_load(5, x + at.half, x_bytes);
        fetch_lines(next_x, at.stride);
        tile_multiply(2, 5, 6);
        fetch_lines(next_x + at.half, at.stride);
        tile_multiply(3, 5, 7);
    }
}

/* The same for the remainder of the depth, padded with zeros. */
static void multiply_rest(size_t rows, const uint16_t *x, size_t x_stride, const uint16_t *w, size_t rest) {
    uint16_t x_rest[SIDE][AMX_DEPTH] = {{0}}, w_rest[AMX_DEPTH / 2][2 * PAIR] = {{0}};
    for (size_t r = 0; r < rows; r++) {
        memcpy(x_rest[r], x + r * x_stride, rest * sizeof *x);
    }
    memcpy(w_rest, w, rest * SIDE * sizeof *w);
    multiply_step(rows > AMX_ROWS, false, x_rest[0], (rows_at){AMX_DEPTH, AMX_ROWS * AMX_DEPTH, 0}, w_rest[0]);
}

/* out[0..n) = sum + bias, or += that; n at most one register's width. */
static inline void store_lanes(const float *sum, const float *bias, size_t n, bool add, float *out) {
    __mmask16 in = n < AMX_ROWS ? (__mmask16)((1u << n) - 1) : (__mmask16)-1;
    __m512 x = _mm512_load_ps(sum);
    x = bias ? _mm512_add_ps(x, _mm512_maskz_loadu_ps(in, bias)) : x;
    x = add ? _mm512_add_ps(_mm512_maskz_loadu_ps(in, out), x) : x;
    _mm512_mask_storeu_ps(out, in, x);
}

INLINE void store_sums(bool two, float *out, size_t stride) {
    const size_t bytes = stride * sizeof *out;
    tile_store(0, out, bytes);
    tile_store(1, out + AMX_ROWS, bytes);
    if (two) {
        tile_store(2, out + AMX_ROWS * stride, bytes);
        tile_store(3, out + AMX_ROWS * stride + AMX_ROWS, bytes);
    }
}

/* Writes whole lines that bypass the caches, so that they are not read first. */
INLINE void stream_sums(float *out, size_t stride) {
    __attribute__((aligned(64))) float sum[SIDE][SIDE];
    store_sums(true, sum[0], SIDE);
    for (size_t r = 0; r < SIDE; r++) {
        _mm512_stream_ps(out + r * stride, _mm512_load_ps(sum[r]));
        _mm512_stream_ps(out + r * stride + AMX_ROWS, _mm512_load_ps(sum[r] + AMX_ROWS));
    }
}

/* Rows [row, row + rows) and columns from col on; two: the rows fill more than a register, tiled: as in p. */
INLINE void product_block(const ba_bf16_product *p, bool two, bool tiled, size_t row, size_t rows, size_t col) {
    const rows_at at = {tiled ? AMX_DEPTH : p->depth, AMX_ROWS * p->depth, ba_bf16_step(tiled)};
    const uint16_t *x = ba_bf16_row(p, row), *w = p->w + col * p->depth;
    for (size_t r = 0; !p->stream && r < rows; r++) { /* fetch the result's place during the product */
        const float *out = p->out + (row + r) * p->stride + col;
        __builtin_prefetch(out, 1);
        __builtin_prefetch(out + AMX_ROWS, 1);
    }
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    size_t d = 0;
    for (; d + AMX_DEPTH <= p->depth; d += AMX_DEPTH, x += at.step, w += AMX_DEPTH * SIDE) {
        multiply_step(two, d + (AHEAD + 1) * AMX_DEPTH <= p->depth, x, at, w);
    }
    if (d < p->depth) {
        multiply_rest(rows, x, p->depth, w, p->depth - d);
    }
    if (two && rows == SIDE && col + SIDE <= p->cols && !p->bias && !p->add) {
        if (p->stream) {
            stream_sums(p->out + row * p->stride + col, p->stride);
        } else {
            store_sums(true, p->out + row * p->stride + col, p->stride);
        }
        return;
    }
    __attribute__((aligned(64))) float sum[SIDE][SIDE];
    store_sums(two, sum[0], SIDE);
    for (size_t c = col; c < p->cols && c < col + SIDE; c += AMX_ROWS) {
        const float *bias = p->bias ? p->bias + c : NULL;
        for (size_t r = 0; r < rows; r++) {
            store_lanes(sum[r] + (c - col), bias, p->cols - c, p->add, p->out + (row + r) * p->stride + c);
        }
    }
}

static void product_rows(const ba_bf16_product *p, size_t row, size_t rows, size_t col) {
    if (rows <= AMX_ROWS) {
        product_block(p, false, p->tiled, row, rows, col);
    } else if (p->tiled) {
        product_block(p, true, true, row, rows, col);
    } else {
        product_block(p, true, false, row, rows, col);
    }
}

/* Fetches elements [from, from + n) of `ahead`, up to its end. */
static void fetch(const ba_bf16_product *p, size_t from, size_t n) {
    size_t end = p->depth * BA_KEYS;
    for (size_t i = from; p->ahead && i < from + n && i < end; i += LINE) {
        _mm_prefetch((const char *)(p->ahead + i), _MM_HINT_T1);
    }
}

/* The columns of a block, a strip, stay in the first-level cache while all rows pass. */
void ba_bf16_product_amx(const ba_bf16_product *p) {
    size_t blocks = (p->rows + SIDE - 1) / SIDE * ((p->cols + SIDE - 1) / SIDE), done = 0;
    size_t share = blocks ? (p->depth * BA_KEYS / blocks / LINE + 1) * LINE : 0;
    amx_config c = amx_whole();
    tile_config(&c);
    for (size_t col = 0; col < p->cols; col += SIDE) {
        for (size_t row = 0; row < p->rows; row += SIDE, done++) {
            fetch(p, done * share, share);
            product_rows(p, row, p->rows - row < SIDE ? p->rows - row : SIDE, col);
        }
    }
    tile_release();
    if (p->stream) {
        _mm_sfence();
    }
}
#else
void ba_bf16_product_amx(const ba_bf16_product *p) {
    (void)p; /* never called, because ba_bf16_has_amx() is false */
}
#endif
