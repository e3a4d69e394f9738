/* SplitMix64 (Steele, Lea, Flood 2014): a sequence of numbers that its seed decides, alike on every machine. */
#ifndef BA_RANDOM_H
#define BA_RANDOM_H

#include <stdint.h>

/* 64 bits; advances the state. */
static inline uint64_t ba_random_bits(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Uniform in [0, 1). */
static inline double ba_random_real(uint64_t *state) {
    return (double)(ba_random_bits(state) >> 11) * 0x1p-53;
}

#endif
