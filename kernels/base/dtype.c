#include "dtype.h"

#include "dtype_k.h"

#include <string.h>

static uint16_t read_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float read_f16(const uint8_t *p) {
    return ba_f16_to_f32(read_u16(p));
}

static void decode_f32(const void *src, float *dst, size_t n) {
    memcpy(dst, src, n * sizeof *dst);
}

static void decode_f16(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++) {
        dst[i] = read_f16(p + 2 * i);
    }
}

static void decode_bf16(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++) {
        dst[i] = ba_bf16_to_f32(read_u16(p + 2 * i));
    }
}

/* Blocks of 32: element i and i + 16 share byte i, low and high nibble. */
static void decode_q4_0(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 18, dst += 32) {
        float d = read_f16(p);
        for (size_t i = 0; i < 16; i++) {
            dst[i] = d * (float)((p[2 + i] & 15) - 8);
            dst[i + 16] = d * (float)((p[2 + i] >> 4) - 8);
        }
    }
}

static void decode_q4_1(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 20, dst += 32) {
        float d = read_f16(p), m = read_f16(p + 2);
        for (size_t i = 0; i < 16; i++) {
            dst[i] = d * (float)(p[4 + i] & 15) + m;
            dst[i + 16] = d * (float)(p[4 + i] >> 4) + m;
        }
    }
}

static int fifth_bit(uint32_t high, size_t i) {
    return (int)(high >> i & 1u) << 4;
}

static void decode_q5_0(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 22, dst += 32) {
        float d = read_f16(p);
        uint32_t high = read_u32(p + 2);
        for (size_t i = 0; i < 16; i++) {
            dst[i] = d * (float)(((p[6 + i] & 15) | fifth_bit(high, i)) - 16);
            dst[i + 16] = d * (float)((p[6 + i] >> 4 | fifth_bit(high, i + 16)) - 16);
        }
    }
}

static void decode_q5_1(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 24, dst += 32) {
        float d = read_f16(p), m = read_f16(p + 2);
        uint32_t high = read_u32(p + 4);
        for (size_t i = 0; i < 16; i++) {
            dst[i] = d * (float)((p[8 + i] & 15) | fifth_bit(high, i)) + m;
            dst[i + 16] = d * (float)(p[8 + i] >> 4 | fifth_bit(high, i + 16)) + m;
        }
    }
}

static void decode_q8_0(const void *src, float *dst, size_t n) {
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 34, dst += 32) {
        float d = read_f16(p);
        for (size_t i = 0; i < 32; i++) {
            dst[i] = d * (float)(int8_t)p[2 + i];
        }
    }
}

static void decode_iq4_nl(const void *src, float *dst, size_t n) {
    static const int8_t level[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 18, dst += 32) {
        float d = read_f16(p);
        for (size_t i = 0; i < 16; i++) {
            dst[i] = d * (float)level[p[2 + i] & 15];
            dst[i + 16] = d * (float)level[p[2 + i] >> 4];
        }
    }
}

static const ba_dtype_info table[BA_DTYPE_COUNT] = {
    [BA_F32] = {"F32", 0, 1, 4, decode_f32},
    [BA_F16] = {"F16", 1, 1, 2, decode_f16},
    [BA_BF16] = {"BF16", 30, 1, 2, decode_bf16},
    [BA_Q4_0] = {"Q4_0", 2, 32, 18, decode_q4_0},
    [BA_Q4_1] = {"Q4_1", 3, 32, 20, decode_q4_1},
    [BA_Q5_0] = {"Q5_0", 6, 32, 22, decode_q5_0},
    [BA_Q5_1] = {"Q5_1", 7, 32, 24, decode_q5_1},
    [BA_Q8_0] = {"Q8_0", 8, 32, 34, decode_q8_0},
    [BA_Q2_K] = {"Q2_K", 10, 256, 84, ba_decode_q2_k},
    [BA_Q3_K] = {"Q3_K", 11, 256, 110, ba_decode_q3_k},
    [BA_Q4_K] = {"Q4_K", 12, 256, 144, ba_decode_q4_k},
    [BA_Q5_K] = {"Q5_K", 13, 256, 176, ba_decode_q5_k},
    [BA_Q6_K] = {"Q6_K", 14, 256, 210, ba_decode_q6_k},
    [BA_IQ4_NL] = {"IQ4_NL", 20, 32, 18, decode_iq4_nl},
};

/* Types that this program cannot decode; their names are for the message that refuses them. */
static const struct {
    uint32_t ggml_type;
    const char *name;
} other[] = {
    {9, "Q8_1"},   {15, "Q8_K"},   {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {21, "IQ3_S"},
    {22, "IQ2_S"}, {23, "IQ4_XS"}, {24, "I8"},      {25, "I16"},    {26, "I32"},     {27, "I64"},   {28, "F64"},
    {29, "IQ1_M"}, {34, "TQ1_0"},  {35, "TQ2_0"},   {39, "MXFP4"},  {40, "NVFP4"},   {41, "Q1_0"},
};

const ba_dtype_info *ba_dtype_get(ba_dtype type) {
    return &table[type];
}

int ba_dtype_by_ggml(uint32_t ggml_type, ba_dtype *type) {
    for (size_t i = 0; i < BA_DTYPE_COUNT; i++) {
        if (table[i].ggml_type == ggml_type) {
            *type = (ba_dtype)i;
            return 0;
        }
    }
    return -1;
}

const char *ba_dtype_ggml_name(uint32_t ggml_type) {
    ba_dtype type;
    if (ba_dtype_by_ggml(ggml_type, &type) == 0) {
        return table[type].name;
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        if (other[i].ggml_type == ggml_type) {
            return other[i].name;
        }
    }
    return NULL;
}
