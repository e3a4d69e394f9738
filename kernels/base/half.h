/* Conversions between fp32 and the two 16-bit formats, one number at a time: IEEE half precision (f16) and bfloat16
 * (bf16, the upper half of an fp32 number). All round to nearest, ties to even; a NaN stays a NaN. */
#ifndef BA_HALF_H
#define BA_HALF_H

#include <stdbool.h>
#include <stdint.h>

float ba_f16_to_f32(uint16_t h);
uint16_t ba_f32_to_f16(float f);

/* bf16 is inline, because the layouts of the bf16 kernels are written element by element. */
static inline uint16_t ba_f32_to_bf16(float f) {
    uint32_t bits;
    __builtin_memcpy(&bits, &f, sizeof bits);
    bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return (uint16_t)((nan ? bits | 0x00400000u : bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static inline float ba_bf16_to_f32(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    __builtin_memcpy(&f, &bits, sizeof f);
    return f;
}

#endif
