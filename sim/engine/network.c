#include "network.h"

#include <stdlib.h>
#include <string.h>

static ba_weight_src source(const ba_model *model, ba_tensor t, size_t layer) {
    ba_tensor_view v = {0};
    ba_model_tensor(model, t, layer, &v);
    return (ba_weight_src){v.type, v.rows, v.cols, v.data, v.bias, v.row_order};
}

static ba_weight *load_sources(ba_network *net, const ba_weight_src *src, size_t n, char err[BA_ERR_LEN]) {
    ba_weight *w = ba_packed_weight(net->packed, net->be, src, n, err);
    if (w) {
        net->weight_bytes += net->be->ops->weight_bytes(w);
    }
    return w;
}

/* One weight of n tensors stacked by rows. */
static ba_weight *load(ba_network *net, const ba_model *model, const ba_tensor *t, size_t n, size_t layer,
                       char err[BA_ERR_LEN]) {
    ba_weight_src src[3];
    for (size_t i = 0; i < n; i++) {
        src[i] = source(model, t[i], layer);
    }
    return load_sources(net, src, n, err);
}

/* The embedding, with those of link tokens behind it. */
static ba_weight *load_embedding(ba_network *net, const ba_model *model, char err[BA_ERR_LEN]) {
    size_t n;
    const float *links = ba_model_links(model, &n);
    const ba_weight_src src[] = {source(model, BA_T_EMBED, 0), {BA_F32, n, net->shape->d_model, links, NULL, NULL}};
    return load_sources(net, src, links ? 2 : 1, err);
}

/* 0 and *out NULL if the architecture has no such norm. */
static int load_gain(ba_network *net, const ba_model *model, ba_tensor t, size_t layer, ba_buf **out,
                     char err[BA_ERR_LEN]) {
    size_t n;
    const float *gain = ba_model_gain(model, t, layer, &n);
    *out = NULL;
    if (!gain) {
        return 0;
    }
    double *wide = malloc(n * sizeof *wide);
    *out = net->be->ops->buf_new(net->be, 1, n);
    if (!wide || !*out) {
        free(wide);
        return ba_fail(err, "out of memory while loading weights");
    }
    for (size_t i = 0; i < n; i++) {
        wide[i] = gain[i];
    }
    net->be->ops->upload(net->be, (ba_view){*out, 0, 0}, 1, n, wide);
    free(wide);
    return 0;
}

static int load_layer(ba_network *net, const ba_model *model, size_t l, char err[BA_ERR_LEN]) {
    static const ba_tensor qkv[] = {BA_T_Q, BA_T_K, BA_T_V}, o[] = {BA_T_O}, gate_up[] = {BA_T_GATE, BA_T_UP},
                           down[] = {BA_T_DOWN};
    ba_layer *layer = &net->layer[l];
    if (!(layer->qkv = load(net, model, qkv, 3, l, err)) || !(layer->o = load(net, model, o, 1, l, err)) ||
        !(layer->gate_up = load(net, model, gate_up, 2, l, err)) ||
        !(layer->down = load(net, model, down, 1, l, err))) {
        return -1;
    }
    const struct {
        ba_tensor tensor;
        ba_buf **buf;
    } gain[] = {{BA_T_ATTN_NORM, &layer->attn_norm},
                {BA_T_FFN_NORM, &layer->ffn_norm},
                {BA_T_Q_NORM, &layer->q_norm},
                {BA_T_K_NORM, &layer->k_norm},
                {BA_T_POST_ATTN_NORM, &layer->post_attn_norm},
                {BA_T_POST_FFN_NORM, &layer->post_ffn_norm}};
    for (size_t i = 0; i < sizeof gain / sizeof *gain; i++) {
        if (load_gain(net, model, gain[i].tensor, l, gain[i].buf, err)) {
            return -1;
        }
    }
    return 0;
}

