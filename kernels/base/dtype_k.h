/* Decoders of the GGML "K" formats: super-blocks of 256 elements whose sub-blocks have quantised scales of their own.
 * Called through the table in dtype.c. */
#ifndef BA_DTYPE_K_H
#define BA_DTYPE_K_H

#include <stddef.h>

void ba_decode_q2_k(const void *src, float *dst, size_t n);
void ba_decode_q3_k(const void *src, float *dst, size_t n);
void ba_decode_q4_k(const void *src, float *dst, size_t n);
void ba_decode_q5_k(const void *src, float *dst, size_t n);
void ba_decode_q6_k(const void *src, float *dst, size_t n);

#endif
