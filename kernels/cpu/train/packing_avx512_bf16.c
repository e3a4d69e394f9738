/* The packings of packing.h by AVX-512 with bf16: 16 numbers are rounded at once, and transposition happens in
 * registers, 16 x 16 pairs at a time. */
#include "packing.h"

#if defined(__x86_64__) && defined(__AVX512BF16__)
#include <immintrin.h>

enum { LANES = 16, PAIRED = 32 };
#define INLINE static inline __attribute__((always_inline)) /* otherwise every store makes it read *f again */

/* X[row, col .. col + 16), zeros outside. */
INLINE __m512 load(const ba_packing_job *f, size_t row, size_t col) {
    if (row >= f->rows || col >= f->cols) {
        return _mm512_setzero_ps();
    }
    size_t left = f->cols - col;
    __mmask16 in = left < LANES ? (__mmask16)((1u << left) - 1) : (__mmask16)-1;
    return _mm512_mul_ps(_mm512_maskz_loadu_ps(in, f->x + (row - f->x_row) * f->stride + col),
                         _mm512_set1_ps(f->scale));
}

/* 32 neighbours of a row: pairs along the row. */
INLINE __m512i along(const ba_packing_job *f, size_t row, size_t col) {
    return (__m512i)_mm512_cvtne2ps_pbh(load(f, row, col + LANES), load(f, row, col));
}

/* 16 neighbours of a row and the 16 below them: pairs along the columns. */
INLINE __m512i below(const ba_packing_job *f, size_t row, size_t col) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(load(f, row + 1, col), load(f, row, col)));
}

/* The same from the results of `along` for both rows; half: 0 or 1, for the first or last 16 of the 32. */
INLINE __m512i pair_up(__m512i row, __m512i next, size_t half) {
    const __m512i order = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6,
                                           37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    return _mm512_permutex2var_epi16(row, _mm512_add_epi16(order, _mm512_set1_epi16(half ? LANES : 0)), next);
}

