/* The backward pass of a layer: the forward pass from its end to its beginning. */
#include "space.h"

/* dx (+)= the gradient of x, given that of the projection; gradients of what is trained are added. */
static void project_back(const ba_train_walk *w, const ba_projection *p, ba_view x, ba_view dout, bool add,
                         ba_view dx) {
    const ba_train_net *net = w->net;
    size_t rows = w->pack->rows;
    ba_walk_steady(w, BA_TRAIN_DOUT, dout);
    net->ops->linear_back(net->be, p->w, dout, rows, 1, add, dx);
    net->ops->linear_grad(net->be, p->w, dout, x, rows, 1);
    if (p->bias) {
        net->ops->bias_grad(net->be, p->bias, dout, rows);
    }
    if (p->a) {
        net->ops->linear(net->be, p->a, x, rows, 1, false, ba_whole(w->low));
        net->ops->linear_grad(net->be, p->b, dout, ba_whole(w->low), rows, net->lora_scale);
        net->ops->linear_back(net->be, p->b, dout, rows, 1, false, ba_whole(w->low));
        net->ops->linear_grad(net->be, p->a, ba_whole(w->low), x, rows, net->lora_scale);
        net->ops->linear_back(net->be, p->a, ba_whole(w->low), rows, net->lora_scale, true, dx);
    }
    ba_walk_steady(w, BA_TRAIN_DOUT, ba_whole(NULL));
}

static void norm_back(const ba_train_walk *w, ba_param *gain, ba_view x, ba_view dout, bool add, ba_view dx) {
    const ba_shape *s = w->net->shape;
    w->net->ops->rmsnorm_back(w->net->be, x, w->pack->rows, 1, s->d_model, gain, s->norm_eps, dout, add, dx);
}

/* dqkv from datt. */
static void attention_back(const ba_train_walk *w, size_t l) {
    const ba_train_net *net = w->net;
    const ba_shape *s = net->shape;
    const ba_train_layer *y = &net->layer[l];
    const ba_kept *k = ba_walk_kept(w, l);
    ba_columns c = ba_walk_columns(w);
    size_t rows = w->pack->rows;
    ba_train_attention a = ba_walk_attention(w, l);
    ba_view dq = ba_whole(w->dqkv), dk = ba_from_column(w->dqkv, c.q), dv = ba_from_column(w->dqkv, c.q + c.kv);
    net->ops->attention_back(net->be, &a, ba_whole(w->datt), dq, dk, dv);
    net->ops->rotate(net->be, dk, rows, s->kv_heads, s->head_dim, a.rot, 0, true, dk);
    if (y->q_norm) {
        net->ops->rmsnorm_back(net->be, ba_whole(k->qkv), rows, s->heads, s->head_dim, y->q_norm, s->norm_eps, dq,
                               false, dq);
        net->ops->rmsnorm_back(net->be, ba_from_column(k->qkv, c.q), rows, s->kv_heads, s->head_dim, y->k_norm,
                               s->norm_eps, dk, false, dk);
    }
}

/* The gradient of a projection's result, given d, that of its sum with x: d itself, or dh if a norm comes between. */
static ba_view before_norm(const ba_train_walk *w, ba_buf *before, ba_param *post_norm) {
    if (!post_norm) {
        return ba_whole(w->d);
    }
    norm_back(w, post_norm, ba_whole(before), ba_whole(w->d), false, ba_whole(w->dh));
    return ba_whole(w->dh);
}

void ba_walk_backward(const ba_train_walk *w, size_t l) {
    const ba_train_net *net = w->net;
    const ba_train_layer *y = &net->layer[l];
    const ba_kept *k = ba_walk_kept(w, l);
    ba_columns c = ba_walk_columns(w);
    size_t rows = w->pack->rows;
    ba_view d = ba_whole(w->d), dh = ba_whole(w->dh);
    ba_view dgate = ba_whole(w->dgate ? w->dgate : k->gate_up),
            dup = w->dup ? ba_whole(w->dup) : ba_from_column(k->gate_up, c.ff);
    project_back(w, &y->down, ba_whole(k->ff), before_norm(w, k->down_out, y->post_ffn_norm), false, ba_whole(w->dff));
    net->ops->glu_back(net->be, ba_walk_act(w), ba_whole(k->gate_up), ba_whole(w->dff), rows, c.ff, dgate, dup);
    project_back(w, &y->gate, ba_whole(k->ffn_h), dgate, false, dh);
    project_back(w, &y->up, ba_whole(k->ffn_h), dup, true, dh);
    norm_back(w, y->ffn_norm, ba_whole(k->mid), dh, true, d);
    ba_walk_steady(w, BA_TRAIN_X, ba_whole(k->att));
    project_back(w, &y->o, ba_whole(k->att), before_norm(w, k->o_out, y->post_attn_norm), false, ba_whole(w->datt));
    ba_walk_steady(w, BA_TRAIN_X, ba_whole(NULL));
    attention_back(w, l);
    project_back(w, &y->q, ba_whole(k->attn_h), ba_whole(w->dqkv), false, dh);
    project_back(w, &y->k, ba_whole(k->attn_h), ba_from_column(w->dqkv, c.q), true, dh);
    project_back(w, &y->v, ba_whole(k->attn_h), ba_from_column(w->dqkv, c.q + c.kv), true, dh);
    norm_back(w, y->attn_norm, ba_whole(w->x[l]), dh, true, d);
}
