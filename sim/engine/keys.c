/* What a node looks at: the keys of what it sees where they lie, merged copies of them, or copies to be patched. */
#include "run.h"

#include "kernels/base/clock.h"

#include <stdlib.h>

size_t ba_run_refreshed(const ba_node *v, const ba_edge *e) {
    return v->choice.on ? e->n : e->refresh;
}

bool ba_run_is_last(const ba_run *r, size_t node) {
    return node + 1 == r->plan->n_node;
}

bool ba_run_scored(const ba_plan *plan, size_t node) {
    return plan->keep_paths && plan->node[node].path;
}

ba_look ba_run_look(ba_run *r, size_t node) {
    ba_held *h = &r->held[node];
    const ba_shape *s = r->e->net.shape;
    return (ba_look){r->plan, node, r->shown + h->edge0, r->patch + h->edge0, h->own, h->merged, s->window};
}

ba_kv *ba_run_new_kv(ba_run *r, size_t tokens) {
    const ba_shape *s = r->e->net.shape;
    ba_backend *be = r->e->net.be;
    return be->ops->kv_new(be, s->layers, s->kv_heads, s->head_dim, tokens);
}

/* Rotated copies of everything a node sees, one behind the other, with room for its own keys (paper, section 3: the way
 * of the released code). */
static int merge_keys(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    ba_held *h = &r->held[node];
    ba_network *net = &r->e->net;
    size_t keys = 0, most = 0;
    for (size_t e = 0; e < v->n_edge; e++) {
        keys += v->edge[e].n;
        most = v->edge[e].n > most ? v->edge[e].n : most;
    }
    h->own = ba_run_new_kv(r, keys + v->n + (ba_run_is_last(r, node) ? r->room : 0));
    double *place = malloc((most + 1) * sizeof *place);
    int rc = h->own && place ? 0 : -1;
    for (size_t e = 0, at = 0; !rc && e < v->n_edge; at += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        for (size_t i = 0; i < edge->n; i++) {
            place[i] = edge->at; /* on top of the key's local rotation */
        }
        rc = ba_network_rotate(net, place, edge->n);
        for (size_t l = 0; !rc && l < net->shape->layers; l++) {
            net->be->ops->kv_copy(net->be, h->own, at, r->shown[h->edge0 + e], edge->first, edge->n, l, net->rot, 0);
        }
    }
    free(place);
    h->merged = keys;
    h->kv = h->own;
    return rc;
}

/* Copies of the seen nodes whose keys will be overwritten in part. */
static int patch_keys(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    ba_held *h = &r->held[node];
    ba_network *net = &r->e->net;
    for (size_t e = 0; e < v->n_edge; e++) {
        const ba_kv *from = r->shown[h->edge0 + e];
        size_t n = r->plan->node[v->edge[e].seen].n;
        if (!ba_run_refreshed(v, &v->edge[e]) || !from) {
            continue;
        }
        ba_kv *copy = r->patch[h->edge0 + e] = ba_run_new_kv(r, n);
        if (!copy) {
            return -1;
        }
        for (size_t l = 0; l < net->shape->layers; l++) {
            net->be->ops->kv_copy(net->be, copy, 0, from, 0, n, l, NULL, 0);
        }
        r->shown[h->edge0 + e] = copy;
    }
    return 0;
}

int ba_run_prepare(ba_run *r, const ba_work *w) {
    const ba_node *v = &r->plan->node[w->node];
    ba_held *h = &r->held[w->node];
    if (w->row0 > 0) {
        return 0;
    }
    for (size_t e = 0; e < v->n_edge; e++) {
        const ba_node *seen = &r->plan->node[v->edge[e].seen];
        bool dropped = ba_run_scored(r->plan, v->edge[e].seen) && !v->path && !r->path_kept[seen->path - 1];
        r->shown[h->edge0 + e] = dropped ? NULL : r->held[v->edge[e].seen].kv;
    }
    bool merge = r->opt.executor == BA_MERGE_KEYS && ba_run_is_last(r, w->node) && v->n_edge;
    double start = ba_now();
    int rc = merge ? merge_keys(r, w->node) : w->refreshed ? patch_keys(r, w->node) : 0;
    if (merge || w->refreshed) {
        r->stats.stage[BA_STAGE_MERGE] += ba_now() - start;
    }
    if (!rc && !merge) {
        h->own = ba_run_new_kv(r, v->n + (ba_run_is_last(r, w->node) ? r->room : 0));
        h->kv = h->own;
        rc = h->own ? 0 : -1;
    }
    return rc;
}

int ba_run_finish(ba_run *r, ba_batch *b) {
    return ba_batch_finish(b) || ba_network_rotate(&r->e->net, b->place, b->n_place) ? -1 : 0;
}
