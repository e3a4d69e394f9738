/* The bf16 tile code for matrix units (AMX with bf16), together with the vectors of AVX-512 with bf16. The layout of
 * keys and values is that of the second operand of a matrix unit, because both use pairs. As in simd.h, the result of a
 * row does not depend on the rows that share a block with it: a matrix unit sums every row by itself, and masked keys
 * have probability zero.
 *
 * Matrix registers: 0 to 3 hold sums [16, 16] side by side; 4 and 5 the first and second operand; 6 and 7 the same for
 * the remainder of a head dimension that is no multiple of 32. */
#include "bf16.h"

#if defined(__x86_64__) && defined(__AVX512BF16__) && (defined(__AMX_BF16__) || defined(BA_AMX_PLAIN))
#include "amx.h"
#include "softmax.h"

#include <string.h>

enum { BLOCK_ROWS = AMX_ROWS, DEPTH = AMX_DEPTH }; /* the buffers of a tile hold a whole number of blocks */
_Static_assert(BA_TILE_ROWS % BLOCK_ROWS == 0, "rows after the last one of a tile are computed and ignored");

static void configure(size_t dim) {
    amx_config c = amx_whole();
    size_t rest = dim % DEPTH ? dim % DEPTH : DEPTH;
    c.row_bytes[6] = (uint16_t)(rest * sizeof(uint16_t));
    c.rows[7] = (uint8_t)(rest / 2);
    tile_config(&c);
}

/* s [16, BA_KEYS] = q k + bias, of 16 rows and the keys of a tile. */
INLINE void score_block(const ba_tile *t, size_t row, const uint16_t *k, float *s) {
    const uint16_t *q = (const uint16_t *)(t->q + row * t->dim);
    /* q: bf16 rows in the places of fp32 rows; k: pairs of dimensions of all keys of a tile */
    const size_t q_bytes = t->dim * sizeof(float), k_bytes = 2 * BA_KEYS * sizeof(uint16_t);
    size_t d = 0;
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    for (; d + DEPTH <= t->dim; d += DEPTH) {
        const uint16_t *keys = k + d * BA_KEYS;
        tile_load(4, q + d, q_bytes);
        tile_load(5, keys, k_bytes);
        tile_multiply(0, 4, 5);
        tile_load(5, keys + 2 * LANES, k_bytes);
        tile_multiply(1, 4, 5);
        tile_load(5, keys + 4 * LANES, k_bytes);
        tile_multiply(2, 4, 5);
        tile_load(5, keys + 6 * LANES, k_bytes);
        tile_multiply(3, 4, 5);
    }
    if (d < t->dim) {
        const uint16_t *keys = k + d * BA_KEYS;
        tile_load(6, q + d, q_bytes);
        tile_load(7, keys, k_bytes);
        tile_multiply(0, 6, 7);
        tile_load(7, keys + 2 * LANES, k_bytes);
        tile_multiply(1, 6, 7);
        tile_load(7, keys + 4 * LANES, k_bytes);
        tile_multiply(2, 6, 7);
        tile_load(7, keys + 6 * LANES, k_bytes);
        tile_multiply(3, 6, 7);
    }
    tile_store(0, s, BA_KEYS * sizeof *s);
    tile_store(1, s + LANES, BA_KEYS * sizeof *s);
    tile_store(2, s + 2 * LANES, BA_KEYS * sizeof *s);
    tile_store(3, s + 3 * LANES, BA_KEYS * sizeof *s);
    for (size_t i = 0; t->bias != 0 && i < BLOCK_ROWS * BA_KEYS; i++) {
        s[i] += t->bias;
    }
}

/* o [16, 4 vectors] += p v over the keys [first, last) of a tile, extended to whole registers. */
INLINE void value_block(const uint16_t *p, int32_t first, int32_t last, const uint16_t *v, size_t v_stride, float *o) {
    const size_t p_bytes = BA_KEYS * sizeof *p, v_bytes = 2 * v_stride * sizeof *v, o_bytes = v_stride * sizeof *o;
    tile_load(0, o, o_bytes);
    tile_load(1, o + LANES, o_bytes);
    tile_load(2, o + 2 * LANES, o_bytes);
    tile_load(3, o + 3 * LANES, o_bytes);
    for (int32_t key = first / DEPTH * DEPTH; key < last; key += DEPTH) {
        const uint16_t *values = v + (size_t)key * v_stride;
        tile_load(4, p + key, p_bytes);
        tile_load(5, values, v_bytes);
        tile_multiply(0, 4, 5);
        tile_load(5, values + 2 * LANES, v_bytes);
        tile_multiply(1, 4, 5);
        tile_load(5, values + 4 * LANES, v_bytes);
        tile_multiply(2, 4, 5);
        tile_load(5, values + 6 * LANES, v_bytes);
        tile_multiply(3, 4, 5);
    }
    tile_store(0, o, o_bytes);
    tile_store(1, o + LANES, o_bytes);
    tile_store(2, o + 2 * LANES, o_bytes);
    tile_store(3, o + 3 * LANES, o_bytes);
}

