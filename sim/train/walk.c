/* One walk: forward through the layers, the loss, and backward. */
#include "space.h"

#include <math.h>

static bool stopped(int (*step)(void *arg), void *arg) {
    return step && step(arg);
}

static int forward(const ba_train_walk *w, int (*step)(void *arg), void *arg) {
    if (ba_walk_embed(w, false)) {
        return -1;
    }
    for (size_t l = 0; l < w->net->shape->layers; l++) {
        ba_walk_forward(w, l);
        if (stopped(step, arg)) {
            return BA_INTERRUPTED;
        }
    }
    return 0;
}

/* From the gradient of the last layer's output in d. */
static int backward(const ba_train_walk *w, int (*step)(void *arg), void *arg) {
    size_t layers = w->net->shape->layers;
    for (size_t l = layers; l-- > 0;) {
        if (!w->keeps_all && l + 1 < layers) { /* what is kept of the last layer is still there */
            ba_walk_forward(w, l);
        }
        ba_walk_backward(w, l);
        if (stopped(step, arg)) {
            return BA_INTERRUPTED;
        }
    }
    return ba_walk_embed(w, true);
}

static bool is_finite(const ba_pack *pack) {
    for (size_t i = 0; i < pack->n_item; i++) {
        if (!isfinite(pack->item[i].nll)) {
            return false;
        }
    }
    return true;
}

static int run(const ba_train_walk *w, bool backward_too, double kl_weight, int (*step)(void *arg), void *arg,
               char err[BA_ERR_LEN]) {
    const ba_train_net *net = w->net;
    int rc = forward(w, step, arg);
    if (rc) {
        return rc;
    }
    if (backward_too) {
        net->ops->zero(net->be, ba_whole(w->d), w->pack->rows, net->shape->d_model);
    }
    ba_walk_loss(w, backward_too, kl_weight);
    if (!is_finite(w->pack)) {
        ba_walk_refuse(w, err);
        return BA_WALK_NOT_FINITE;
    }
    return backward_too ? backward(w, step, arg) : 0;
}

int ba_train_walk_run(ba_train_walk *w, ba_pack *pack, bool backward_too, double kl_weight, int (*step)(void *arg),
                      void *arg, char err[BA_ERR_LEN]) {
    w->net->be->no_memory = false;
    int rc = ba_walk_enter(w, pack) ? -1 : run(w, backward_too, kl_weight, step, arg, err);
    ba_walk_leave(w);
    if (rc == -1 || w->net->be->no_memory) {
        return ba_fail(err, "out of memory for a pass over %zu tokens", pack->rows);
    }
    return rc;
}
