/* The tile code (simd.h) for AVX-512 (F, BW, DQ, VL). */
#include "attention.h"

#if defined(__x86_64__) && defined(__AVX512F__)
#include <immintrin.h>
#include <math.h>

#define ISA_NAME "avx512"
enum { VEC_LANES = 16, VEC_COLS = 4 };
typedef __m512 vec;

static inline vec vec_set(float x) {
    return _mm512_set1_ps(x);
}
static inline vec vec_load(const float *p) {
    return _mm512_load_ps(p);
}
static inline vec vec_load_any(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline void vec_store(float *p, vec x) {
    _mm512_store_ps(p, x);
}
static inline void vec_store_any(float *p, vec x) {
    _mm512_storeu_ps(p, x);
}
static inline vec vec_add(vec a, vec b) {
    return _mm512_add_ps(a, b);
}
static inline vec vec_sub(vec a, vec b) {
    return _mm512_sub_ps(a, b);
}
static inline vec vec_mul(vec a, vec b) {
    return _mm512_mul_ps(a, b);
}
static inline vec vec_div(vec a, vec b) {
    return _mm512_div_ps(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
/* If one is NaN, the result is b. */
static inline vec vec_max(vec a, vec b) {
    return _mm512_max_ps(a, b);
}
static inline vec vec_min(vec a, vec b) {
    return _mm512_min_ps(a, b);
}
static inline vec vec_round(vec x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* x 2^n, n integral. */
static inline vec vec_scale2(vec x, vec n) {
    return _mm512_scalef_ps(x, n);
}
/* Lanes outside of [lo, hi) become minus infinity. */
static inline vec vec_mask(vec x, int32_t lo, int32_t hi) {
    __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __mmask16 in =
        _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(lo)) & _mm512_cmplt_epi32_mask(lane, _mm512_set1_epi32(hi));
    return _mm512_mask_blend_ps(in, _mm512_set1_ps(-INFINITY), x);
}
static inline float vec_max_across(vec x) {
    return _mm512_reduce_max_ps(x);
}
static inline float vec_sum_across(vec x) {
    return _mm512_reduce_add_ps(x);
}

#include "simd.h"
const ba_isa ba_isa_avx512 = ISA_TABLE;
#else
const ba_isa ba_isa_avx512 = {.name = "avx512"};
#endif
