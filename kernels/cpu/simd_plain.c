/* The tile code (simd.h) for any processor: vectors of four floats, which the compiler maps to its instructions. */
#include "attention.h"

#include <math.h>
#include <string.h>

#define ISA_NAME "plain"
enum { VEC_LANES = 4, VEC_COLS = 2 };
typedef float vec __attribute__((vector_size(16)));
typedef int32_t ivec __attribute__((vector_size(16)));

static inline vec vec_set(float x) {
    return (vec){x, x, x, x};
}
static inline vec vec_load_any(const float *p) {
    vec x;
    memcpy(&x, p, sizeof x);
    return x;
}
static inline vec vec_load(const float *p) {
    return *(const vec *)__builtin_assume_aligned(p, sizeof(vec));
}
static inline void vec_store_any(float *p, vec x) {
    memcpy(p, &x, sizeof x);
}
static inline void vec_store(float *p, vec x) {
    *(vec *)__builtin_assume_aligned(p, sizeof(vec)) = x;
}
static inline vec vec_add(vec a, vec b) {
    return a + b;
}
static inline vec vec_sub(vec a, vec b) {
    return a - b;
}
static inline vec vec_mul(vec a, vec b) {
    return a * b;
}
static inline vec vec_div(vec a, vec b) {
    return a / b;
}
/* Rounds twice, because not every processor has a fused multiply-add. */
static inline vec vec_fma(vec a, vec b, vec c) {
    return a * b + c;
}
static inline vec choose(ivec which, vec yes, vec no) {
    return (vec)((which & (ivec)yes) | (~which & (ivec)no));
}
/* If one is NaN, the result is b. */
static inline vec vec_max(vec a, vec b) {
    return choose(a > b, a, b);
}
static inline vec vec_min(vec a, vec b) {
    return choose(a < b, a, b);
}
/* Nearest integer of |x| < 2^22: the sum's last bit is worth 1. */
static inline vec vec_round(vec x) {
    vec big = vec_set(12582912.0f); /* 1.5 2^23 */
    return (x + big) - big;
}
/* x 2^n, n integral; 0 where n is below the exponents of normal numbers. */
static inline vec vec_scale2(vec x, vec n) {
    vec biased = choose(n >= vec_set(-126.0f), n + 127.0f, vec_set(1.0f)); /* a NaN becomes 1 here; x keeps it */
    ivec exponent = __builtin_convertvector(biased, ivec) << 23;
    return choose(n < vec_set(-126.0f), vec_set(0), x * (vec)exponent);
}
/* Lanes outside of [lo, hi) become minus infinity. */
static inline vec vec_mask(vec x, int32_t lo, int32_t hi) {
    ivec lane = {0, 1, 2, 3};
    ivec in = (lane >= (ivec){lo, lo, lo, lo}) & (lane < (ivec){hi, hi, hi, hi});
    return choose(in, x, vec_set(-INFINITY));
}
static inline float vec_max_across(vec x) {
    float a = x[0] > x[1] ? x[0] : x[1], b = x[2] > x[3] ? x[2] : x[3];
    return a > b ? a : b;
}
static inline float vec_sum_across(vec x) {
    return (x[0] + x[2]) + (x[1] + x[3]);
}

#include "simd.h"
const ba_isa ba_isa_plain = ISA_TABLE;
