/* One walk of a batch through the network, operation by operation. */
#include "network.h"

static ba_view at(ba_buf *buf) {
    return (ba_view){buf, 0, 0};
}

static void start(ba_network *net) {
    ba_profile_start(net->profile, net->be);
}

static void lap(ba_network *net, ba_op op) {
    ba_profile_lap(net->profile, net->be, op);
}

void ba_network_embed(ba_network *net, const ba_batch *b) {
    net->be->no_memory = false;
    start(net);
    net->be->ops->embed(net->be, net->embed, b->ids, b->rows, net->shape->embed_scale, at(net->x));
    lap(net, BA_OP_EMBED);
}

bool ba_network_starved(const ba_network *net) {
    return net->be->no_memory;
}

void ba_network_keys(ba_network *net, const ba_batch *b, size_t layer, bool stable) {
    const ba_shape *s = net->shape;
    const ba_layer *w = &net->layer[layer];
    ba_backend *be = net->be;
    const ba_backend_ops *ops = be->ops;
    ba_view q = at(net->qkv), k = {net->qkv, 0, ba_q_cols(s)},
            v = {net->qkv, 0, ba_q_cols(s) + s->kv_heads * s->head_dim};
    start(net);
    ops->rmsnorm(be, at(net->x), b->rows, 1, s->d_model, w->attn_norm, s->norm_eps, at(net->h));
    lap(net, BA_OP_NORMS);
    ops->linear(be, w->qkv, at(net->h), b->rows, q, false, stable);
    lap(net, BA_OP_QKV);
    if (w->q_norm) {
        ops->rmsnorm(be, q, b->rows, s->heads, s->head_dim, w->q_norm, s->norm_eps, q);
        ops->rmsnorm(be, k, b->rows, s->kv_heads, s->head_dim, w->k_norm, s->norm_eps, k);
        lap(net, BA_OP_NORMS);
    }
    const ba_rot *rot = s->local[layer] ? net->rot_local : net->rot;
    for (size_t i = 0; i < b->n_write; i++) {
        const ba_kv_rows *r = &b->write[i];
        k.row0 = v.row0 = r->row0;
        ops->kv_write(be, r->kv, layer, r->at, r->token, r->n, k, v, rot, r->rot_row);
    }
    lap(net, BA_OP_KV_WRITE);
}

/* x += in w, the product that ends half of a layer; some architectures have a norm between it and the sum. */
static void residual(ba_network *net, const ba_weight *w, ba_view in, size_t rows, const ba_buf *post_norm, bool stable,
                     ba_op op) {
    ba_backend *be = net->be;
    const ba_shape *s = net->shape;
    if (!post_norm) {
        be->ops->linear(be, w, in, rows, at(net->x), true, stable);
        lap(net, op);
        return;
    }
    be->ops->linear(be, w, in, rows, at(net->branch), false, stable);
    lap(net, op);
    be->ops->rmsnorm(be, at(net->branch), rows, 1, s->d_model, post_norm, s->norm_eps, at(net->branch));
    be->ops->add(be, at(net->x), at(net->branch), rows, s->d_model);
    lap(net, BA_OP_NORMS);
}

void ba_network_attend(ba_network *net, const ba_batch *b, size_t layer, bool stable) {
    const ba_shape *s = net->shape;
    bool local = s->local[layer];
    start(net);
    net->be->ops->attention(net->be, layer, s->heads, s->attn_scale, local ? net->rot_local : net->rot,
                            local ? b->job_local : b->job, b->n_job, at(net->qkv), at(net->att));
    lap(net, BA_OP_ATTENTION);
    residual(net, net->layer[layer].o, at(net->att), b->rows, net->layer[layer].post_attn_norm, stable, BA_OP_OUT);
}

void ba_network_mass(ba_network *net, const ba_attn_job *job, size_t layer, bool mean_query, double *out) {
    const ba_shape *s = net->shape;
    start(net);
    net->be->ops->key_mass(net->be, layer, s->heads, s->attn_scale, s->local[layer] ? net->rot_local : net->rot, job,
                           at(net->qkv), mean_query, out);
    lap(net, BA_OP_ATTENTION);
}

/* act = activation(gate) * up, where h w = [gate, up]. */
static void gate(ba_network *net, const ba_weight *w, size_t rows, bool stable) {
    ba_backend *be = net->be;
    ba_act act = net->shape->glu == BA_GLU_SILU ? BA_ACT_SILU : BA_ACT_GELU_TANH;
    if (be->ops->gated) {
        be->ops->gated(be, act, w, at(net->h), rows, at(net->act), stable);
        lap(net, BA_OP_GATE_UP);
        return;
    }
    be->ops->linear(be, w, at(net->h), rows, at(net->ff), false, stable);
    lap(net, BA_OP_GATE_UP);
    be->ops->glu(be, act, at(net->ff), rows, net->shape->d_ff, at(net->act));
    lap(net, BA_OP_ACTIVATION);
}

void ba_network_feed(ba_network *net, size_t rows, size_t layer, bool stable) {
    const ba_shape *s = net->shape;
    const ba_layer *w = &net->layer[layer];
    ba_backend *be = net->be;
    start(net);
    be->ops->rmsnorm(be, at(net->x), rows, 1, s->d_model, w->ffn_norm, s->norm_eps, at(net->h));
    lap(net, BA_OP_NORMS);
    gate(net, w->gate_up, rows, stable);
    residual(net, w->down, at(net->act), rows, w->post_ffn_norm, stable, BA_OP_DOWN);
}

void ba_network_keep(ba_network *net, const size_t *row, size_t n) {
    const struct {
        ba_buf **all, **kept;
        size_t cols;
    } part[] = {{&net->x, &net->x2, net->shape->d_model}, {&net->qkv, &net->qkv2, ba_qkv_cols(net->shape)}};
    for (size_t i = 0; i < 2; i++) {
        net->be->ops->gather(net->be, at(*part[i].all), row, n, part[i].cols, at(*part[i].kept));
        ba_buf *swap = *part[i].all;
        *part[i].all = *part[i].kept;
        *part[i].kept = swap;
    }
}

void ba_network_head(ba_network *net, ba_view from, const size_t *row, size_t n, bool stable, double *out) {
    ba_backend *be = net->be;
    const ba_shape *s = net->shape;
    start(net);
    be->ops->gather(be, from, row, n, s->d_model, at(net->hn));
    be->ops->rmsnorm(be, at(net->hn), n, 1, s->d_model, net->final_norm, s->norm_eps, at(net->hn));
    be->ops->linear(be, net->head, at(net->hn), n, at(net->logits), false, stable);
    be->ops->download(be, at(net->logits), n, s->vocab, out);
    lap(net, BA_OP_HEAD);
}
