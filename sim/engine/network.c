/* Opening and closing a network, its work space and its rotations. */
#include "network.h"

static ba_freqs *load_freqs(ba_network *net, const ba_rope *rope) {
    double freq[512], magnitude;
    ba_rope_freqs(rope, net->shape->head_dim, freq, &magnitude);
    return net->be->ops->freqs_new(net->be, freq, net->shape->head_dim / 2, magnitude);
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
    ba_weights_free(net);
    if (net->freqs) {
        be->ops->freqs_free(be, net->freqs);
    }
    if (net->freqs_local) {
        be->ops->freqs_free(be, net->freqs_local);
    }
    *net = (ba_network){0};
}

int ba_network_open(ba_network *net, ba_model *model, ba_backend *be, ba_packed *packed, uint64_t kept,
                    char err[BA_ERR_LEN]) {
    const ba_shape *s = ba_model_shape(model);
    *net = (ba_network){.shape = s, .be = be, .packed = packed};
    if (s->head_dim > BA_MOST_DIM) {
        return ba_fail(err, "%s: head dimension %zu; at most %d is supported", ba_model_path(model), s->head_dim,
                       BA_MOST_DIM);
    }
    net->freqs = load_freqs(net, &s->rope);
    net->freqs_local = s->window ? load_freqs(net, &s->rope_local) : NULL;
    net->hn = be->ops->buf_new(be, BA_SCORE_ROWS, s->d_model);
    net->logits = be->ops->buf_new(be, BA_SCORE_ROWS, s->vocab);
    if (!net->freqs || (s->window && !net->freqs_local) || !net->hn || !net->logits) {
        ba_fail(err, "out of memory while loading weights");
        goto fail;
    }
    if (ba_weights_load(net, model, kept, err)) {
        goto fail;
    }
    return 0;
fail:
    ba_network_close(net);
    return -1;
}

uint64_t ba_network_work_bytes(const ba_network *net, size_t rows, bool choice) {
    const ba_shape *s = net->shape;
    uint64_t kept = s->d_model + ba_qkv_cols(s);
    uint64_t per_row = 2 * s->d_model + ba_qkv_cols(s) + ba_q_cols(s) + s->d_ff + (choice ? kept : 0);
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
    net->qkv = ops->buf_new(net->be, rows, ba_qkv_cols(s));
    net->h = ops->operand_new(net->be, rows, s->d_model);
    net->att = ops->operand_new(net->be, rows, ba_q_cols(s));
    net->act = ops->operand_new(net->be, rows, s->d_ff);
    net->ff = ops->gated ? NULL : ops->buf_new(net->be, rows, 2 * s->d_ff);
    net->branch = s->post_norms ? ops->buf_new(net->be, rows, s->d_model) : NULL;
    bool ok = net->x && net->qkv && net->h && net->att && net->act && (net->ff || ops->gated) &&
              (net->branch || !s->post_norms);
    if (choice) {
        net->x2 = ops->buf_new(net->be, rows, s->d_model);
        net->qkv2 = ops->buf_new(net->be, rows, ba_qkv_cols(s));
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