static ba_freqs *load_freqs(ba_network *net, const ba_rope *rope) {
    double freq[512], magnitude;
    ba_rope_freqs(rope, net->shape->head_dim, freq, &magnitude);
    return net->be->ops->freqs_new(net->be, freq, net->shape->head_dim / 2, magnitude);
}

int ba_network_open(ba_network *net, ba_model *model, ba_backend *be, ba_packed *packed, char err[BA_ERR_LEN]) {
    static const ba_tensor head[] = {BA_T_HEAD};
    const ba_shape *s = ba_model_shape(model);
    *net = (ba_network){.shape = s, .be = be, .packed = packed};
    if (s->head_dim > BA_MOST_DIM) {
        return ba_fail(err, "%s: head dimension %zu; at most %d is supported", ba_model_path(model), s->head_dim,
                       BA_MOST_DIM);
    }
    net->layer = calloc(s->layers, sizeof *net->layer);
    net->freqs = load_freqs(net, &s->rope);
    net->freqs_local = s->window ? load_freqs(net, &s->rope_local) : NULL;
    if (!net->layer || !net->freqs || (s->window && !net->freqs_local)) {
        ba_fail(err, "out of memory while loading weights");
        goto fail;
    }
    bool shared = !ba_model_links(model, &net->n_links) && s->tied;
    if (!(net->embed = load_embedding(net, model, err)) ||
        !(net->head = shared ? net->embed : load(net, model, head, 1, 0, err)) ||
        load_gain(net, model, BA_T_FINAL_NORM, 0, &net->final_norm, err)) {
        goto fail;
    }
    for (size_t l = 0; l < s->layers; l++) {
        if (load_layer(net, model, l, err)) {
            goto fail;
        }
    }
    ba_packed_keep(packed);
    net->hn = be->ops->buf_new(be, BA_SCORE_ROWS, s->d_model);
    net->logits = be->ops->buf_new(be, BA_SCORE_ROWS, s->vocab);
    if (!net->hn || !net->logits) {
        ba_fail(err, "out of memory while loading weights");
        goto fail;
    }
    return 0;
fail:
    ba_network_close(net);
    return -1;
}

static void free_weight(ba_backend *be, ba_weight *w) {
    if (w) {
        be->ops->weight_free(be, w);
    }
}

static void free_buf(ba_backend *be, ba_buf **buf) {
    if (*buf) {
        be->ops->buf_free(be, *buf);
        *buf = NULL;
    }
}

static void free_work(ba_network *net) {
    ba_buf **all[] = {&net->x, &net->h, &net->qkv, &net->att, &net->act, &net->ff, &net->branch, &net->x2, &net->qkv2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free_buf(net->be, all[i]);
    }
    net->rows = 0;
}

static void free_rot(ba_network *net) {
    ba_rot **rot[] = {&net->rot, &net->rot_local};
    for (size_t i = 0; i < 2; i++) {
        if (*rot[i]) {
            net->be->ops->rot_free(net->be, *rot[i]);
            *rot[i] = NULL;
        }
    }
    net->rot_rows = 0;
}

void ba_network_close(ba_network *net) {
    ba_backend *be = net->be;
    free_work(net);
    free_rot(net);
    free_buf(be, &net->hn);
    free_buf(be, &net->logits);
    free_buf(be, &net->final_norm);
    for (size_t l = 0; net->layer && l < net->shape->layers; l++) {
        ba_layer *layer = &net->layer[l];
        free_weight(be, layer->qkv);
        free_weight(be, layer->o);
        free_weight(be, layer->gate_up);
        free_weight(be, layer->down);
        ba_buf **gain[] = {&layer->attn_norm, &layer->ffn_norm,       &layer->q_norm,
                           &layer->k_norm,    &layer->post_attn_norm, &layer->post_ffn_norm};
        for (size_t i = 0; i < sizeof gain / sizeof *gain; i++) {
            free_buf(be, gain[i]);
        }
    }
    free(net->layer);
    if (net->head != net->embed) {
        free_weight(be, net->head);
    }
    free_weight(be, net->embed);
    if (net->freqs) {
        be->ops->freqs_free(be, net->freqs);
    }
    if (net->freqs_local) {
        be->ops->freqs_free(be, net->freqs_local);
    }
    *net = (ba_network){0};
}

