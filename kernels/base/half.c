#include "half.h"

#include <string.h>

static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* The half's exponent and fraction, moved to where fp32 keeps them, are the value times 2^-112; multiplying by 2^112 is
 * exact and gets the subnormals right as well. */
float ba_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t magnitude = (uint32_t)(h & 0x7fffu) << 13;
    if ((h & 0x7c00u) == 0x7c00u) {
        return float_of(sign | magnitude | 0x7f800000u);
    }
    return float_of(sign | bits_of(float_of(magnitude) * 0x1p112f));
}

uint16_t ba_f32_to_f16(float f) {
    uint32_t bits = bits_of(f);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return (uint16_t)(sign | 0x7e00u);
    }
    if (magnitude >= 0x477ff000u) { /* 65520 and larger numbers round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    }
    if (magnitude < 0x38800000u) {
        /* Below the smallest normal half, 2^-14: the spacing of fp32 numbers at 0.5 is that of subnormal halves, so the
         * addition does the rounding. */
        return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f)));
    }
    magnitude += 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | (magnitude - 0x38000000u) >> 13);
}
