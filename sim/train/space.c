/* The work space of a walk, and what it needs for one pack. */
#include "space.h"

#include <stdlib.h>

ba_columns ba_walk_columns(const ba_train_walk *w) {
    const ba_shape *s = w->net->shape;
    size_t rank = w->net->opt.rank ? w->net->opt.rank : 1;
    return (ba_columns){s->d_model, s->heads * s->head_dim, s->kv_heads * s->head_dim, s->d_ff, rank};
}

ba_kept *ba_walk_kept(const ba_train_walk *w, size_t l) {
    return &w->layer[w->keeps_all ? l : 0];
}

static void free_kept(ba_backend *be, ba_kept *k) {
    ba_buf *all[] = {k->qkv, k->att, k->lse, k->mid, k->gate_up, k->attn_h, k->ffn_h, k->ff, k->o_out, k->down_out};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i]) {
            be->ops->buf_free(be, all[i]);
        }
    }
    *k = (ba_kept){0};
}

static void free_space(ba_train_walk *w) {
    ba_backend *be = w->net->be;
    size_t layers = w->net->shape->layers;
    ba_buf **scratch[] = {&w->h,   &w->q,     &w->k,   &w->dff,    &w->d,      &w->dh,     &w->datt,   &w->dqkv,
                          &w->low, &w->dgate, &w->dup, &w->head_x, &w->head_h, &w->head_d, &w->logits, &w->teacher};
    for (size_t i = 0; i < sizeof scratch / sizeof *scratch; i++) {
        if (*scratch[i]) {
            be->ops->buf_free(be, *scratch[i]);
            *scratch[i] = NULL;
        }
    }
    for (size_t l = 0; w->x && l <= layers; l++) {
        if (w->x[l]) {
            be->ops->buf_free(be, w->x[l]);
            w->x[l] = NULL;
        }
    }
    for (size_t l = 0; w->layer && l < (w->keeps_all ? layers : 1); l++) {
        free_kept(be, &w->layer[l]);
    }
    w->rows = 0;
}

/* A buffer that only products read. */
static ba_buf *operand_new(const ba_train_net *net, size_t rows, size_t cols) {
    return net->ops->operand_new ? net->ops->operand_new(net->be, rows, cols)
                                 : net->be->ops->buf_new(net->be, rows, cols);
}

static int make_kept(const ba_train_walk *w, size_t rows, ba_kept *k) {
    const ba_train_net *net = w->net;
    const ba_backend_ops *ops = net->be->ops;
    ba_columns c = ba_walk_columns(w);
    k->qkv = ops->buf_new(net->be, rows, c.q + 2 * c.kv);
    k->att = ops->buf_new(net->be, rows, c.q);
    k->lse = ops->buf_new(net->be, rows, net->shape->heads);
    k->mid = ops->buf_new(net->be, rows, c.d);
    k->gate_up = ops->buf_new(net->be, rows, 2 * c.ff);
    k->attn_h = operand_new(net, rows, c.d);
    k->ffn_h = operand_new(net, rows, c.d);
    k->ff = operand_new(net, rows, c.ff);
    bool ok = k->qkv && k->att && k->lse && k->mid && k->gate_up && k->attn_h && k->ffn_h && k->ff;
    if (net->shape->post_norms) {
        k->o_out = ops->buf_new(net->be, rows, c.d);
        k->down_out = ops->buf_new(net->be, rows, c.d);
        ok = ok && k->o_out && k->down_out;
    }
    return ok ? 0 : -1;
}

static int make_scratch(ba_train_walk *w, size_t rows) {
    const ba_train_net *net = w->net;
    ba_columns c = ba_walk_columns(w);
    const struct {
        ba_buf **buf;
        size_t rows, cols;
    } scratch[] = {{&w->h, rows, c.d},
                   {&w->q, rows, c.q},
                   {&w->k, rows, c.kv},
                   {&w->dff, rows, c.ff},
                   {&w->d, rows, c.d},
                   {&w->dh, rows, c.d},
                   {&w->datt, rows, c.q},
                   {&w->dqkv, rows, c.q + 2 * c.kv},
                   {&w->low, rows, c.rank},
                   {&w->head_x, BA_HEAD_ROWS, c.d},
                   {&w->head_h, BA_HEAD_ROWS, c.d},
                   {&w->head_d, BA_HEAD_ROWS, c.d},
                   {&w->logits, BA_HEAD_ROWS, net->shape->vocab},
                   {&w->teacher, BA_HEAD_ROWS, net->shape->vocab}};
    for (size_t i = 0; i < sizeof scratch / sizeof *scratch; i++) {
        if (!(*scratch[i].buf = net->be->ops->buf_new(net->be, scratch[i].rows, scratch[i].cols))) {
            return -1;
        }
    }
    if (net->ops->operand_new) {
        w->dgate = operand_new(net, rows, c.ff);
        w->dup = operand_new(net, rows, c.ff);
        return w->dgate && w->dup ? 0 : -1;
    }
    return 0;
}

