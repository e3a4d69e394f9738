/* Loops of training over neighbouring floats, in plain C that compilers turn into vector code: lanes_body.h, compiled
 * once per instruction set by lanes_ISA.c. Sums always run in sixteen lanes, in one order for all instruction sets. */
#ifndef BA_TRAIN_LANES_H
#define BA_TRAIN_LANES_H

#include "kernels/train.h"

#include <math.h>

typedef struct ba_train_lanes {
    const char *name;
    float (*dot)(const float *x, const float *y, size_t n);
    double (*square_sum)(const float *x, size_t n);
    /* y += scale x */
    void (*axpy)(float *y, float scale, const float *x, size_t n);
    /* y = scale x */
    void (*scaled)(float *y, float scale, const float *x, size_t n);
    /* x *= scale */
    void (*multiply)(float *x, float scale, size_t n);
    /* grad += factor x dout, elementwise */
    void (*weighted)(float *grad, float factor, const float *x, const float *dout, size_t n);
    /* dx (+)= f dout gain - x c */
    void (*norm_back)(const float *x, const float *dout, const float *gain, float f, float c, size_t n, bool add,
                      float *dx);
    /* sum of x dout gain */
    float (*dot3)(const float *x, const float *dout, const float *gain, size_t n);
    /* Rotates one head by [2, dim / 2] cosines and sines and multiplies it by `factor`; back: by the transpose. out may
     * be x. */
    void (*rotate)(const float *x, size_t dim, const float *rot, bool back, float factor, float *out);
    /* dgate and dup may be gate and up. */
    void (*glu_back)(ba_act act, const float *gate, const float *up, const float *dout, size_t n, float *dgate,
                     float *dup);
    float (*max)(const float *x, size_t n);
    /* out = e^(x - from), and the sum of that. out may be x. */
    float (*exp_sum)(const float *x, float from, size_t n, float *out);
    /* ds = p (dp - mean) */
    void (*score_back)(const float *p, const float *dp, float mean, size_t n, float *ds);
    void (*adamw)(const ba_adamw *cfg, double bias1, double bias2, size_t n, const float *grad, float *mean,
                  float *variance, float *value);
} ba_train_lanes;

/* The second and third have no functions if the compiler is not for that processor family. */
extern const ba_train_lanes ba_train_lanes_plain, ba_train_lanes_avx2, ba_train_lanes_avx512;

#endif
