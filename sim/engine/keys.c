/* The keys that a node looks at: those of what it sees, in place; or rotated copies, merged; or copies to be patched.
 */
#include "run.h"

#include "kernels/base/clock.h"
#include "kernels/base/sizes.h"

#include <stdlib.h>

/* What each edge of a node shows: the seen node's KV, or NULL if its path was dropped. */
static void show_edges(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    for (size_t e = 0; e < v->n_edge; e++) {
        size_t seen = v->edge[e].seen, path = r->plan->node[seen].path;
        bool dropped = ba_run_scored(r->plan, seen) && !v->path && !r->path_kept[path - 1];
        r->shown[r->held[node].edge0 + e] = dropped ? NULL : r->held[seen].kv;
    }
}

/* Copies the keys that edge e shows to token `at` of the node's own KV, rotated to their places in its frame. */
static int merge_edge(ba_run *r, size_t node, size_t e, size_t at, double *place) {
    const ba_edge *edge = &r->plan->node[node].edge[e];
    ba_held *h = &r->held[node];
    ba_network *net = &r->e->net;
    for (size_t i = 0; i < edge->n; i++) {
        place[i] = edge->at; /* on top of the rotation that the key has in its own node */
    }
    if (ba_network_rotate(net, place, edge->n)) {
        return -1;
    }
    for (size_t l = 0; l < net->shape->layers; l++) {
        net->be->ops->kv_copy(net->be, h->own, at, r->shown[h->edge0 + e], edge->first, edge->n, l, net->rot, 0);
    }
    return 0;
}

/* Rotated copies of all that a node sees, one after the other, with room for its own keys (Ma et al., arXiv 2409.15355,
 * section 3, as the released code does it). */
static int merge_keys(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    ba_held *h = &r->held[node];
    size_t keys = 0, most = 0;
    for (size_t e = 0; e < v->n_edge; e++) {
        keys += v->edge[e].n;
        most = ba_max_size(most, v->edge[e].n);
    }
    double *place = malloc((most + 1) * sizeof *place);
    h->kv = h->own = ba_run_new_kv(r, keys + v->n + (ba_run_is_last(r, node) ? r->room : 0));
    h->merged = keys;
    int rc = h->own && place ? 0 : -1;
    if (rc) {
        goto done;
    }
    for (size_t e = 0, at = 0; e < v->n_edge; at += v->edge[e++].n) {
        rc = merge_edge(r, node, e, at, place);
        if (rc) {
            goto done;
        }
    }
done:
    free(place);
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
        if (!ba_edge_refreshed(v, &v->edge[e]) || !from) {
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

static int own_keys(ba_run *r, size_t node) {
    ba_held *h = &r->held[node];
    h->kv = h->own = ba_run_new_kv(r, r->plan->node[node].n + (ba_run_is_last(r, node) ? r->room : 0));
    return h->own ? 0 : -1;
}

int ba_run_prepare(ba_run *r, const ba_work *w) {
    if (w->row0 > 0) {
        return 0;
    }
    show_edges(r, w->node);
    bool merge = r->opt.executor == BA_MERGE_KEYS && ba_run_is_last(r, w->node) && r->plan->node[w->node].n_edge;
    if (!merge && !w->refreshed) {
        return r->held[w->node].own ? 0 : own_keys(r, w->node); /* there already: of the node's probe */
    }
    double start = ba_now();
    int rc = merge ? merge_keys(r, w->node) : patch_keys(r, w->node);
    r->stats.stage[BA_STAGE_MERGE] += ba_backend_now(r->e->net.be) - start;
    return rc || r->held[w->node].own ? rc : own_keys(r, w->node);
}