/* Transposes 16 x 16 pairs: within quarters of registers, then the quarters. */
INLINE void turn(__m512i x[LANES]) {
    __m512i y[LANES];
    for (size_t i = 0; i < LANES; i += 4) {
        __m512i a = _mm512_unpacklo_epi32(x[i], x[i + 1]), b = _mm512_unpackhi_epi32(x[i], x[i + 1]);
        __m512i c = _mm512_unpacklo_epi32(x[i + 2], x[i + 3]), d = _mm512_unpackhi_epi32(x[i + 2], x[i + 3]);
        y[i] = _mm512_unpacklo_epi64(a, c);
        y[i + 1] = _mm512_unpackhi_epi64(a, c);
        y[i + 2] = _mm512_unpacklo_epi64(b, d);
        y[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    for (size_t i = 0; i < 4; i++) {
        __m512i a = _mm512_shuffle_i32x4(y[i], y[i + 4], 0x88), b = _mm512_shuffle_i32x4(y[i], y[i + 4], 0xdd);
        __m512i c = _mm512_shuffle_i32x4(y[i + 8], y[i + 12], 0x88),
                d = _mm512_shuffle_i32x4(y[i + 8], y[i + 12], 0xdd);
        x[i] = _mm512_shuffle_i32x4(a, c, 0x88);
        x[i + 8] = _mm512_shuffle_i32x4(a, c, 0xdd);
        x[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        x[i + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
}

INLINE void put(const ba_packing_job *f, uint16_t *to, __m512i x) {
    if (f->stream) {
        _mm512_stream_si512((void *)to, x);
    } else {
        _mm512_store_si512(to, x);
    }
}

/* The place of pair `pair` of the depth, column `col`, in a second operand. */
INLINE uint16_t *second_at(const ba_packing_job *f, size_t depth, size_t pair, size_t col) {
    return f->out + col / f->strip * f->strip * depth + (pair * f->strip + col % f->strip) * 2;
}

/* The place of a row of a first operand at depth `at`, a multiple of 32; the next 31 elements follow it. */
INLINE uint16_t *first_at(uint16_t *out, size_t depth, size_t row, size_t at) {
    return out + row / LANES * LANES * depth + (at / PAIRED * LANES + row % LANES) * PAIRED;
}

/* Writes 16 rows of a first operand from x, which has them transposed. */
INLINE void put_turned(const ba_packing_job *f, __m512i x[LANES], uint16_t *tile) {
    turn(x);
    for (size_t i = 0; i < LANES; i++) {
        put(f, tile + i * PAIRED, x[i]);
    }
}

INLINE void rows(const ba_packing_job *f, size_t first, size_t last) {
    size_t depth = ba_packing_depth(f->cols);
    for (size_t r = first; r < last; r++) {
        for (size_t c = 0; c < depth; c += PAIRED) {
            put(f, first_at(f->out, depth, r, c), along(f, r, c));
        }
    }
}

INLINE void turned(const ba_packing_job *f, size_t first, size_t last) {
    size_t depth = ba_packing_depth(f->rows);
    for (size_t r = first; r < last; r += PAIRED) {
        for (size_t c = 0; c < f->cols; c += LANES) {
            __m512i x[LANES];
            for (size_t i = 0; i < LANES; i++) {
                x[i] = below(f, r + 2 * i, c);
            }
            put_turned(f, x, first_at(f->out, depth, c, r));
        }
    }
}

INLINE void both(const ba_packing_job *f, size_t first, size_t last) {
    uint16_t *other = f->out + ba_packing_size(BA_PACKING_ROWS, f->rows, f->cols);
    size_t depth = ba_packing_depth(f->cols), turned_depth = ba_packing_depth(f->rows);
    for (size_t r = first; r < last; r += PAIRED) {
        for (size_t c = 0; c < depth; c += PAIRED) {
            __m512i left[LANES], right[LANES];
            for (size_t i = 0; i < LANES; i++) {
                size_t row = r + 2 * i;
                __m512i x = along(f, row, c), next = along(f, row + 1, c);
                put(f, first_at(f->out, depth, row, c), x);
                put(f, first_at(f->out, depth, row + 1, c), next);
                left[i] = pair_up(x, next, 0);
                right[i] = pair_up(x, next, 1);
            }
            put_turned(f, left, first_at(other, turned_depth, c, r));
            put_turned(f, right, first_at(other, turned_depth, c + LANES, r));
        }
    }
}

INLINE void down(const ba_packing_job *f, size_t first, size_t last) {
    size_t depth = ba_packing_depth(f->rows);
    for (size_t r = first; r < ba_packing_depth(last); r += 2) {
        for (size_t c = 0; c < f->cols; c += LANES) {
            put(f, second_at(f, depth, r / 2, c), below(f, r, c));
        }
    }
}

INLINE void across(const ba_packing_job *f, size_t first, size_t last) {
    size_t depth = ba_packing_depth(f->cols);
    for (size_t r = first; r < last; r += LANES) {
        for (size_t c = 0; c < depth; c += PAIRED) {
            __m512i x[LANES];
            for (size_t i = 0; i < LANES; i++) {
                x[i] = along(f, r + i, c);
            }
            turn(x);
            for (size_t i = 0; i < LANES; i++) {
                put(f, second_at(f, depth, c / 2 + i, r), x[i]);
            }
        }
    }
}

void ba_packing_write_avx512(ba_packing packing, const ba_packing_job *job, size_t first, size_t last) {
    const ba_packing_job f = *job;
    switch (packing) {
    case BA_PACKING_ROWS:
        rows(&f, first, last);
        break;
    case BA_PACKING_TURNED:
        turned(&f, first, last);
        break;
    case BA_PACKING_BOTH:
        both(&f, first, last);
        break;
    case BA_PACKING_DOWN:
        down(&f, first, last);
        break;
    case BA_PACKING_ACROSS:
        across(&f, first, last);
        break;
    }
    if (f.stream) {
        _mm_sfence();
    }
}
#else
void ba_packing_write_avx512(ba_packing packing, const ba_packing_job *f, size_t first, size_t last) {
    (void)packing, (void)f, (void)first, (void)last; /* never called, because ba_bf16_has_avx512() is false */
}
#endif
