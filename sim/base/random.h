/* Random numbers for everything in the program: a sequence depends on its seed only, and is the same on every machine.
 * Committed results and tests depend on these exact sequences. */
#ifndef BA_RANDOM_H
#define BA_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood 2014): the next 64 bits; advances the state, whose first value is the seed. */
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

/* Uniform in 0 .. n - 1; n >= 1. */
static inline size_t ba_random_below(uint64_t *state, size_t n) {
    uint64_t surplus = (UINT64_MAX % n + 1) % n; /* 2^64 mod n numbers at the top would favour the small ones */
    uint64_t bits;
    do {
        bits = ba_random_bits(state);
    } while (bits > UINT64_MAX - surplus);
    return (size_t)(bits % n);
}

/* Puts order[n] into random order (Fisher-Yates). */
static inline void ba_random_shuffle(uint64_t *state, size_t *order, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = ba_random_below(state, i), kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

#endif
