#include "params.h"

#include "sim/base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one parameter ---- */

static int note_trained(ba_train_net *net, ba_param *p, size_t rows, size_t cols, const char *name) {
    size_t n = net->n_trained;
    if (!(n & (n - 1))) { /* doubled at powers of two */
        size_t room = n ? 2 * n : 1;
        ba_trained *more = realloc(net->trained, room * sizeof *more);
        net->trained = more ? more : net->trained;
        ba_param **list = more ? realloc(net->list, room * sizeof *list) : NULL;
        net->list = list ? list : net->list;
        if (!list) {
            return -1;
        }
    }
    net->trained[n] = (ba_trained){.p = p, .rows = rows, .cols = cols};
    snprintf(net->trained[n].name, sizeof net->trained[n].name, "%s", name);
    net->list[n] = p;
    net->n_trained++;
    return 0;
}

/* NULL and err: failed. A trained parameter is noted under its name. */
static ba_param *make(ba_train_net *net, const ba_weight_src *src, bool trained, const char *name,
                      char err[BA_ERR_LEN]) {
    ba_param *p = net->ops->param_new(net->be, src, trained, err);
    if (p && trained && note_trained(net, p, src->rows, src->cols, name)) {
        net->ops->param_free(net->be, p);
        ba_fail(err, "out of memory");
        return NULL;
    }
    return p;
}

static ba_param *make_tensor(ba_train_net *net, ba_tensor t, size_t layer, char err[BA_ERR_LEN]) {
    ba_tensor_view v = {0};
    char name[120];
    ba_model_tensor(net->model, t, layer, &v);
    ba_tensor_name(net->shape, t, layer, "weight", name, sizeof name);
    return make(net, &(ba_weight_src){v.type, v.rows, v.cols, v.data, NULL, v.row_order, 0}, net->opt.rank == 0, name,
                err);
}

/* 0 and *out NULL if the architecture has no such norm. */
static int make_gain(ba_train_net *net, ba_tensor t, size_t layer, ba_param **out, char err[BA_ERR_LEN]) {
    size_t n;
    char name[120];
    const float *gain = ba_model_gain(net->model, t, layer, &n);
    if (gain) {
        ba_tensor_name(net->shape, t, layer, "weight", name, sizeof name);
        *out = make(net, &(ba_weight_src){BA_F32, 1, n, gain, NULL, NULL, 0}, net->opt.rank == 0, name, err);
    }
    return gain && !*out ? -1 : 0;
}

static int make_bias(ba_train_net *net, ba_tensor t, size_t layer, ba_param **out, char err[BA_ERR_LEN]) {
    ba_tensor_view v = {0};
    char name[120];
    ba_model_tensor(net->model, t, layer, &v);
    if (!v.bias) {
        return 0;
    }
    float *bias = malloc(v.rows * sizeof *bias);
    if (!bias) {
        return ba_fail(err, "out of memory");
    }
    for (size_t i = 0; i < v.rows; i++) {
        bias[i] = v.bias[v.row_order ? v.row_order[i] : i];
    }
    ba_tensor_name(net->shape, t, layer, "bias", name, sizeof name);
    *out = make(net, &(ba_weight_src){BA_F32, 1, v.rows, bias, NULL, NULL, 0}, net->opt.rank == 0, name, err);
    free(bias);
    return *out ? 0 : -1;
}

/* ---- LoRA ---- */

/* Uniform in [-bound, bound), or zeros. */
static ba_param *make_random(ba_train_net *net, size_t rows, size_t cols, double bound, uint64_t *seed,
                             const char *name, char err[BA_ERR_LEN]) {
    float *value = calloc(rows * cols, sizeof *value);
    if (!value) {
        ba_fail(err, "out of memory");
        return NULL;
    }
    for (size_t i = 0; bound > 0 && i < rows * cols; i++) {
        value[i] = (float)((2 * ba_random_real(seed) - 1) * bound);
    }
    ba_param *p = make(net, &(ba_weight_src){BA_F32, rows, cols, value, NULL, NULL, 0}, true, name, err);
    free(value);
    return p;
}

/* A as PEFT begins it (Kaiming uniform with a = sqrt 5: bound 1 / sqrt(in)), B zero. */
static int make_lora(ba_train_net *net, ba_tensor t, size_t layer, ba_projection *out, char err[BA_ERR_LEN]) {
    ba_tensor_view v = {0};
    char base[100], name[120];
    ba_model_tensor(net->model, t, layer, &v);
    ba_tensor_name(net->shape, t, layer, "lora_A.weight", base, sizeof base);
    snprintf(name, sizeof name, "base_model.model.%s", base);
    uint64_t seed = net->opt.seed * 0x9e3779b97f4a7c15u + layer * BA_T_COUNT + (uint64_t)t;
    out->a = make_random(net, net->opt.rank, v.cols, 1 / sqrt((double)v.cols), &seed, name, err);
    ba_tensor_name(net->shape, t, layer, "lora_B.weight", base, sizeof base);
    snprintf(name, sizeof name, "base_model.model.%s", base);
    out->b = out->a ? make_random(net, v.rows, net->opt.rank, 0, &seed, name, err) : NULL;
    return out->b ? 0 : -1;
}

static int make_projection(ba_train_net *net, ba_tensor t, size_t layer, ba_projection *out, char err[BA_ERR_LEN]) {
    out->w = make_tensor(net, t, layer, err);
    if (!out->w || make_bias(net, t, layer, &out->bias, err)) {
        return -1;
    }
    return net->opt.rank ? make_lora(net, t, layer, out, err) : 0;
}

/* ---- the whole ---- */