static size_t heads_cols(const ba_shape *s) {
    return s->heads * s->head_dim;
}

static size_t qkv_cols(const ba_shape *s) {
    return (s->heads + 2 * s->kv_heads) * s->head_dim;
}

uint64_t ba_network_work_bytes(const ba_network *net, size_t rows, bool choice) {
    const ba_shape *s = net->shape;
    uint64_t kept = s->d_model + qkv_cols(s);
    uint64_t per_row = 2 * s->d_model + qkv_cols(s) + heads_cols(s) + s->d_ff + (choice ? kept : 0);
    per_row += (net->be->ops->gated ? 0 : 2 * s->d_ff) + (s->post_norms ? s->d_model : 0);
    return rows * per_row * net->be->real_size;
}

int ba_network_reserve(ba_network *net, size_t rows, bool choice) {
    const ba_shape *s = net->shape;
    const ba_backend_ops *ops = net->be->ops;
    if (rows <= net->rows && (!choice || net->x2)) {
        return 0;
    }
    rows = rows > net->rows ? rows : net->rows;
    choice = choice || net->x2;
    free_work(net);
    net->x = ops->buf_new(net->be, rows, s->d_model);
    net->qkv = ops->buf_new(net->be, rows, qkv_cols(s));
    net->h = ops->operand_new(net->be, rows, s->d_model);
    net->att = ops->operand_new(net->be, rows, heads_cols(s));
    net->act = ops->operand_new(net->be, rows, s->d_ff);
    net->ff = ops->gated ? NULL : ops->buf_new(net->be, rows, 2 * s->d_ff);
    net->branch = s->post_norms ? ops->buf_new(net->be, rows, s->d_model) : NULL;
    bool ok = net->x && net->qkv && net->h && net->att && net->act && (net->ff || ops->gated) &&
              (net->branch || !s->post_norms);
    if (choice) {
        net->x2 = ops->buf_new(net->be, rows, s->d_model);
        net->qkv2 = ops->buf_new(net->be, rows, qkv_cols(s));
        ok = ok && net->x2 && net->qkv2;
    }
    if (!ok) {
        free_work(net);
        return -1;
    }
    net->rows = rows;
    return 0;
}

int ba_network_rotate(ba_network *net, const double *place, size_t n) {
    const ba_backend_ops *ops = net->be->ops;
    if (n > net->rot_rows) {
        free_rot(net);
        net->rot = ops->rot_new(net->be, n, net->shape->head_dim / 2);
        net->rot_local = net->freqs_local ? ops->rot_new(net->be, n, net->shape->head_dim / 2) : NULL;
        if (!net->rot || (net->freqs_local && !net->rot_local)) {
            free_rot(net);
            return -1;
        }
        net->rot_rows = n;
    }
    ba_profile_start(net->profile, net->be);
    ops->rot_fill(net->be, net->rot, 0, n, place, net->freqs);
    if (net->freqs_local) {
        ops->rot_fill(net->be, net->rot_local, 0, n, place, net->freqs_local);
    }
    ba_profile_lap(net->profile, net->be, BA_OP_ROTATIONS);
    return 0;
}

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
    ba_view q = at(net->qkv), k = {net->qkv, 0, heads_cols(s)},
            v = {net->qkv, 0, heads_cols(s) + s->kv_heads * s->head_dim};
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

/* x += out of the half that ends in weight w, with the norm behind it that some architectures have. */
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

/* act = activation of the gate's half of h w, times the other half. */
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
    } part[] = {{&net->x, &net->x2, net->shape->d_model}, {&net->qkv, &net->qkv2, qkv_cols(net->shape)}};
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
