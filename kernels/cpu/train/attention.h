/* The products that training's attention, attention.c, needs from a table of operations. They work on a tile, query
 * rows of one head x keys, in the calling thread. */
#ifndef BA_TRAIN_CPU_ATTENTION_H
#define BA_TRAIN_CPU_ATTENTION_H

#include "train.h"

enum { BA_TRAIN_ROWS = 128, BA_TRAIN_KEYS = 256 }; /* the largest tile */

typedef struct ba_train_tile {
    ba_backend *be;
    const ba_train_attention *a;
    ba_view dout;         /* in the backward pass */
    size_t row, rows;     /* queries */
    size_t key, n;        /* keys */
    size_t head, kv_head; /* of queries, of keys */
    float *q, *o;         /* [rows, dim] rotated and scaled queries; output, or dq */
    float *s, *dp;        /* [rows, BA_TRAIN_KEYS] scores, then probabilities; dp, then ds */
    float *dk, *dv;       /* [all rows, dim] of the head */
    float *shared, *own;  /* work space of all threads, and of this thread */
} ba_train_tile;

struct ba_train_multiply {
    size_t unit; /* the first key of every tile is a multiple of it */
    /* Floats of work space of all threads, and of each thread; NULL: none. */
    size_t (*shared_size)(const ba_train_attention *a);
    size_t (*own_size)(const ba_train_attention *a);
    /* Called once before all tiles, and for each block of queries; NULL: nothing to do. */
    void (*share)(ba_backend *be, const ba_train_attention *a, bool back, float *shared);
    void (*queries)(const ba_train_tile *t, bool back);
    void (*scores)(const ba_train_tile *t);    /* s = q k^T */
    void (*values)(const ba_train_tile *t);    /* o += s v */
    void (*dscores)(const ba_train_tile *t);   /* dp = dout v^T */
    void (*gradients)(const ba_train_tile *t); /* dv += s^T dout, dk += dp^T q, o += dp k */
};

static inline float *ba_train_head(ba_view view, size_t row, size_t head, size_t dim) {
    return ba_cpu_row(view, row) + head * dim;
}

#endif
