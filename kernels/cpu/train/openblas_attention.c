/* Products of training's attention in fp32, by OpenBLAS within the calling thread. */
#include "attention.h"

#include <cblas.h>

enum { KEYS = BA_TRAIN_KEYS };

static void share(ba_backend *be, const ba_train_attention *a, bool back, float *shared) {
    (void)be, (void)a, (void)back, (void)shared;
    openblas_set_num_threads(1);
}

static const float *keys_of(const ba_train_tile *t, ba_view view) {
    return ba_train_head(view, t->key, t->kv_head, t->a->head_dim);
}

static blasint stride_of(ba_view view) {
    return (blasint)view.buf->cols;
}

static void scores(const ba_train_tile *t) {
    blasint dim = (blasint)t->a->head_dim;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)t->rows, (blasint)t->n, dim, 1, t->q, dim,
                keys_of(t, t->a->k), stride_of(t->a->k), 0, t->s, KEYS);
}

static void values(const ba_train_tile *t) {
    blasint dim = (blasint)t->a->head_dim;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)t->rows, dim, (blasint)t->n, 1, t->s, KEYS,
                keys_of(t, t->a->v), stride_of(t->a->v), 1, t->o, dim);
}

static void dscores(const ba_train_tile *t) {
    size_t dim = t->a->head_dim;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)t->rows, (blasint)t->n, (blasint)dim, 1,
                ba_train_head(t->dout, t->row, t->head, dim), stride_of(t->dout), keys_of(t, t->a->v),
                stride_of(t->a->v), 0, t->dp, KEYS);
}

static void gradients(const ba_train_tile *t) {
    size_t dim = t->a->head_dim;
    blasint rows = (blasint)t->rows, n = (blasint)t->n, d = (blasint)dim;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, d, rows, 1, t->s, KEYS,
                ba_train_head(t->dout, t->row, t->head, dim), stride_of(t->dout), 1, t->dv + t->key * dim, d);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, d, rows, 1, t->dp, KEYS, t->q, d, 1, t->dk + t->key * dim,
                d);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, d, n, 1, t->dp, KEYS, keys_of(t, t->a->k),
                stride_of(t->a->k), 1, t->o, d);
}

const ba_train_multiply ba_train_multiply_openblas = {
    .unit = 1, .share = share, .scores = scores, .values = values, .dscores = dscores, .gradients = gradients};
