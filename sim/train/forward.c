/* The forward pass of a layer. */
#include "space.h"

void ba_walk_steady(const ba_train_walk *w, ba_train_role role, ba_view x) {
    if (w->net->ops->steady) {
        w->net->ops->steady(w->net->be, role, x);
    }
}

/* out (+)= the linear layer of x, with its bias and LoRA. */
static void project(const ba_train_walk *w, const ba_projection *p, ba_view x, bool add, ba_view out) {
    const ba_train_net *net = w->net;
    size_t rows = w->pack->rows;
    net->ops->linear(net->be, p->w, x, rows, 1, add, out);
    if (p->bias) {
        net->ops->bias(net->be, p->bias, rows, out);
    }
    if (p->a) {
        net->ops->linear(net->be, p->a, x, rows, 1, false, ba_whole(w->low));
        net->ops->linear(net->be, p->b, ba_whole(w->low), rows, net->lora_scale, true, out);
    }
}

static void norm(const ba_train_walk *w, ba_param *gain, ba_view x, ba_view out) {
    const ba_shape *s = w->net->shape;
    w->net->ops->rmsnorm(w->net->be, x, w->pack->rows, 1, s->d_model, gain, s->norm_eps, out);
}

ba_train_attention ba_walk_attention(const ba_train_walk *w, size_t l) {
    const ba_train_net *net = w->net;
    const ba_shape *s = net->shape;
    const ba_train_layer *y = &net->layer[l];
    const ba_kept *k = ba_walk_kept(w, l);
    ba_columns c = ba_walk_columns(w);
    size_t rows = w->pack->rows;
    bool local = s->local[l];
    ba_train_attention a = {.mask = local ? w->mask_local : w->mask,
                            .rot = local ? w->rot_local : w->rot,
                            .heads = s->heads,
                            .kv_heads = s->kv_heads,
                            .head_dim = s->head_dim,
                            .rows = rows,
                            .scale = s->attn_scale,
                            .q = ba_whole(k->qkv),
                            .k = ba_whole(w->k),
                            .v = ba_from_column(k->qkv, c.q + c.kv),
                            .out = ba_whole(k->att),
                            .lse = k->lse};
    ba_view key = ba_from_column(k->qkv, c.q);
    if (y->q_norm) {
        net->ops->rmsnorm(net->be, a.q, rows, s->heads, s->head_dim, y->q_norm, s->norm_eps, ba_whole(w->q));
        net->ops->rmsnorm(net->be, key, rows, s->kv_heads, s->head_dim, y->k_norm, s->norm_eps, ba_whole(w->k));
        a.q = ba_whole(w->q);
        key = ba_whole(w->k);
    }
    net->ops->rotate(net->be, key, rows, s->kv_heads, s->head_dim, a.rot, 0, false, ba_whole(w->k));
    return a;
}

/* out = x + the half of a layer that ends in projection p of `in`. before: where its result is kept if a norm follows,
 * else NULL. */
static void residual(const ba_train_walk *w, const ba_projection *p, ba_view in, ba_buf *before, ba_param *post_norm,
                     ba_view x, ba_view out) {
    const ba_train_net *net = w->net;
    net->ops->copy(net->be, x, w->pack->rows, net->shape->d_model, out);
    ba_walk_steady(w, BA_TRAIN_X, in);
    project(w, p, in, !post_norm, post_norm ? ba_whole(before) : out);
    ba_walk_steady(w, BA_TRAIN_X, ba_whole(NULL));
    if (!post_norm) {
        return;
    }
    norm(w, post_norm, ba_whole(before), ba_whole(w->h));
    net->be->ops->add(net->be, out, ba_whole(w->h), w->pack->rows, net->shape->d_model);
}

ba_act ba_walk_act(const ba_train_walk *w) {
    return w->net->shape->glu == BA_GLU_SILU ? BA_ACT_SILU : BA_ACT_GELU_TANH;
}

static void glu(const ba_train_walk *w, ba_view gate_up, ba_view out) {
    const ba_train_net *net = w->net;
    ba_act act = ba_walk_act(w);
    if (net->ops->glu) {
        net->ops->glu(net->be, act, gate_up, w->pack->rows, net->shape->d_ff, out);
    } else {
        net->be->ops->glu(net->be, act, gate_up, w->pack->rows, net->shape->d_ff, out);
    }
}

void ba_walk_forward(const ba_train_walk *w, size_t l) {
    const ba_train_net *net = w->net;
    const ba_train_layer *y = &net->layer[l];
    const ba_kept *k = ba_walk_kept(w, l);
    ba_columns c = ba_walk_columns(w);
    ba_view x = ba_whole(w->x[l]), h = ba_whole(k->attn_h);
    norm(w, y->attn_norm, x, h);
    project(w, &y->q, h, false, ba_whole(k->qkv));
    project(w, &y->k, h, false, ba_from_column(k->qkv, c.q));
    project(w, &y->v, h, false, ba_from_column(k->qkv, c.q + c.kv));
    ba_train_attention a = ba_walk_attention(w, l);
    net->ops->attention(net->be, &a);
    residual(w, &y->o, ba_whole(k->att), k->o_out, y->post_attn_norm, x, ba_whole(k->mid));
    h = ba_whole(k->ffn_h);
    norm(w, y->ffn_norm, ba_whole(k->mid), h);
    project(w, &y->gate, h, false, ba_whole(k->gate_up));
    project(w, &y->up, h, false, ba_from_column(k->gate_up, c.ff));
    glu(w, ba_whole(k->gate_up), ba_whole(k->ff));
    residual(w, &y->down, ba_whole(k->ff), k->down_out, y->post_ffn_norm, ba_whole(k->mid), ba_whole(w->x[l + 1]));
}
