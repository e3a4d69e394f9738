#include "dtype_k.h"

#include "half.h"

enum { SUPER = 256 };

static float read_f16(const uint8_t *p) {
    return ba_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

/* Two-bit codes: byte l of a half (128 elements, 32 bytes) holds elements l, l + 32, l + 64 and l + 96. */
static int two_bits(const uint8_t *codes, size_t e) {
    return codes[e / 128 * 32 + e % 32] >> 2 * (e % 128 / 32) & 3;
}

/* Four-bit codes: byte l of a run of 64 elements (32 bytes) holds elements l and l + 32. */
static int four_bits(const uint8_t *codes, size_t e) {
    return codes[e / 64 * 32 + e % 32] >> 4 * (e % 64 / 32) & 15;
}

/* One more bit for every element: bit e / 32 of byte e % 32. */
static int one_bit(const uint8_t *codes, size_t e) {
    return codes[e % 32] >> e / 32 & 1;
}

/* scales[16] (low nibble scale, high nibble minimum), codes[64], d, dmin. */
void ba_decode_q2_k(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t b = 0; b < n / SUPER; b++, p += 84, dst += SUPER) {
        float d = read_f16(p + 80), dmin = read_f16(p + 82);
        for (size_t e = 0; e < SUPER; e++) {
            float scale = d * (float)(p[e / 16] & 15), min = dmin * (float)(p[e / 16] >> 4);
            dst[e] = scale * (float)two_bits(p + 16, e) - min;
        }
    }
}

/* Sixteen six-bit scales in 12 bytes: nibbles of the first eight bytes, then pairs of high bits in the last four. */
static int scale_of_q3(const uint8_t *packed, size_t i) {
    int low = packed[i % 8] >> 4 * (i / 8) & 15;
    int high = packed[8 + i % 4] >> 2 * (i / 4) & 3;
    return (low | high << 4) - 32;
}

/* high[32], codes[64], scales[12], d. A clear high bit subtracts 4. */
void ba_decode_q3_k(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t b = 0; b < n / SUPER; b++, p += 110, dst += SUPER) {
        float d = read_f16(p + 108);
        for (size_t e = 0; e < SUPER; e++) {
            float scale = d * (float)scale_of_q3(p + 96, e / 16);
            dst[e] = scale * (float)(two_bits(p + 32, e) - (one_bit(p, e) ? 0 : 4));
        }
    }
}

/* Eight six-bit scales and minima in 12 bytes: the first four whole in the low bits of bytes 0..3 (scales) and 4..7
 * (minima), the other four as a nibble in bytes 8..11 with two high bits on top of the first eight bytes. */
static void scale_of_q4(const uint8_t *packed, size_t i, int *scale, int *min) {
    if (i < 4) {
        *scale = packed[i] & 63;
        *min = packed[i + 4] & 63;
    } else {
        *scale = (packed[i + 4] & 15) | packed[i - 4] >> 6 << 4;
        *min = packed[i + 4] >> 4 | packed[i] >> 6 << 4;
    }
}

/* d, dmin, scales[12], codes[128]. */
void ba_decode_q4_k(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t b = 0; b < n / SUPER; b++, p += 144, dst += SUPER) {
        float d = read_f16(p), dmin = read_f16(p + 2);
        for (size_t e = 0; e < SUPER; e++) {
            int scale, min;
            scale_of_q4(p + 4, e / 32, &scale, &min);
            dst[e] = d * (float)scale * (float)four_bits(p + 16, e) - dmin * (float)min;
        }
    }
}

/* d, dmin, scales[12], high[32], codes[128]. */
void ba_decode_q5_k(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t b = 0; b < n / SUPER; b++, p += 176, dst += SUPER) {
        float d = read_f16(p), dmin = read_f16(p + 2);
        for (size_t e = 0; e < SUPER; e++) {
            int scale, min;
            scale_of_q4(p + 4, e / 32, &scale, &min);
            int code = four_bits(p + 48, e) | one_bit(p + 16, e) << 4;
            dst[e] = d * (float)scale * (float)code - dmin * (float)min;
        }
    }
}

/* codes[128], high[64], scales[16] (signed), d. Here the low nibbles of a half come in runs of 64. */
void ba_decode_q6_k(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t b = 0; b < n / SUPER; b++, p += 210, dst += SUPER) {
        float d = read_f16(p + 208);
        for (size_t e = 0; e < SUPER; e++) {
            int low = p[e / 128 * 64 + e % 64] >> 4 * (e % 128 / 64) & 15;
            int code = (low | two_bits(p + 128, e) << 4) - 32;
            dst[e] = d * (float)(int8_t)p[192 + e / 16] * (float)code;
        }
    }
}
