/* Matrix products for AVX-512 with bf16 dot products (ba_bf16_product in bf16.h). A block of rows keeps its sums in
 * registers over the whole depth, so each row is summed by itself, independently of the other rows. */
#include "bf16.h"

#if defined(__x86_64__) && defined(__AVX512BF16__)
#include <immintrin.h>
#include <string.h>

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#define INLINE static inline __attribute__((always_inline))

enum {
    BLOCK_ROWS = 6, /* 6 x 4 accumulators, 4 operands and a factor fit the registers */
    COLS = 4,
    LANES = 16,
    LINE = 32, /* elements of a cache line */
};

/* The pair (at[0], at[1]) in all lanes. */
INLINE __m512bh repeat_pair(const uint16_t *at) {
    int32_t pair;
    memcpy(&pair, at, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

INLINE void store_row(const ba_bf16_product *p, size_t row, const __m512 sum[COLS]) {
    float *out = p->out + row * p->stride;
    UNROLL for (size_t j = 0; j < COLS; j++) {
        size_t left = p->cols > j * LANES ? p->cols - j * LANES : 0;
        __mmask16 in = left < LANES ? (__mmask16)((1u << left) - 1) : (__mmask16)-1;
        __m512 x = sum[j];
        x = p->bias ? _mm512_add_ps(x, _mm512_maskz_loadu_ps(in, p->bias + j * LANES)) : x;
        x = p->add ? _mm512_add_ps(_mm512_maskz_loadu_ps(in, out + j * LANES), x) : x;
        _mm512_mask_storeu_ps(out + j * LANES, in, x);
    }
}

/* R rows; fetches `ahead` [ahead_n] into the cache meanwhile. */
INLINE void product_block(size_t R, const ba_bf16_product *p, size_t row, const uint16_t *ahead, size_t ahead_n) {
    const uint16_t *x[BLOCK_ROWS], *w = p->w;
    const size_t step = ba_bf16_step(p->tiled);
    __m512 sum[BLOCK_ROWS][COLS];
    UNROLL for (size_t i = 0; i < R; i++) {
        x[i] = ba_bf16_row(p, row + i);
        UNROLL for (size_t j = 0; j < COLS; j++) {
            sum[i][j] = _mm512_setzero_ps();
        }
    }
    for (size_t d = 0; d < p->depth; d += 2, w += 2 * BA_KEYS) {
        const size_t along = d / BA_MATRIX_DEPTH * step + d % BA_MATRIX_DEPTH;
        __m512bh weight[COLS];
        UNROLL for (size_t j = 0; j < COLS; j++) {
            weight[j] = (__m512bh)_mm512_load_si512(w + 2 * LANES * j);
        }
        UNROLL for (size_t i = 0; i < R; i++) {
            __m512bh pair = repeat_pair(x[i] + along);
            UNROLL for (size_t j = 0; j < COLS; j++) {
                sum[i][j] = _mm512_dpbf16_ps(sum[i][j], pair, weight[j]);
            }
        }
        if (d / 2 * LINE < ahead_n) {
            _mm_prefetch((const char *)(ahead + d / 2 * LINE), _MM_HINT_T1);
        }
    }
    UNROLL for (size_t i = 0; i < R; i++) {
        store_row(p, row + i, sum[i]);
    }
}

void ba_bf16_product_avx512(const ba_bf16_product *p) {
    size_t blocks = (p->rows + BLOCK_ROWS - 1) / BLOCK_ROWS, panel = p->depth * BA_KEYS;
    size_t share = blocks ? (panel / blocks / LINE + 1) * LINE : 0;
    for (size_t b = 0; b < blocks; b++) {
        size_t row = b * BLOCK_ROWS, from = b * share, left = from < panel ? panel - from : 0;
        size_t ahead_n = p->ahead ? (left < share ? left : share) : 0;
        const uint16_t *ahead = ahead_n ? p->ahead + from : NULL;
        switch (p->rows - row) {
        case 1:
            product_block(1, p, row, ahead, ahead_n);
            break;
        case 2:
            product_block(2, p, row, ahead, ahead_n);
            break;
        case 3:
            product_block(3, p, row, ahead, ahead_n);
            break;
        case 4:
            product_block(4, p, row, ahead, ahead_n);
            break;
        case 5:
            product_block(5, p, row, ahead, ahead_n);
            break;
        default:
            product_block(6, p, row, ahead, ahead_n);
            break;
        }
    }
}
#else
void ba_bf16_product_avx512(const ba_bf16_product *p) {
    (void)p; /* never called, because ba_bf16_has_avx512() is false */
}
#endif
