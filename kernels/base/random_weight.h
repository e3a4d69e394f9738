/* Weights that are made, not read: element i of a tensor follows from the tensor's seed alone, so a device and a processor
 * make the same bits, in any order. Uniform with mean 0 and variance 1 / cols, so that a product of `cols` terms keeps the
 * size of its inputs. */
#ifndef BA_RANDOM_WEIGHT_H
#define BA_RANDOM_WEIGHT_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define BA_HOST_AND_DEVICE __host__ __device__
#else
#define BA_HOST_AND_DEVICE
#endif

/* The output function of SplitMix64 (Steele, Lea, Flood 2014). */
BA_HOST_AND_DEVICE static inline uint64_t ba_random_mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Half the width of the uniform distribution. */
static inline float ba_random_weight_scale(size_t cols) {
    return sqrtf(3 / (float)cols);
}

/* Before rounding to bf16. The integer has 24 bits, so it is exact in fp32 and the product is rounded once. */
BA_HOST_AND_DEVICE static inline float ba_random_weight(uint64_t seed, uint64_t i, float scale) {
    uint64_t bits = ba_random_mix(seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15));
    return (float)((int32_t)(bits >> 40) * 2 + 1 - (1 << 24)) * 0x1p-24f * scale;
}

#endif
