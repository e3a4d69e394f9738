#include "walk.h"

#include "sim/engine/engine.h"

#include <stdlib.h>

enum { HEAD_ROWS = 64 }; /* rows that go through the head together */

/* What a layer's backward needs of its forward, but for its input. */
typedef struct kept {
    ba_buf *qkv, *att, *lse, *mid, *gate_up;
    ba_buf *attn_h, *ffn_h, *ff; /* operands (train.h): normed inputs of both halves, and the gated units */
    ba_buf *o_out, *down_out;    /* before the norms that some architectures have there; else NULL */
} kept;

struct ba_train_walk {
    ba_train_net *net;
    uint64_t memory;
    size_t rows, rot_rows; /* room */
    bool keeps_all;
    ba_buf **x;                                           /* [layers + 1] inputs of layers; the last one: of the head */
    kept *layer;                                          /* [layers], or one that all share */
    ba_buf *h, *q, *k, *dff, *d, *dh, *datt, *dqkv, *low; /* scratch of a layer */
    ba_buf *dgate, *dup;                                  /* operands; NULL: they lie in place of gate_up */
    ba_buf *head_x, *head_h, *head_d, *logits, *teacher;
    ba_rot *rot, *rot_local;
    ba_train_mask *mask, *mask_local;
    ba_pack *pack;
};

static ba_view at(ba_buf *buf) {
    return (ba_view){buf, 0, 0};
}

static ba_view col(ba_buf *buf, size_t c) {
    return (ba_view){buf, 0, c};
}

/* ---- work space ---- */

typedef struct columns {
    size_t d, q, kv, ff, rank;
} columns;

static columns columns_of(const ba_train_net *net) {
    const ba_shape *s = net->shape;
    size_t rank = net->opt.rank ? net->opt.rank : 1;
    return (columns){s->d_model, s->heads * s->head_dim, s->kv_heads * s->head_dim, s->d_ff, rank};
}

static void free_kept(ba_backend *be, kept *k) {
    ba_buf *all[] = {k->qkv, k->att, k->lse, k->mid, k->gate_up, k->attn_h, k->ffn_h, k->ff, k->o_out, k->down_out};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i]) {
            be->ops->buf_free(be, all[i]);
        }
    }
    *k = (kept){0};
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

/* Of what is only multiplied. */
static ba_buf *operand_new(const ba_train_net *net, size_t rows, size_t cols) {
    return net->ops->operand_new ? net->ops->operand_new(net->be, rows, cols)
                                 : net->be->ops->buf_new(net->be, rows, cols);
}

static int make_kept(const ba_train_net *net, size_t rows, kept *k) {
    const ba_backend_ops *ops = net->be->ops;
    columns c = columns_of(net);
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

static bool all_fits(const ba_train_walk *w, size_t rows) {
    const ba_train_net *net = w->net;
    columns c = columns_of(net);
    uint64_t post = net->shape->post_norms ? 2 * c.d : 0;
    uint64_t per_row = c.q + 2 * c.kv + c.q + net->shape->heads + 3 * c.d + 3 * c.ff + post;
    return rows * per_row * net->shape->layers * net->be->real_size <= w->memory;
}

static int make_space(ba_train_walk *w, size_t rows) {
    const ba_train_net *net = w->net;
    const ba_backend_ops *ops = net->be->ops;
    ba_backend *be = net->be;
    columns c = columns_of(net);
    size_t layers = net->shape->layers, vocab = net->shape->vocab;
    w->keeps_all = all_fits(w, rows);
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
                   {&w->head_x, HEAD_ROWS, c.d},
                   {&w->head_h, HEAD_ROWS, c.d},
                   {&w->head_d, HEAD_ROWS, c.d},
                   {&w->logits, HEAD_ROWS, vocab},
                   {&w->teacher, HEAD_ROWS, vocab}};
    for (size_t i = 0; i < sizeof scratch / sizeof *scratch; i++) {
        if (!(*scratch[i].buf = ops->buf_new(be, scratch[i].rows, scratch[i].cols))) {
            return -1;
        }
    }
    if (net->ops->operand_new) {
        w->dgate = operand_new(net, rows, c.ff);
        w->dup = operand_new(net, rows, c.ff);
        if (!w->dgate || !w->dup) {
            return -1;
        }
    }
    for (size_t l = 0; l <= layers; l++) {
        if (!(w->x[l] = ops->buf_new(be, rows, c.d))) {
            return -1;
        }
    }
    for (size_t l = 0; l < (w->keeps_all ? layers : 1); l++) {
        if (make_kept(net, rows, &w->layer[l])) {
            return -1;
        }
    }
    w->rows = rows;
    return 0;
}