/* The same for one vector. */
INLINE void value_column(const uint16_t *p, int32_t first, int32_t last, const uint16_t *v, size_t v_stride, float *o) {
    const size_t p_bytes = BA_KEYS * sizeof *p, v_bytes = 2 * v_stride * sizeof *v, o_bytes = v_stride * sizeof *o;
    tile_load(0, o, o_bytes);
    for (int32_t key = first / DEPTH * DEPTH; key < last; key += DEPTH) {
        tile_load(4, p + key, p_bytes);
        tile_load(5, v + (size_t)key * v_stride, v_bytes);
        tile_multiply(0, 4, 5);
    }
    tile_store(0, o, o_bytes);
}

static void rescale_row(float *o, size_t n, float factor) {
    for (size_t i = 0; i < n; i += LANES) {
        _mm512_store_ps(o + i, _mm512_mul_ps(_mm512_load_ps(o + i), _mm512_set1_ps(factor)));
    }
}

/* Up to 16 rows against the key tile that starts at key0. sum: [rows, LANES] their sums. */
static void attend_block(ba_tile *t, size_t row, size_t rows, size_t key0, float *sum) {
    __attribute__((aligned(64))) float s[BLOCK_ROWS * BA_KEYS];
    __attribute__((aligned(64))) uint16_t p[BLOCK_ROWS * BA_KEYS];
    int32_t lo[BLOCK_ROWS], hi[BLOCK_ROWS], first, last;
    if (!visible(t, row, rows, key0, lo, hi, &first, &last)) {
        return;
    }
    const uint16_t *k = t->k, *v = t->v;
    float *o = t->o + row * t->v_stride;
    score_block(t, row, k + key0 * t->dim, s);
    for (size_t i = 0; i < rows; i++) {
        float rescale;
        soften(s + i * BA_KEYS, lo[i], hi[i], &t->m[row + i], sum + i * LANES, &rescale, p + i * BA_KEYS);
        if (rescale != 1.0f) {
            rescale_row(o + i * t->v_stride, t->v_stride, rescale);
        }
    }
    memset(p + rows * BA_KEYS, 0, (BLOCK_ROWS - rows) * BA_KEYS * sizeof *p);
    size_t d = 0;
    v += key0 * t->v_stride;
    for (; d + COLS * LANES <= t->v_stride; d += COLS * LANES) {
        value_block(p, first, last, v + 2 * d, t->v_stride, o + d);
    }
    for (; d < t->v_stride; d += LANES) {
        value_column(p, first, last, v + 2 * d, t->v_stride, o + d);
    }
}

static size_t block_at(const ba_tile *t, size_t row) {
    return t->rows - row < BLOCK_ROWS ? t->rows - row : BLOCK_ROWS;
}

static void attend(ba_tile *t) {
    __attribute__((aligned(64))) float sum[BA_TILE_ROWS * LANES];
    memset(sum, 0, t->rows * LANES * sizeof *sum);
    for (size_t r = 0; r < t->rows; r++) {
        sum[r * LANES] = t->l[r];
    }
    configure(t->dim);
    for (size_t key0 = t->key0 / BA_KEYS * BA_KEYS; key0 < t->key1; key0 += BA_KEYS) {
        for (size_t r = 0; r < t->rows; r += BLOCK_ROWS) {
            attend_block(t, r, block_at(t, r), key0, sum + r * LANES);
        }
    }
    tile_release();
    for (size_t r = 0; r < t->rows; r++) {
        t->l[r] = _mm512_reduce_add_ps(_mm512_load_ps(sum + r * LANES));
    }
}

static void scores(const ba_tile *t, size_t tile) {
    configure(t->dim);
    for (size_t r = 0; r < t->rows; r += BLOCK_ROWS) {
        score_block(t, r, (const uint16_t *)t->k + tile * t->dim * BA_KEYS, t->s + r * BA_KEYS);
    }
    tile_release();
}

const ba_bf16_isa ba_bf16_isa_amx = {
    {.name = "amx_bf16", .attend = attend, .scores = scores, .rotate = ba_bf16_rotate_avx512, .values = ba_bf16_values},
    ba_bf16_round_avx512,
    ba_bf16_product_amx,
    BA_STRIP_AMX};
#else
const ba_bf16_isa ba_bf16_isa_amx = {.tile = {.name = "amx_bf16"}};
#endif
