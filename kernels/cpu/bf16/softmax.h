/* Shared by attention_avx512_bf16.c and attention_amx.c: the softmax of a row over a key tile, by AVX-512 with bf16 (F,
 * BW, DQ, VL, BF16). */
#ifndef BA_SOFTMAX_H
#define BA_SOFTMAX_H

#include "bf16.h"

#include <immintrin.h>
#include <math.h>

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = 16,
    COLS = BA_KEYS / LANES, /* vectors of a row's scores */
};

/* 2^x for x <= 0: exactly 1 at 0, exactly 0 at minus infinity, NaN for NaN. The polynomial is a minimax fit of 2^f on
 * [0, 1) with a relative error of 2.9e-6, a thousandth of the rounding to bf16 that follows. */
INLINE __m512 exp2_below_1(__m512 x) {
    __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); /* x - floor(x), 0 for infinities */
    __m512 p = _mm512_set1_ps(0.01342669f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.05224247f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.24128021f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.69304484f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, x); /* p 2^floor(x) */
}

/* Lanes outside of [lo, hi) become minus infinity. */
INLINE __m512 mask_lanes(__m512 x, int32_t lo, int32_t hi) {
    __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __mmask16 in =
        _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(lo)) & _mm512_cmplt_epi32_mask(lane, _mm512_set1_epi32(hi));
    return _mm512_mask_blend_ps(in, _mm512_set1_ps(-INFINITY), x);
}

/* Turns the scores of a row into rounded probabilities relative to the new maximum. sum [LANES]: their partial sums. */
INLINE void soften(const float *score, int32_t lo, int32_t hi, float *m, float *sum, float *rescale, uint16_t *p) {
    __m512 s[COLS];
    UNROLL for (size_t j = 0; j < COLS; j++) {
        s[j] = _mm512_load_ps(score + j * LANES);
    }
    if (lo > 0 || hi < BA_KEYS) {
        UNROLL for (size_t j = 0; j < COLS; j++) {
            s[j] = mask_lanes(s[j], lo - (int32_t)(j * LANES), hi - (int32_t)(j * LANES));
        }
    }
    __m512 high = _mm512_max_ps(_mm512_max_ps(s[0], s[1]), _mm512_max_ps(s[2], s[3])), l = _mm512_load_ps(sum);
    float top = *m;
    *rescale = 1.0f;
    /* Usually no score is higher, which this test finds without a sum across lanes. */
    if (_mm512_cmp_ps_mask(high, _mm512_set1_ps(top), _CMP_GT_OQ)) {
        top = _mm512_reduce_max_ps(high);
        __m512 factor = exp2_below_1(_mm512_set1_ps(*m - top));
        l = _mm512_mul_ps(l, factor);
        *rescale = _mm512_cvtss_f32(factor);
        *m = top;
    }
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
    __m512 from = _mm512_set1_ps(top);
    UNROLL for (size_t j = 0; j < COLS; j += 2) {
        __m512 a = exp2_below_1(_mm512_sub_ps(s[j], from)), b = exp2_below_1(_mm512_sub_ps(s[j + 1], from));
        __m512bh rounded = _mm512_cvtne2ps_pbh(b, a);
        _mm512_store_si512(p + j * LANES, (__m512i)rounded);
        l = _mm512_dpbf16_ps(l, rounded, ones);
    }
    _mm512_store_ps(sum, l);
}

/* Keys [lo, hi) of the tile at key0 that each row sees (BA_KEYS, 0 if none), and [first, last) that at least one row
 * sees. Adds their number to t->pairs. False if no row sees a key. */
INLINE bool visible(ba_tile *t, size_t row, size_t rows, size_t key0, int32_t *lo, int32_t *hi, int32_t *first,
                    int32_t *last) {
    const __m512i zero = _mm512_setzero_si512(), keys = _mm512_set1_epi32(BA_KEYS),
                  from = _mm512_set1_epi32((int32_t)key0);
    __m512i least = keys, most = zero;
    for (size_t i = 0; i < rows; i += LANES) {
        __mmask16 in = rows - i < LANES ? (__mmask16)((1u << (rows - i)) - 1) : (__mmask16)-1;
        __m512i a = _mm512_max_epi32(_mm512_sub_epi32(_mm512_maskz_loadu_epi32(in, t->lo + row + i), from), zero);
        __m512i b = _mm512_min_epi32(_mm512_sub_epi32(_mm512_maskz_loadu_epi32(in, t->hi + row + i), from), keys);
        __mmask16 some = _mm512_mask_cmplt_epi32_mask(in, a, b);
        a = _mm512_mask_mov_epi32(keys, some, a);
        b = _mm512_maskz_mov_epi32(some, b);
        _mm512_mask_storeu_epi32(lo + i, in, a);
        _mm512_mask_storeu_epi32(hi + i, in, b);
        least = _mm512_min_epi32(least, a);
        most = _mm512_max_epi32(most, b);
        t->pairs += (uint64_t)_mm512_mask_reduce_add_epi32(some, _mm512_sub_epi32(b, a));
    }
    *first = _mm512_reduce_min_epi32(least);
    *last = _mm512_reduce_max_epi32(most);
    return *first < *last;
}

#endif
