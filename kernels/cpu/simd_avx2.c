/* The tile code (simd.h) for AVX2 with FMA. */
#include "attention.h"

#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#include <math.h>

#define ISA_NAME "avx2"
enum { VEC_LANES = 8, VEC_COLS = 2 };
typedef __m256 vec;

static inline vec vec_set(float x) {
    return _mm256_set1_ps(x);
}
static inline vec vec_load(const float *p) {
    return _mm256_load_ps(p);
}
static inline vec vec_load_any(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline void vec_store(float *p, vec x) {
    _mm256_store_ps(p, x);
}
static inline void vec_store_any(float *p, vec x) {
    _mm256_storeu_ps(p, x);
}
static inline vec vec_add(vec a, vec b) {
    return _mm256_add_ps(a, b);
}
static inline vec vec_sub(vec a, vec b) {
    return _mm256_sub_ps(a, b);
}
static inline vec vec_mul(vec a, vec b) {
    return _mm256_mul_ps(a, b);
}
static inline vec vec_div(vec a, vec b) {
    return _mm256_div_ps(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
/* If one is NaN, the result is b. */
static inline vec vec_max(vec a, vec b) {
    return _mm256_max_ps(a, b);
}
static inline vec vec_min(vec a, vec b) {
    return _mm256_min_ps(a, b);
}
static inline vec vec_round(vec x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* x 2^n, n integral; 0 where n is below the exponents of normal numbers. */
static inline vec vec_scale2(vec x, vec n) {
    __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    vec tiny = _mm256_cmp_ps(n, _mm256_set1_ps(-126.0f), _CMP_LT_OQ);
    return _mm256_andnot_ps(tiny, _mm256_mul_ps(x, _mm256_castsi256_ps(exponent)));
}
/* Lanes outside of [lo, hi) become minus infinity. */
static inline vec vec_mask(vec x, int32_t lo, int32_t hi) {
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i out = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(lo), lane),
                                  _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(hi - 1)));
    return _mm256_blendv_ps(x, _mm256_set1_ps(-INFINITY), _mm256_castsi256_ps(out));
}
static inline float vec_max_across(vec x) {
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_shuffle_ps(y, y, 1)));
}
static inline float vec_sum_across(vec x) {
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_shuffle_ps(y, y, 1)));
}

#include "simd.h"
const ba_isa ba_isa_avx2 = ISA_TABLE;
#else
const ba_isa ba_isa_avx2 = {.name = "avx2"};
#endif