static int make_layer(ba_train_net *net, size_t l, char err[BA_ERR_LEN]) {
    ba_train_layer *y = &net->layer[l];
    const struct {
        ba_tensor t;
        ba_projection *p;
    } linear[] = {{BA_T_Q, &y->q},       {BA_T_K, &y->k},   {BA_T_V, &y->v},      {BA_T_O, &y->o},
                  {BA_T_GATE, &y->gate}, {BA_T_UP, &y->up}, {BA_T_DOWN, &y->down}};
    const struct {
        ba_tensor t;
        ba_param **p;
    } gain[] = {{BA_T_ATTN_NORM, &y->attn_norm},
                {BA_T_FFN_NORM, &y->ffn_norm},
                {BA_T_Q_NORM, &y->q_norm},
                {BA_T_K_NORM, &y->k_norm},
                {BA_T_POST_ATTN_NORM, &y->post_attn_norm},
                {BA_T_POST_FFN_NORM, &y->post_ffn_norm}};
    for (size_t i = 0; i < sizeof linear / sizeof *linear; i++) {
        if (make_projection(net, linear[i].t, l, linear[i].p, err)) {
            return -1;
        }
    }
    for (size_t i = 0; i < sizeof gain / sizeof *gain; i++) {
        if (make_gain(net, gain[i].t, l, gain[i].p, err)) {
            return -1;
        }
    }
    return 0;
}

static ba_freqs *make_freqs(const ba_train_net *net, const ba_rope *rope) {
    double freq[512], magnitude;
    ba_rope_freqs(rope, net->shape->head_dim, freq, &magnitude);
    return net->be->ops->freqs_new(net->be, freq, net->shape->head_dim / 2, magnitude);
}

/* Link embeddings begin with a spread like that of a model's other embeddings. */
static int make_links(ba_train_net *net, char err[BA_ERR_LEN]) {
    uint64_t seed = net->opt.seed ^ 0x6c696e6b;
    size_t d = net->shape->d_model;
    if (net->opt.n_links == 0) {
        return 0;
    }
    net->links = make_random(net, net->opt.n_links, d, 1.7320508 * 0.02, &seed, "link_embeddings.weight", err);
    return net->links ? 0 : -1;
}

/* All of it, in the order in which trained parameters are listed. */
static int make_all(ba_train_net *net, char err[BA_ERR_LEN]) {
    const ba_shape *s = net->shape;
    net->layer = calloc(s->layers, sizeof *net->layer);
    net->freqs = make_freqs(net, &s->rope);
    net->freqs_local = s->window ? make_freqs(net, &s->rope_local) : NULL;
    if (!net->layer || !net->freqs || (s->window && !net->freqs_local)) {
        return ba_fail(err, "out of memory");
    }
    net->embed = make_tensor(net, BA_T_EMBED, 0, err);
    net->head = !net->embed || s->tied ? net->embed : make_tensor(net, BA_T_HEAD, 0, err);
    if (!net->head || make_gain(net, BA_T_FINAL_NORM, 0, &net->final_norm, err)) {
        return -1;
    }
    for (size_t l = 0; l < s->layers; l++) {
        if (make_layer(net, l, err)) {
            return -1;
        }
    }
    return make_links(net, err);
}

int ba_train_net_open(ba_train_net *net, ba_model *model, ba_backend *be, const ba_train_options *opt,
                      char err[BA_ERR_LEN]) {
    const ba_shape *s = ba_model_shape(model);
    *net = (ba_train_net){.model = model, .shape = s, .be = be, .ops = be->ops->train, .opt = *opt};
    if (s->head_dim > BA_MOST_DIM) {
        return ba_fail(err, "%s: head dimension %zu; at most %d is supported", ba_model_path(model), s->head_dim,
                       BA_MOST_DIM);
    }
    net->lora_scale = opt->rank ? opt->alpha / (double)opt->rank : 0;
    if (make_all(net, err)) {
        ba_train_net_close(net);
        return -1;
    }
    return 0;
}

static void free_param(ba_train_net *net, ba_param *p) {
    if (p) {
        net->ops->param_free(net->be, p);
    }
}

static void free_layer(ba_train_net *net, ba_train_layer *y) {
    ba_projection *linear[] = {&y->q, &y->k, &y->v, &y->o, &y->gate, &y->up, &y->down};
    ba_param *gain[] = {y->attn_norm, y->ffn_norm, y->q_norm, y->k_norm, y->post_attn_norm, y->post_ffn_norm};
    for (size_t i = 0; i < sizeof linear / sizeof *linear; i++) {
        free_param(net, linear[i]->w);
        free_param(net, linear[i]->bias);
        free_param(net, linear[i]->a);
        free_param(net, linear[i]->b);
    }
    for (size_t i = 0; i < sizeof gain / sizeof *gain; i++) {
        free_param(net, gain[i]);
    }
}

void ba_train_net_close(ba_train_net *net) {
    if (!net->be) {
        return;
    }
    for (size_t l = 0; net->layer && l < net->shape->layers; l++) {
        free_layer(net, &net->layer[l]);
    }
    if (net->head != net->embed) {
        free_param(net, net->head);
    }
    free_param(net, net->embed);
    free_param(net, net->final_norm);
    free_param(net, net->links);
    if (net->freqs) {
        net->be->ops->freqs_free(net->be, net->freqs);
    }
    if (net->freqs_local) {
        net->be->ops->freqs_free(net->be, net->freqs_local);
    }
    free(net->layer);
    free(net->trained);
    free(net->list);
    *net = (ba_train_net){0};
}

uint64_t ba_train_net_size(const ba_train_net *net) {
    uint64_t n = 0;
    for (size_t i = 0; i < net->n_trained; i++) {
        n += (uint64_t)net->trained[i].rows * net->trained[i].cols;
    }
    return n;
}
