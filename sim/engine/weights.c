/* The weights of a network: loaded from a model, or mapped from a file of packed ones. */
#include "network.h"

#include "kernels/base/half.h"
#include "kernels/base/random_weight.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SOURCES = 3 }; /* Q, K, V */

static ba_weight_src source(const ba_model *model, ba_tensor t, size_t layer) {
    ba_tensor_view v = {0};
    ba_model_tensor(model, t, layer, &v);
    return (ba_weight_src){v.type, v.rows, v.cols, v.data, v.bias, v.row_order, v.seed};
}

/* The elements of a source without data, in bf16; owned by the caller. NULL: out of memory. */
static uint16_t *make_random(const ba_weight_src *src) {
    size_t n = src->rows * src->cols;
    uint16_t *made = malloc(n * sizeof *made);
    float scale = ba_random_weight_scale(src->cols);
    for (size_t i = 0; made && i < n; i++) {
        made[i] = ba_f32_to_bf16(ba_random_weight(src->seed, i, scale));
    }
    return made;
}

static ba_weight *load_sources(ba_network *net, ba_weight_src *src, size_t n, char err[BA_ERR_LEN]) {
    uint16_t *made[MOST_SOURCES] = {NULL};
    ba_weight *w = NULL;
    for (size_t i = 0; i < n && !net->be->ops->makes_weights; i++) {
        if (!src[i].data && !(src[i].data = made[i] = make_random(&src[i]))) {
            ba_fail(err, "out of memory while making weights");
            goto done;
        }
    }
    if ((w = ba_packed_weight(net->packed, net->be, src, n, err))) {
        net->weight_bytes += net->be->ops->weight_bytes(w);
    }
done:
    for (size_t i = 0; i < n; i++) {
        free(made[i]);
    }
    return w;
}

/* One weight of n tensors stacked by rows. */
static ba_weight *load(ba_network *net, const ba_model *model, const ba_tensor *t, size_t n, size_t layer,
                       char err[BA_ERR_LEN]) {
    ba_weight_src src[MOST_SOURCES];
    for (size_t i = 0; i < n; i++) {
        src[i] = source(model, t[i], layer);
    }
    return load_sources(net, src, n, err);
}

/* The embeddings of the vocabulary, then those of link tokens. */
static ba_weight *load_embedding(ba_network *net, const ba_model *model, char err[BA_ERR_LEN]) {
    size_t n;
    const float *links = ba_model_links(model, &n);
    ba_weight_src src[] = {source(model, BA_T_EMBED, 0), {BA_F32, n, net->shape->d_model, links, NULL, NULL, 0}};
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

enum { GAINS = 6 };

/* The gains of a layer, in the order of ba_layer. */
static void gains_of(ba_layer *layer, ba_buf **gain[GAINS]) {
    ba_buf **all[GAINS] = {&layer->attn_norm, &layer->ffn_norm,       &layer->q_norm,
                           &layer->k_norm,    &layer->post_attn_norm, &layer->post_ffn_norm};
    memcpy(gain, all, sizeof all);
}

static int load_layer(ba_network *net, const ba_model *model, size_t l, char err[BA_ERR_LEN]) {
    static const ba_tensor qkv[] = {BA_T_Q, BA_T_K, BA_T_V}, o[] = {BA_T_O}, gate_up[] = {BA_T_GATE, BA_T_UP},
                           down[] = {BA_T_DOWN};
    static const ba_tensor gain_tensor[GAINS] = {BA_T_ATTN_NORM, BA_T_FFN_NORM,       BA_T_Q_NORM,
                                                 BA_T_K_NORM,    BA_T_POST_ATTN_NORM, BA_T_POST_FFN_NORM};
    ba_layer *layer = &net->layer[l];
    if (!(layer->qkv = load(net, model, qkv, 3, l, err)) || !(layer->o = load(net, model, o, 1, l, err)) ||
        !(layer->gate_up = load(net, model, gate_up, 2, l, err)) ||
        !(layer->down = load(net, model, down, 1, l, err))) {
        return -1;
    }
    ba_buf **gain[GAINS];
    gains_of(layer, gain);
    for (size_t i = 0; i < GAINS; i++) {
        if (load_gain(net, model, gain_tensor[i], l, gain[i], err)) {
            return -1;
        }
    }
    return 0;
}

/* Refuses what a device has no room for, before hours are spent on loading. */
static int check_room(const ba_network *net, uint64_t kept, char err[BA_ERR_LEN]) {
    const ba_shape *s = net->shape;
    ba_backend *be = net->be;
    ba_device d;
    if (!be->ops->device) {
        return 0;
    }
    be->ops->device(be, &d);
    uint64_t elements = ba_shape_layer_weights(s) + (s->tied ? 1 : 2) * ba_shape_head_weights(s);
    uint64_t bytes = elements * be->weight_size;
    if (bytes <= d.free_memory && kept <= d.free_memory - bytes) {
        return 0;
    }
    if (kept) {
        return ba_fail(err,
                       "the weights need %.1f GB and --store gpu: %.1f GB, and of the %.1f GB of %s %.1f GB are free: "
                       "out of memory",
                       (double)bytes / 1e9, (double)kept / 1e9, (double)d.memory / 1e9, d.name,
                       (double)d.free_memory / 1e9);
    }
    return ba_fail(err, "the weights need %.1f GB, and of the %.1f GB of %s %.1f GB are free: out of memory",
                   (double)bytes / 1e9, (double)d.memory / 1e9, d.name, (double)d.free_memory / 1e9);
}

int ba_weights_load(ba_network *net, const ba_model *model, uint64_t kept, char err[BA_ERR_LEN]) {
    static const ba_tensor head[] = {BA_T_HEAD};
    const ba_shape *s = net->shape;
    if (check_room(net, kept, err)) {
        return -1;
    }
    bool shared = !ba_model_links(model, &net->n_links) && s->tied;
    net->layer = calloc(s->layers, sizeof *net->layer);
    if (!net->layer) {
        return ba_fail(err, "out of memory while loading weights");
    }
    if (!(net->embed = load_embedding(net, model, err)) ||
        !(net->head = shared ? net->embed : load(net, model, head, 1, 0, err)) ||
        load_gain(net, model, BA_T_FINAL_NORM, 0, &net->final_norm, err)) {
        return -1;
    }
    for (size_t l = 0; l < s->layers; l++) {
        if (load_layer(net, model, l, err)) {
            return -1;
        }
    }
    ba_packed_keep(net->packed);
    return 0;
}

static void free_weight(ba_backend *be, ba_weight *w) {
    if (w) {
        be->ops->weight_free(be, w);
    }
}

static void free_gain(ba_backend *be, ba_buf *gain) {
    if (gain) {
        be->ops->buf_free(be, gain);
    }
}

static void free_layer(ba_backend *be, ba_layer *layer) {
    ba_buf **gain[GAINS];
    free_weight(be, layer->qkv);
    free_weight(be, layer->o);
    free_weight(be, layer->gate_up);
    free_weight(be, layer->down);
    gains_of(layer, gain);
    for (size_t i = 0; i < GAINS; i++) {
        free_gain(be, *gain[i]);
    }
}

void ba_weights_free(ba_network *net) {
    for (size_t l = 0; net->layer && l < net->shape->layers; l++) {
        free_layer(net->be, &net->layer[l]);
    }
    free(net->layer);
    free_gain(net->be, net->final_norm);
    if (net->head != net->embed) {
        free_weight(net->be, net->head);
    }
    free_weight(net->be, net->embed);
}
