/* Embeddings of a pack's rows, and their gradients. */
#include "space.h"

#include <stdlib.h>

/* The end of the run of rows from i on that are all link tokens, or all tokens of the vocabulary. */
static size_t run_end(const ba_train_walk *w, size_t i) {
    int32_t vocab = (int32_t)w->net->shape->vocab;
    bool link = w->pack->ids[i] >= vocab;
    size_t end = i + 1;
    while (end < w->pack->rows && (w->pack->ids[end] >= vocab) == link) {
        end++;
    }
    return end;
}

/* Rows [first, end), one run. */
static int embed_run(const ba_train_walk *w, size_t first, size_t end, bool backward) {
    const ba_train_net *net = w->net;
    int32_t vocab = (int32_t)net->shape->vocab, *ids = malloc((end - first) * sizeof *ids);
    bool link = w->pack->ids[first] >= vocab;
    ba_param *table = link ? net->links : net->embed;
    double scale = link ? 1 : net->shape->embed_scale;
    ba_view rows = {backward ? w->d : w->x[0], first, 0};
    if (!ids) {
        return -1;
    }
    for (size_t i = first; i < end; i++) {
        ids[i - first] = w->pack->ids[i] - (link ? vocab : 0);
    }
    if (backward) {
        net->ops->embed_back(net->be, table, ids, end - first, scale, rows);
    } else {
        net->ops->embed(net->be, table, ids, end - first, scale, rows);
    }
    free(ids);
    return 0;
}

int ba_walk_embed(const ba_train_walk *w, bool backward) {
    for (size_t i = 0, end; i < w->pack->rows; i = end) {
        end = run_end(w, i);
        if (embed_run(w, i, end, backward)) {
            return -1;
        }
    }
    return 0;
}
