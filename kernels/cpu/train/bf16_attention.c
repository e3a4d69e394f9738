/* Products of training's attention by the product kernels of bf16.h. Keys and values are packed as second operands
 * once; queries, probabilities and their gradients are packed tile by tile, where they are computed. */
#include "attention.h"
#include "kernels/cpu/bf16/bf16.h"
#include "packing.h"

enum { KEYS = BA_TRAIN_KEYS, ROWS = BA_TRAIN_ROWS };
_Static_assert((int)BA_PACKING_BLOCK == (int)BA_KEYS && KEYS % BA_KEYS == 0, "a tile's keys are whole strips");

/* Packed keys and values of a KV head. */
typedef struct packed_head {
    uint16_t *k_across, *v_across, *k_down, *v_down;
} packed_head;

static packed_head head_of(const ba_train_attention *a, size_t kv_head, float *shared) {
    size_t across = ba_packing_size(BA_PACKING_ACROSS, a->rows, a->head_dim);
    size_t down = ba_packing_size(BA_PACKING_DOWN, a->rows, a->head_dim);
    uint16_t *at = (uint16_t *)(void *)shared + kv_head * 2 * (across + down);
    return (packed_head){at, at + across, at + 2 * across, at + 2 * across + down};
}

static size_t shared_size(const ba_train_attention *a) {
    return a->kv_heads * (ba_packing_size(BA_PACKING_ACROSS, a->rows, a->head_dim) +
                          ba_packing_size(BA_PACKING_DOWN, a->rows, a->head_dim));
}

/* Packed operands of a tile: q and dout as first and second operand; s, then dp, as the first operand. */
typedef struct packed_tile {
    uint16_t *q, *q_down, *dout, *dout_down, *first;
} packed_tile;

static packed_tile tile_of(const ba_train_tile *t) {
    size_t dim = t->a->head_dim, q = ba_packing_size(BA_PACKING_ROWS, ROWS, dim),
           down = ba_packing_size(BA_PACKING_DOWN, ROWS, dim);
    uint16_t *at = (uint16_t *)(void *)t->own;
    return (packed_tile){at, at + q, at + q + down, at + 2 * q + down, at + 2 * (q + down)};
}

static size_t own_size(const ba_train_attention *a) {
    size_t q = ba_packing_size(BA_PACKING_ROWS, ROWS, a->head_dim),
           down = ba_packing_size(BA_PACKING_DOWN, ROWS, a->head_dim);
    return q + down + ba_packing_size(BA_PACKING_BOTH, ROWS, KEYS) / 2;
}

/* ---- packing ---- */

typedef struct sharing {
    const ba_train_attention *a;
    size_t strip, blocks;
    bool back;
    float *shared;
} sharing;

static void share_blocks(const void *arg, size_t first, size_t last) {
    const sharing *s = arg;
    const ba_train_attention *a = s->a;
    for (size_t i = first; i < last; i++) {
        size_t head = i / s->blocks, row = i % s->blocks * BA_PACKING_BLOCK;
        size_t end = row + BA_PACKING_BLOCK < a->rows ? row + BA_PACKING_BLOCK : a->rows;
        packed_head h = head_of(a, head, s->shared);
        ba_packing_job k = {.x = ba_train_head(a->k, 0, head, a->head_dim),
                            .stride = a->k.buf->cols,
                            .rows = a->rows,
                            .cols = a->head_dim,
                            .scale = 1,
                            .strip = s->strip,
                            .out = h.k_across};
        ba_packing_job v = k;
        v.x = ba_train_head(a->v, 0, head, a->head_dim);
        v.stride = a->v.buf->cols;
        v.out = h.v_across;
        ba_packing_write_avx512(BA_PACKING_ACROSS, &k, row, end);
        if (s->back) {
            ba_packing_write_avx512(BA_PACKING_ACROSS, &v, row, end);
            k.out = h.k_down;
            ba_packing_write_avx512(BA_PACKING_DOWN, &k, row, end);
        } else {
            v.out = h.v_down;
            ba_packing_write_avx512(BA_PACKING_DOWN, &v, row, end);
        }
    }
}

static void share(ba_backend *be, const ba_train_attention *a, bool back, float *shared) {
    const sharing s = {a, ((const ba_bf16 *)be)->strip, (a->rows + BA_PACKING_BLOCK - 1) / BA_PACKING_BLOCK, back,
                       shared};
    ba_cpu_for((ba_cpu *)be, a->kv_heads * s.blocks, 3 * BA_PACKING_BLOCK * a->head_dim, share_blocks, &s);
}