/* 0, or -1: out of memory. */
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

ba_train_walk *ba_train_walk_new(ba_train_net *net, uint64_t memory) {
    ba_train_walk *w = calloc(1, sizeof *w);
    if (w) {
        w->net = net;
        w->memory = memory;
        w->x = calloc(net->shape->layers + 1, sizeof *w->x);
        w->layer = calloc(net->shape->layers, sizeof *w->layer);
    }
    if (w && (!w->x || !w->layer)) {
        ba_train_walk_free(w);
        return NULL;
    }
    return w;
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

void ba_train_walk_free(ba_train_walk *w) {
    if (w) {
        free_space(w);
        free_rot(w);
        free(w->x);
        free(w->layer);
        free(w);
    }
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
    ops->rot_fill(net->be, w->rot, 0, w->pack->rows, w->pack->key_place, net->freqs);
    ops->rot_fill(net->be, w->rot, w->pack->rows, w->pack->n_place, w->pack->place, net->freqs);
    if (w->rot_local) {
        ops->rot_fill(net->be, w->rot_local, 0, w->pack->rows, w->pack->key_place, net->freqs_local);
        ops->rot_fill(net->be, w->rot_local, w->pack->rows, w->pack->n_place, w->pack->place, net->freqs_local);
    }
    return 0;
}

/* ---- a linear layer ---- */

/* What several products take, from here on; see train.h. */
static void steady(const ba_train_walk *w, ba_train_role role, ba_view x) {
    if (w->net->ops->steady) {
        w->net->ops->steady(w->net->be, role, x);
    }
}

static void project(const ba_train_walk *w, const ba_projection *p, ba_view x, bool add, ba_view out) {
    const ba_train_net *net = w->net;
    size_t rows = w->pack->rows;
    net->ops->linear(net->be, p->w, x, rows, 1, add, out);
    if (p->bias) {
        net->ops->bias(net->be, p->bias, rows, out);
    }
    if (p->a) {
        net->ops->linear(net->be, p->a, x, rows, 1, false, at(w->low));
        net->ops->linear(net->be, p->b, at(w->low), rows, net->lora_scale, true, out);
    }
}

/* dx (+)= the gradient of x; gradients of what is trained are added. */
static void project_back(const ba_train_walk *w, const ba_projection *p, ba_view x, ba_view dout, bool add,
                         ba_view dx) {
    const ba_train_net *net = w->net;
    size_t rows = w->pack->rows;
    steady(w, BA_TRAIN_DOUT, dout);
    net->ops->linear_back(net->be, p->w, dout, rows, 1, add, dx);
    net->ops->linear_grad(net->be, p->w, dout, x, rows, 1);
    if (p->bias) {
        net->ops->bias_grad(net->be, p->bias, dout, rows);
    }
    if (p->a) {
        net->ops->linear(net->be, p->a, x, rows, 1, false, at(w->low));
        net->ops->linear_grad(net->be, p->b, dout, at(w->low), rows, net->lora_scale);
        net->ops->linear_back(net->be, p->b, dout, rows, 1, false, at(w->low));
        net->ops->linear_grad(net->be, p->a, at(w->low), x, rows, net->lora_scale);
        net->ops->linear_back(net->be, p->a, at(w->low), rows, net->lora_scale, true, dx);
    }
    steady(w, BA_TRAIN_DOUT, at(NULL));
}

static void norm(const ba_train_walk *w, ba_param *gain, ba_view x, ba_view out) {
    const ba_shape *s = w->net->shape;
    w->net->ops->rmsnorm(w->net->be, x, w->pack->rows, 1, s->d_model, gain, s->norm_eps, out);
}

static void norm_back(const ba_train_walk *w, ba_param *gain, ba_view x, ba_view dout, bool add, ba_view dx) {
    const ba_shape *s = w->net->shape;
    w->net->ops->rmsnorm_back(w->net->be, x, w->pack->rows, 1, s->d_model, gain, s->norm_eps, dout, add, dx);
}

static kept *kept_of(const ba_train_walk *w, size_t l) {
    return &w->layer[w->keeps_all ? l : 0];
}

/* ---- attention ---- */

/* Attention of a layer; norms of q and k, and the rotation of k, are done (again) on the way. */
static ba_train_attention look(const ba_train_walk *w, size_t l) {
    const ba_train_net *net = w->net;
    const ba_shape *s = net->shape;
    const ba_train_layer *y = &net->layer[l];
    const kept *k = kept_of(w, l);
    columns c = columns_of(net);
    size_t rows = w->pack->rows;
    bool local = s->local[l];
    ba_train_attention a = {.mask = local ? w->mask_local : w->mask,
                            .rot = local ? w->rot_local : w->rot,
                            .heads = s->heads,
                            .kv_heads = s->kv_heads,
                            .head_dim = s->head_dim,
                            .rows = rows,
                            .scale = s->attn_scale,
                            .q = at(k->qkv),
                            .k = at(w->k),
                            .v = col(k->qkv, c.q + c.kv),
                            .out = at(k->att),
                            .lse = k->lse};
    ba_view key = col(k->qkv, c.q);
    if (y->q_norm) {
        net->ops->rmsnorm(net->be, a.q, rows, s->heads, s->head_dim, y->q_norm, s->norm_eps, at(w->q));
        net->ops->rmsnorm(net->be, key, rows, s->kv_heads, s->head_dim, y->k_norm, s->norm_eps, at(w->k));
        a.q = at(w->q);
        key = at(w->k);
    }
    net->ops->rotate(net->be, key, rows, s->kv_heads, s->head_dim, a.rot, 0, false, at(w->k));
    return a;
}

/* dqkv from datt. */
static void attention_back(const ba_train_walk *w, size_t l) {
    const ba_train_net *net = w->net;
    const ba_shape *s = net->shape;
    const ba_train_layer *y = &net->layer[l];
    const kept *k = kept_of(w, l);
    columns c = columns_of(net);
    size_t rows = w->pack->rows;
    ba_train_attention a = look(w, l);
    ba_view dq = at(w->dqkv), dk = col(w->dqkv, c.q), dv = col(w->dqkv, c.q + c.kv);
    net->ops->attention_back(net->be, &a, at(w->datt), dq, dk, dv);
    net->ops->rotate(net->be, dk, rows, s->kv_heads, s->head_dim, a.rot, 0, true, dk);
    if (y->q_norm) {
        net->ops->rmsnorm_back(net->be, at(k->qkv), rows, s->heads, s->head_dim, y->q_norm, s->norm_eps, dq, false, dq);
        net->ops->rmsnorm_back(net->be, col(k->qkv, c.q), rows, s->kv_heads, s->head_dim, y->k_norm, s->norm_eps, dk,
                               false, dk);
    }
}

/* ---- a layer ---- */

/* out = x + the half that ends in projection p; before: where its result is kept if a norm follows, or NULL. */
static void residual(const ba_train_walk *w, const ba_projection *p, ba_view in, ba_buf *before, ba_param *post_norm,
                     ba_view x, ba_view out) {
    const ba_train_net *net = w->net;
    net->ops->copy(net->be, x, w->pack->rows, net->shape->d_model, out);
    steady(w, BA_TRAIN_X, in);
    project(w, p, in, !post_norm, post_norm ? at(before) : out);
    steady(w, BA_TRAIN_X, at(NULL));
    if (!post_norm) {
        return;
    }
    norm(w, post_norm, at(before), at(w->h));
    net->be->ops->add(net->be, out, at(w->h), w->pack->rows, net->shape->d_model);
}

static ba_act act_of(const ba_shape *s) {
    return s->glu == BA_GLU_SILU ? BA_ACT_SILU : BA_ACT_GELU_TANH;
}

static void glu(const ba_train_walk *w, ba_view gate_up, ba_view out) {
    const ba_train_net *net = w->net;
    ba_act act = act_of(net->shape);
    if (net->ops->glu) {
        net->ops->glu(net->be, act, gate_up, w->pack->rows, net->shape->d_ff, out);
    } else {
        net->be->ops->glu(net->be, act, gate_up, w->pack->rows, net->shape->d_ff, out);
    }
}

static void forward(const ba_train_walk *w, size_t l) {
    const ba_train_net *net = w->net;
    const ba_train_layer *y = &net->layer[l];
    const kept *k = kept_of(w, l);
    columns c = columns_of(net);
    ba_view x = at(w->x[l]), h = at(k->attn_h);
    norm(w, y->attn_norm, x, h);
    project(w, &y->q, h, false, at(k->qkv));
    project(w, &y->k, h, false, col(k->qkv, c.q));
    project(w, &y->v, h, false, col(k->qkv, c.q + c.kv));
    ba_train_attention a = look(w, l);
    net->ops->attention(net->be, &a);
    residual(w, &y->o, at(k->att), k->o_out, y->post_attn_norm, x, at(k->mid));
    h = at(k->ffn_h);
    norm(w, y->ffn_norm, at(k->mid), h);
    project(w, &y->gate, h, false, at(k->gate_up));
    project(w, &y->up, h, false, col(k->gate_up, c.ff));
    glu(w, at(k->gate_up), at(k->ff));
    residual(w, &y->down, at(k->ff), k->down_out, y->post_ffn_norm, at(k->mid), at(w->x[l + 1]));
}

/* The gradient behind the half's projection, from that of its sum: d itself, or dh. */
static ba_view before_norm(const ba_train_walk *w, ba_buf *before, ba_param *post_norm) {
    if (!post_norm) {
        return at(w->d);
    }
    norm_back(w, post_norm, at(before), at(w->d), false, at(w->dh));
    return at(w->dh);
}

/* d: the gradient of the layer's output becomes that of its input. */
static void backward(const ba_train_walk *w, size_t l) {
    const ba_train_net *net = w->net;
    const ba_train_layer *y = &net->layer[l];
    const kept *k = kept_of(w, l);
    columns c = columns_of(net);
    size_t rows = w->pack->rows;
    ba_view d = at(w->d), dh = at(w->dh);
    ba_view dgate = at(w->dgate ? w->dgate : k->gate_up), dup = w->dup ? at(w->dup) : col(k->gate_up, c.ff);
    project_back(w, &y->down, at(k->ff), before_norm(w, k->down_out, y->post_ffn_norm), false, at(w->dff));
    net->ops->glu_back(net->be, act_of(net->shape), at(k->gate_up), at(w->dff), rows, c.ff, dgate, dup);
    project_back(w, &y->gate, at(k->ffn_h), dgate, false, dh);
    project_back(w, &y->up, at(k->ffn_h), dup, true, dh);
    norm_back(w, y->ffn_norm, at(k->mid), dh, true, d);
    steady(w, BA_TRAIN_X, at(k->att));
    project_back(w, &y->o, at(k->att), before_norm(w, k->o_out, y->post_attn_norm), false, at(w->datt));
    steady(w, BA_TRAIN_X, at(NULL));
    attention_back(w, l);
    project_back(w, &y->q, at(k->attn_h), at(w->dqkv), false, dh);
    project_back(w, &y->k, at(k->attn_h), col(w->dqkv, c.q), true, dh);
    project_back(w, &y->v, at(k->attn_h), col(w->dqkv, c.q + c.kv), true, dh);
    norm_back(w, y->attn_norm, at(w->x[l]), dh, true, d);
}

/* ---- both ends ---- */

/* Runs of neighbouring rows that are all link tokens, or all of the vocabulary: [i, end). */
static size_t run_end(const ba_train_walk *w, size_t i) {
    int32_t vocab = (int32_t)w->net->shape->vocab;
    bool link = w->pack->ids[i] >= vocab;
    size_t end = i + 1;
    while (end < w->pack->rows && (w->pack->ids[end] >= vocab) == link) {
        end++;
    }
    return end;
}

/* Embeddings of all rows, or the gradients of these. 0, or -1: out of memory. */
static int embed(const ba_train_walk *w, bool back) {
    const ba_train_net *net = w->net;
    int32_t vocab = (int32_t)net->shape->vocab;
    for (size_t i = 0, end; i < w->pack->rows; i = end) {
        end = run_end(w, i);
        size_t n = end - i;
        bool link = w->pack->ids[i] >= vocab;
        int32_t *ids = malloc(n * sizeof *ids);
        if (!ids) {
            return -1;
        }
        for (size_t j = 0; j < n; j++) {
            ids[j] = w->pack->ids[i + j] - (link ? vocab : 0);
        }
        ba_param *from = link ? net->links : net->embed;
        ba_view rows = {back ? w->d : w->x[0], i, 0};
        if (back) {
            net->ops->embed_back(net->be, from, ids, n, link ? 1 : net->shape->embed_scale, rows);
        } else {
            net->ops->embed(net->be, from, ids, n, link ? 1 : net->shape->embed_scale, rows);
        }
        free(ids);
    }
    return 0;
}

/* Logits of n targets from `first` on; their rows and normed rows stay in head_x and head_h. */
static void logits_of(const ba_train_walk *w, size_t first, size_t n, ba_buf *out) {
    const ba_train_net *net = w->net;
    const ba_shape *s = net->shape;
    net->be->ops->gather(net->be, at(w->x[s->layers]), w->pack->target_row + first, n, s->d_model, at(w->head_x));
    net->ops->rmsnorm(net->be, at(w->head_x), n, 1, s->d_model, net->final_norm, s->norm_eps, at(w->head_h));
    net->ops->linear(net->be, net->head, at(w->head_h), n, 1, false, at(out));
}

/* Loss of targets [first, first + n) of an item; d gets their rows' gradients. */
static void head(const ba_train_walk *w, ba_pack_item *item, size_t first, size_t n, bool back, double kl_weight) {
    const ba_train_net *net = w->net;
    const ba_shape *s = net->shape;
    bool taught = item->teacher != BA_NO_TEACHER;
    double sum[2] = {0, 0};
    if (taught) {
        logits_of(w, w->pack->item[item->teacher].target0 + first, n, w->teacher);
    }
    logits_of(w, item->target0 + first, n, w->logits);
    net->ops->cross_entropy(net->be, at(w->logits), n, s->vocab, w->pack->target + item->target0 + first, 1,
                            at(taught ? w->teacher : NULL), kl_weight, sum);
    item->nll += sum[0];
    item->kl += sum[1];
    if (back) {
        net->ops->linear_back(net->be, net->head, at(w->logits), n, 1, false, at(w->head_d));
        net->ops->linear_grad(net->be, net->head, at(w->logits), at(w->head_h), n, 1);
        net->ops->rmsnorm_back(net->be, at(w->head_x), n, 1, s->d_model, net->final_norm, s->norm_eps, at(w->head_d),
                               false, at(w->head_d));
        net->ops->scatter(net->be, at(w->head_d), w->pack->target_row + item->target0 + first, n, s->d_model, at(w->d));
    }
}

static void heads(const ba_train_walk *w, bool back, double kl_weight) {
    for (size_t i = 0; i < w->pack->n_item; i++) {
        ba_pack_item *item = &w->pack->item[i];
        item->nll = item->kl = 0;
        for (size_t first = 0, n; first < item->n; first += n) {
            n = item->n - first < HEAD_ROWS ? item->n - first : HEAD_ROWS;
            head(w, item, first, n, back, kl_weight);
        }
    }
}

static bool stop(int (*step)(void *arg), void *arg) {
    return step && step(arg);
}

static int run(ba_train_walk *w, bool back, double kl_weight, int (*step)(void *arg), void *arg) {
    const ba_train_net *net = w->net;
    size_t layers = net->shape->layers;
    if (embed(w, false)) {
        return -1;
    }
    for (size_t l = 0; l < layers; l++) {
        forward(w, l);
        if (stop(step, arg)) {
            return BA_INTERRUPTED;
        }
    }
    if (back) {
        net->ops->zero(net->be, at(w->d), w->pack->rows, net->shape->d_model);
    }
    heads(w, back, kl_weight);
    for (size_t l = layers; back && l-- > 0;) {
        if (!w->keeps_all && l + 1 < layers) { /* the last layer's is still there */
            forward(w, l);
        }
        backward(w, l);
        if (stop(step, arg)) {
            return BA_INTERRUPTED;
        }
    }
    return back ? embed(w, true) : 0;
}

int ba_train_walk_run(ba_train_walk *w, ba_pack *pack, bool backward_too, double kl_weight, int (*step)(void *arg),
                      void *arg, char err[BA_ERR_LEN]) {
    const ba_train_net *net = w->net;
    w->pack = pack;
    w->mask = ba_pack_mask(pack, net, false);
    w->mask_local = net->freqs_local ? ba_pack_mask(pack, net, true) : NULL;
    net->be->no_memory = false;
    bool ready = w->mask && (!net->freqs_local || w->mask_local) && !reserve(w, pack->rows) && !fill_rotations(w);
    int rc = ready ? run(w, backward_too, kl_weight, step, arg) : -1;
    if (w->mask) {
        net->ops->mask_free(net->be, w->mask);
    }
    if (w->mask_local) {
        net->ops->mask_free(net->be, w->mask_local);
    }
    w->mask = w->mask_local = NULL;
    w->pack = NULL;
    if (rc == -1 || net->be->no_memory) {
        return ba_fail(err, "out of memory for a pass over %zu tokens", pack->rows);
    }
    return rc;
}
