/* The bf16 tile code for AVX-512 with bf16 dot products (F, BW, DQ, VL, BF16). As in simd.h, the result of a row does
 * not depend on the rows that share a block with it. */
#include "bf16.h"

#if defined(__x86_64__) && defined(__AVX512BF16__)
#include "softmax.h"

#include <string.h>

enum {
    BLOCK_ROWS = 6, /* 6 x 4 accumulators, 4 operands and a factor fit the registers */
};

INLINE __m512bh load_pairs(const uint16_t *at) {
    return (__m512bh)_mm512_loadu_si512(at);
}

/* The pair (at[0], at[1]) in all lanes. */
INLINE __m512bh repeat_pair(const uint16_t *at) {
    int32_t pair;
    memcpy(&pair, at, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* s [R, BA_KEYS] = bias + q k, of R rows and the keys of a tile. */
INLINE void score_block(size_t R, const ba_tile *t, size_t row, const uint16_t *k, float *s) {
    const uint16_t *q = (const uint16_t *)(t->q + row * t->dim);
    size_t stride = 2 * t->dim; /* bf16 rows in the places of fp32 rows */
    __m512 sum[BLOCK_ROWS][COLS];
    UNROLL for (size_t i = 0; i < R; i++) {
        UNROLL for (size_t j = 0; j < COLS; j++) {
            sum[i][j] = _mm512_set1_ps(t->bias);
        }
    }
    for (size_t d = 0; d < t->dim; d += 2, k += 2 * BA_KEYS) {
        __m512bh key[COLS];
        UNROLL for (size_t j = 0; j < COLS; j++) {
            key[j] = load_pairs(k + 2 * LANES * j);
        }
        UNROLL for (size_t i = 0; i < R; i++) {
            __m512bh pair = repeat_pair(q + i * stride + d);
            UNROLL for (size_t j = 0; j < COLS; j++) {
                sum[i][j] = _mm512_dpbf16_ps(sum[i][j], pair, key[j]);
            }
        }
    }
    UNROLL for (size_t i = 0; i < R; i++) {
        UNROLL for (size_t j = 0; j < COLS; j++) {
            _mm512_store_ps(s + i * BA_KEYS + j * LANES, sum[i][j]);
        }
    }
}

/* o[R, C vectors] = o * rescale + p v over the token pairs [pair0, pair1) of a tile. */
INLINE void value_block(size_t R, size_t C, const uint16_t *p, size_t pair0, size_t pair1, const uint16_t *v,
                        size_t v_stride, const float *rescale, float *o) {
    __m512 sum[BLOCK_ROWS][COLS];
    UNROLL for (size_t i = 0; i < R; i++) {
        UNROLL for (size_t j = 0; j < C; j++) {
            sum[i][j] = _mm512_mul_ps(_mm512_load_ps(o + i * v_stride + j * LANES), _mm512_set1_ps(rescale[i]));
        }
    }
    for (size_t pair = pair0; pair < pair1; pair++) {
        __m512bh value[COLS];
        UNROLL for (size_t j = 0; j < C; j++) {
            value[j] = load_pairs(v + (pair * v_stride + j * LANES) * 2);
        }
        UNROLL for (size_t i = 0; i < R; i++) {
            __m512bh weight = repeat_pair(p + i * BA_KEYS + 2 * pair);
            UNROLL for (size_t j = 0; j < C; j++) {
                sum[i][j] = _mm512_dpbf16_ps(sum[i][j], weight, value[j]);
            }
        }
    }
    UNROLL for (size_t i = 0; i < R; i++) {
        UNROLL for (size_t j = 0; j < C; j++) {
            _mm512_store_ps(o + i * v_stride + j * LANES, sum[i][j]);
        }
    }
}

/* R rows against the key tile that starts at key0. sum: [R, LANES] their sums. */
INLINE void attend_block(size_t R, ba_tile *t, size_t row, size_t key0, float *sum) {
    int32_t lo[BLOCK_ROWS], hi[BLOCK_ROWS], first, last;
    if (!visible(t, row, R, key0, lo, hi, &first, &last)) {
        return;
    }
    const uint16_t *k = t->k, *v = t->v;
    __attribute__((aligned(64))) uint16_t p[BLOCK_ROWS * BA_KEYS];
    float rescale[BLOCK_ROWS], *s = t->s + row * BA_KEYS;
    score_block(R, t, row, k + key0 * t->dim, s);
    for (size_t i = 0; i < R; i++) {
        soften(s + i * BA_KEYS, lo[i], hi[i], &t->m[row + i], sum + i * LANES, &rescale[i], p + i * BA_KEYS);
    }
    size_t pair0 = (size_t)first / 2, pair1 = ((size_t)last + 1) / 2, vectors = t->v_stride / LANES, j = 0;
    v += key0 * t->v_stride;
    float *o = t->o + row * t->v_stride;
    for (; j + COLS <= vectors; j += COLS) {
        value_block(R, COLS, p, pair0, pair1, v + 2 * LANES * j, t->v_stride, rescale, o + j * LANES);
    }
    for (; j < vectors; j++) {
        value_block(R, 1, p, pair0, pair1, v + 2 * LANES * j, t->v_stride, rescale, o + j * LANES);
    }
}

static void attend_rows(ba_tile *t, size_t row, size_t rows, size_t key0, float *sum) {
    switch (rows) {
    case 6:
        attend_block(6, t, row, key0, sum);
        break;
    case 5:
        attend_block(5, t, row, key0, sum);
        break;
    case 4:
        attend_block(4, t, row, key0, sum);
        break;
    case 3:
        attend_block(3, t, row, key0, sum);
        break;
    case 2:
        attend_block(2, t, row, key0, sum);
        break;
    default:
        attend_block(1, t, row, key0, sum);
        break;
    }
}

/* Fetches a part of the keys and values of the tile at key0 into the cache, during row r of the tile before. */
INLINE void prefetch(const ba_tile *t, size_t key0, size_t r) {
    if (key0 >= t->key1) {
        return;
    }
    const char *k = (const char *)((const uint16_t *)t->k + key0 * t->dim);
    const char *v = (const char *)((const uint16_t *)t->v + key0 * t->v_stride);
    size_t bytes = BA_KEYS * t->dim * sizeof(uint16_t), share = (bytes / t->rows + 1) * BLOCK_ROWS;
    for (size_t at = r / BLOCK_ROWS * share; at < bytes && at < (r / BLOCK_ROWS + 1) * share; at += 64) {
        _mm_prefetch(k + at, _MM_HINT_T1);
        _mm_prefetch(v + at, _MM_HINT_T1);
    }
}

static void attend(ba_tile *t) {
    __attribute__((aligned(64))) float sum[BA_TILE_ROWS * LANES];
    memset(sum, 0, t->rows * LANES * sizeof *sum);
    for (size_t r = 0; r < t->rows; r++) {
        sum[r * LANES] = t->l[r];
    }
    for (size_t key0 = t->key0 / BA_KEYS * BA_KEYS; key0 < t->key1; key0 += BA_KEYS) {
        for (size_t r = 0; r < t->rows; r += BLOCK_ROWS) {
            prefetch(t, key0 + BA_KEYS, r);
            attend_rows(t, r, t->rows - r < BLOCK_ROWS ? t->rows - r : BLOCK_ROWS, key0, sum + r * LANES);
        }
    }
    for (size_t r = 0; r < t->rows; r++) {
        t->l[r] = _mm512_reduce_add_ps(_mm512_load_ps(sum + r * LANES));
    }
}

static void scores(const ba_tile *t, size_t tile) {
    for (size_t r = 0; r < t->rows; r++) {
        score_block(1, t, r, (const uint16_t *)t->k + tile * t->dim * BA_KEYS, t->s + r * BA_KEYS);
    }
}

/* (x rotated) * factor in fp32, as ba_bf16_rotate, but with fused multiply-adds. The last, incomplete 16 pairs are
 * masked. */
void ba_bf16_rotate_avx512(const float *x, size_t dim, const float *rot, float factor, float *out) {
    size_t half = dim / 2;
    const __m512 times = _mm512_set1_ps(factor);
    uint16_t *rounded = (uint16_t *)out;
    for (size_t i = 0; i < half; i += LANES) {
        __mmask16 in = half - i < LANES ? (__mmask16)((1u << (half - i)) - 1) : (__mmask16)-1;
        __m512 a = _mm512_maskz_loadu_ps(in, x + i), b = _mm512_maskz_loadu_ps(in, x + half + i);
        __m512 cosine = _mm512_maskz_loadu_ps(in, rot + i), sine = _mm512_maskz_loadu_ps(in, rot + half + i);
        __m512 left = _mm512_fmsub_ps(a, cosine, _mm512_mul_ps(b, sine));
        __m512 right = _mm512_fmadd_ps(b, cosine, _mm512_mul_ps(a, sine));
        _mm256_mask_storeu_epi16(rounded + i, in, (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(left, times)));
        _mm256_mask_storeu_epi16(rounded + half + i, in, (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(right, times)));
    }
}

void ba_bf16_round_avx512(const float *x, size_t n, uint16_t *out) {
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        __m512bh rounded = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + LANES), _mm512_loadu_ps(x + i));
        _mm512_storeu_si512(out + i, (__m512i)rounded);
    }
    for (; i < n; i++) {
        out[i] = ba_f32_to_bf16(x[i]);
    }
}

const ba_bf16_isa ba_bf16_isa_avx512 = {{.name = "avx512_bf16",
                                         .attend = attend,
                                         .scores = scores,
                                         .rotate = ba_bf16_rotate_avx512,
                                         .values = ba_bf16_values},
                                        ba_bf16_round_avx512,
                                        ba_bf16_product_avx512,
                                        BA_STRIP_AVX512};
#else
const ba_bf16_isa ba_bf16_isa_avx512 = {.tile = {.name = "avx512_bf16"}};
#endif