/* Whether what is kept of all layers fits into the caller's memory. */
static bool all_fits(const ba_train_walk *w, size_t rows) {
    const ba_train_net *net = w->net;
    ba_columns c = ba_walk_columns(w);
    uint64_t post = net->shape->post_norms ? 2 * c.d : 0;
    uint64_t per_row = c.q + 2 * c.kv + c.q + net->shape->heads + 3 * c.d + 3 * c.ff + post;
    return rows * per_row * net->shape->layers * net->be->real_size <= w->memory;
}

static int make_space(ba_train_walk *w, size_t rows) {
    ba_backend *be = w->net->be;
    size_t layers = w->net->shape->layers;
    w->keeps_all = all_fits(w, rows);
    if (make_scratch(w, rows)) {
        return -1;
    }
    for (size_t l = 0; l <= layers; l++) {
        if (!(w->x[l] = be->ops->buf_new(be, rows, w->net->shape->d_model))) {
            return -1;
        }
    }
    for (size_t l = 0; l < (w->keeps_all ? layers : 1); l++) {
        if (make_kept(w, rows, &w->layer[l])) {
            return -1;
        }
    }
    w->rows = rows;
    return 0;
}

static int reserve(ba_train_walk *w, size_t rows) {
    if (rows <= w->rows) {
        return 0;
    }
    free_space(w);
    if (make_space(w, rows)) {
        free_space(w);
        return -1;
    }
    return 0;
}

static void free_rot(ba_train_walk *w) {
    ba_rot **rot[] = {&w->rot, &w->rot_local};
    for (size_t i = 0; i < 2; i++) {
        if (*rot[i]) {
            w->net->be->ops->rot_free(w->net->be, *rot[i]);
            *rot[i] = NULL;
        }
    }
    w->rot_rows = 0;
}

/* Rotations of keys by their places in their own nodes, then of viewers by their places in the frames of what they see.
 */
static void fill(const ba_train_walk *w, ba_rot *rot, const ba_freqs *freqs) {
    const ba_pack *pack = w->pack;
    ba_backend *be = w->net->be;
    be->ops->rot_fill(be, rot, 0, pack->rows, pack->key_place, freqs);
    be->ops->rot_fill(be, rot, pack->rows, pack->n_place, pack->place, freqs);
}

static int fill_rotations(ba_train_walk *w) {
    const ba_train_net *net = w->net;
    const ba_backend_ops *ops = net->be->ops;
    size_t n = w->pack->rows + w->pack->n_place, half = net->shape->head_dim / 2;
    if (n > w->rot_rows) {
        free_rot(w);
        w->rot = ops->rot_new(net->be, n, half);
        w->rot_local = net->freqs_local ? ops->rot_new(net->be, n, half) : NULL;
        if (!w->rot || (net->freqs_local && !w->rot_local)) {
            free_rot(w);
            return -1;
        }
        w->rot_rows = n;
    }
    fill(w, w->rot, net->freqs);
    if (w->rot_local) {
        fill(w, w->rot_local, net->freqs_local);
    }
    return 0;
}

int ba_walk_enter(ba_train_walk *w, ba_pack *pack) {
    const ba_train_net *net = w->net;
    w->pack = pack;
    w->mask = ba_pack_mask(pack, net, false);
    w->mask_local = net->freqs_local ? ba_pack_mask(pack, net, true) : NULL;
    if (!w->mask || (net->freqs_local && !w->mask_local)) {
        return -1;
    }
    return reserve(w, pack->rows) || fill_rotations(w) ? -1 : 0;
}

void ba_walk_leave(ba_train_walk *w) {
    ba_train_mask **mask[] = {&w->mask, &w->mask_local};
    for (size_t i = 0; i < 2; i++) {
        if (*mask[i]) {
            w->net->ops->mask_free(w->net->be, *mask[i]);
            *mask[i] = NULL;
        }
    }
    w->pack = NULL;
}

ba_train_walk *ba_train_walk_new(ba_train_net *net, uint64_t memory) {
    ba_train_walk *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    w->net = net;
    w->memory = memory;
    w->x = calloc(net->shape->layers + 1, sizeof *w->x);
    w->layer = calloc(net->shape->layers, sizeof *w->layer);
    if (!w->x || !w->layer) {
        ba_train_walk_free(w);
        return NULL;
    }
    return w;
}

void ba_train_walk_free(ba_train_walk *w) {
    if (w) {
        free_space(w);
        free_rot(w);
        free(w->x);
        free(w->layer);
        free(w);
    }
}
