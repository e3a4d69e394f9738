/* Tiles of training's products in fp32, by OpenBLAS within the calling thread. */
#include "train.h"

#include <cblas.h>

static int blas_open(size_t threads, void **state, char err[BA_ERR_LEN]) {
    (void)threads;
    (void)err;
    openblas_set_num_threads(1);
    *state = NULL;
    return 0;
}

static void blas_close(void *state) {
    (void)state;
}

static int blas_prepare(void *state, size_t m, size_t n, size_t k, ba_operand a, ba_operand b) {
    (void)state, (void)m, (void)n, (void)k, (void)a, (void)b;
    return 0;
}

static int blas_tile(const void *state, size_t worker, size_t m, size_t n, size_t k, ba_operand a, ba_operand b,
                     float *c) {
    (void)state, (void)worker;
    cblas_sgemm(CblasRowMajor, a.turned ? CblasTrans : CblasNoTrans, b.turned ? CblasTrans : CblasNoTrans, (blasint)m,
                (blasint)n, (blasint)k, 1, a.at, (blasint)a.stride, b.at, (blasint)b.stride, 0, c, (blasint)n);
    return 0;
}

const ba_train_product ba_train_product_openblas = {.half = false,
                                                    .attention = &ba_train_multiply_openblas,
                                                    .open = blas_open,
                                                    .close = blas_close,
                                                    .prepare = blas_prepare,
                                                    .tile = blas_tile};
