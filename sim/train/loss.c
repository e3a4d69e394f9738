/* The loss on the answers' tokens, and its gradient. */
#include "space.h"

#include "kernels/base/sizes.h"
#include "sim/base/finite.h"

#include <stdlib.h>

/* Logits of targets [first, first + n); their rows stay in head_x, normed in head_h. */
static void logits_of(const ba_train_walk *w, size_t first, size_t n, ba_buf *out) {
    const ba_train_net *net = w->net;
    const ba_shape *s = net->shape;
    net->be->ops->gather(net->be, ba_whole(w->x[s->layers]), w->pack->target_row + first, n, s->d_model,
                         ba_whole(w->head_x));
    net->ops->rmsnorm(net->be, ba_whole(w->head_x), n, 1, s->d_model, net->final_norm, s->norm_eps,
                      ba_whole(w->head_h));
    net->ops->linear(net->be, net->head, ba_whole(w->head_h), n, 1, false, ba_whole(out));
}

/* Adds the loss of targets [first, first + n) of an item to it; back: their rows' gradients go into d. */
static void head(const ba_train_walk *w, ba_pack_item *item, size_t first, size_t n, bool back, double kl_weight) {
    const ba_train_net *net = w->net;
    const ba_shape *s = net->shape;
    bool taught = item->teacher != BA_NO_TEACHER;
    double sum[2] = {0, 0};
    if (taught) {
        logits_of(w, w->pack->item[item->teacher].target0 + first, n, w->teacher);
    }
    logits_of(w, item->target0 + first, n, w->logits);
    net->ops->cross_entropy(net->be, ba_whole(w->logits), n, s->vocab, w->pack->target + item->target0 + first, 1,
                            ba_whole(taught ? w->teacher : NULL), kl_weight, sum);
    item->nll += sum[0];
    item->kl += sum[1];
    if (back) {
        net->ops->linear_back(net->be, net->head, ba_whole(w->logits), n, 1, false, ba_whole(w->head_d));
        net->ops->linear_grad(net->be, net->head, ba_whole(w->logits), ba_whole(w->head_h), n, 1);
        net->ops->rmsnorm_back(net->be, ba_whole(w->head_x), n, 1, s->d_model, net->final_norm, s->norm_eps,
                               ba_whole(w->head_d), false, ba_whole(w->head_d));
        net->ops->scatter(net->be, ba_whole(w->head_d), w->pack->target_row + item->target0 + first, n, s->d_model,
                          ba_whole(w->d));
    }
}

void ba_walk_loss(const ba_train_walk *w, bool backward, double kl_weight) {
    for (size_t i = 0; i < w->pack->n_item; i++) {
        ba_pack_item *item = &w->pack->item[i];
        item->nll = item->kl = 0;
        for (size_t first = 0, n; first < item->n; first += n) {
            n = ba_min_size(item->n - first, BA_HEAD_ROWS);
            head(w, item, first, n, backward, kl_weight);
        }
    }
}

int ba_walk_refuse(const ba_train_walk *w, char err[BA_ERR_LEN]) {
    const ba_backend *be = w->net->be;
    size_t vocab = w->net->shape->vocab;
    double *row = malloc(vocab * sizeof *row);
    int rc = row ? 0 : ba_fail(err, "out of memory");
    for (size_t i = 0; rc == 0 && i < w->pack->n_item; i++) {
        for (size_t k = 0; rc == 0 && k < w->pack->item[i].n; k++) {
            logits_of(w, w->pack->item[i].target0 + k, 1, w->logits);
            be->ops->download(w->net->be, ba_whole(w->logits), 1, vocab, row);
            rc = ba_logits_check(row, vocab, err);
        }
    }
    free(row);
    return rc ? rc : ba_fail(err, "the loss is not finite");
}