static void pack(const ba_train_tile *t, ba_packing which, const float *x, size_t stride, size_t cols, uint16_t *out) {
    const ba_packing_job to = {.x = x,
                               .stride = stride,
                               .rows = t->rows,
                               .cols = cols,
                               .scale = 1,
                               .strip = ((const ba_bf16 *)t->be)->strip,
                               .out = out};
    ba_packing_write_avx512(which, &to, 0, t->rows);
}

static void queries(const ba_train_tile *t, bool back) {
    size_t dim = t->a->head_dim;
    packed_tile f = tile_of(t);
    pack(t, BA_PACKING_ROWS, t->q, dim, dim, f.q);
    if (back) {
        const float *dout = ba_train_head(t->dout, t->row, t->head, dim);
        pack(t, BA_PACKING_DOWN, t->q, dim, dim, f.q_down);
        pack(t, BA_PACKING_ROWS, dout, t->dout.buf->cols, dim, f.dout);
        pack(t, BA_PACKING_DOWN, dout, t->dout.buf->cols, dim, f.dout_down);
    }
}

/* ---- products ---- */

/* out [rows, cols] (+)= first [rows, depth] second, whose strips are `apart` deep. */
static void multiply(const ba_train_tile *t, size_t rows, size_t cols, size_t depth, const uint16_t *first,
                     const uint16_t *second, size_t apart, bool add, float *out, size_t stride) {
    const ba_bf16 *be = (const ba_bf16 *)t->be;
    for (size_t c = 0; c < cols; c += be->strip) {
        const ba_bf16_product part = {.rows = rows,
                                      .cols = cols - c < be->strip ? cols - c : be->strip,
                                      .depth = depth,
                                      .x = first,
                                      .tiled = true,
                                      .w = second + c * apart,
                                      .add = add,
                                      .out = out + c,
                                      .stride = stride};
        be->product(&part);
    }
}

static void scores(const ba_train_tile *t) {
    size_t depth = ba_packing_depth(t->a->head_dim);
    multiply(t, t->rows, t->n, depth, tile_of(t).q, head_of(t->a, t->kv_head, t->shared).k_across + t->key * depth,
             depth, false, t->s, KEYS);
}

static void dscores(const ba_train_tile *t) {
    size_t depth = ba_packing_depth(t->a->head_dim);
    multiply(t, t->rows, t->n, depth, tile_of(t).dout, head_of(t->a, t->kv_head, t->shared).v_across + t->key * depth,
             depth, false, t->dp, KEYS);
}

/* o += x y, with the rows of y that belong to the tile's keys. */
static void weigh(const ba_train_tile *t, const uint16_t *x_rows, const uint16_t *y_down) {
    size_t dim = t->a->head_dim, strip = ((const ba_bf16 *)t->be)->strip;
    multiply(t, t->rows, dim, ba_packing_depth(t->n), x_rows, y_down + t->key * strip, ba_packing_depth(t->a->rows),
             true, t->o, dim);
}

/* dx += x^T y, for the rows of dx that belong to the tile's keys. */
static void turn(const ba_train_tile *t, const uint16_t *x_turned, const uint16_t *y_down, float *dx) {
    size_t dim = t->a->head_dim, depth = ba_packing_depth(t->rows);
    multiply(t, t->n, dim, depth, x_turned, y_down, depth, true, dx + t->key * dim, dim);
}

static void values(const ba_train_tile *t) {
    uint16_t *p = tile_of(t).first;
    pack(t, BA_PACKING_ROWS, t->s, KEYS, t->n, p);
    weigh(t, p, head_of(t->a, t->kv_head, t->shared).v_down);
}

static void gradients(const ba_train_tile *t) {
    packed_tile f = tile_of(t);
    pack(t, BA_PACKING_TURNED, t->s, KEYS, t->n, f.first);
    turn(t, f.first, f.dout_down, t->dv);
    pack(t, BA_PACKING_BOTH, t->dp, KEYS, t->n, f.first);
    turn(t, f.first + ba_packing_size(BA_PACKING_ROWS, t->rows, t->n), f.q_down, t->dk);
    weigh(t, f.first, head_of(t->a, t->kv_head, t->shared).k_down);
}

const ba_train_multiply ba_train_multiply_bf16 = {.unit = BA_PACKING_BLOCK,
                                                  .shared_size = shared_size,
                                                  .own_size = own_size,
                                                  .share = share,
                                                  .queries = queries,
                                                  .scores = scores,
                                                  .values = values,
                                                  .dscores = dscores,
                                                  .gradients = gradients};
