/* The polynomial for 2^f on [-1/2, 1/2] that every exponential in fp32 uses: a minimax fit with a relative error of
 * 2e-9, exactly 1 at 0. SET(c) is a constant and FMA(p, f, c) is p * f + c in the arithmetic of the includer. */
#ifndef BA_EXP2_H
#define BA_EXP2_H

#include <stdint.h>
#include <string.h>

#define BA_EXP2_POLYNOMIAL(f, SET, FMA)                                                                                \
    FMA(FMA(FMA(FMA(FMA(FMA(SET(1.5353359e-4f), f, SET(1.33988762e-3f)), f, SET(9.61843692e-3f)), f,                   \
                    SET(5.55033237e-2f)),                                                                              \
                f, SET(2.40226477e-1f)),                                                                               \
            f, SET(6.93147182e-1f)),                                                                                   \
        f, SET(1.0f))

/* 2^x for x <= 126, as 2^-126 below that; a NaN stays one. In a form that compilers turn into vectors; rounds twice where
 * a fused multiply-add would round once. */
static inline float ba_exp2(float x) {
    const float magic = 12582912.0f; /* 1.5 2^23: adding it rounds to a whole number, which is then in the low bits */
    x = x < -126.0f ? -126.0f : x;
    float sum = x + magic, f = x - (sum - magic), scale;
    uint32_t bits, magic_bits = 0x4b400000;
    memcpy(&bits, &sum, sizeof bits);
    bits = (bits - magic_bits + 127) << 23;
    memcpy(&scale, &bits, sizeof scale);
#define BA_SAME(c)               (c)
#define BA_MULTIPLY_ADD(p, f, c) ((p) * (f) + (c))
    return BA_EXP2_POLYNOMIAL(f, BA_SAME, BA_MULTIPLY_ADD) * scale;
#undef BA_SAME
#undef BA_MULTIPLY_ADD
}

#endif
