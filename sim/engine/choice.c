/* A pass that chooses which rows it refreshes: ba_choice in plan.h. */
#include "rank.h"
#include "run.h"

#include "kernels/base/sizes.h"

#include <stdlib.h>
#include <string.h>

static int by_row(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Squared distances of the fresh rows from the stored ones, edge by edge, into c. */
static int measure(ba_run *r, size_t node, size_t n, ba_ranked *c) {
    const ba_node *v = &r->plan->node[node];
    ba_backend *be = r->e->net.be;
    ba_kv_part part = v->choice.score == BA_SCORE_V ? BA_KV_V : BA_KV_K;
    double *distance = malloc((n + 1) * sizeof *distance);
    if (!distance) {
        return -1;
    }
    for (size_t e = 0, row = 0; e < v->n_edge; row += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        be->ops->kv_distance(be, part, v->choice.layer, r->patch[r->held[node].edge0 + e], edge->first,
                             r->held[edge->seen].kv, edge->first, edge->n, distance + row);
    }
    for (size_t i = 0; i < n; i++) {
        c[i] = (ba_ranked){distance[i], i};
    }
    free(distance);
    return 0;
}

/* The rows farthest from what is stored, as many as the choice says: ascending, counted over the keys of all edges, in
 * r->chosen_row. */
static int choose(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    size_t n = ba_node_refreshed(r->plan, v), count = ba_min_size(v->choice.count, n);
    ba_ranked *c = malloc((n + 1) * sizeof *c);
    free(r->chosen_row);
    r->chosen_row = malloc((count + 1) * sizeof *r->chosen_row);
    if (!c || !r->chosen_row || measure(r, node, n, c)) {
        free(c);
        return -1;
    }
    qsort(c, n, sizeof *c, ba_ranked_first);
    for (size_t i = 0; i < count; i++) {
        r->chosen_row[i] = c[i].index;
    }
    free(c);
    qsort(r->chosen_row, count, sizeof *r->chosen_row, by_row);
    r->stats.chosen_row = r->chosen_row;
    r->stats.n_chosen_row = count;
    return 0;
}

/* Layers before the choice: all rows are computed again. Ends with the keys of the layer that chooses. */
static int walk_all(ba_run *r, const ba_batch *all, size_t layer) {
    ba_network *net = &r->e->net;
    ba_network_embed(net, all);
    for (size_t l = 0; l < layer; l++) {
        ba_network_keys(net, all, l, true);
        if (ba_run_layer(r, all, l, true, true)) {
            return -1;
        }
        if (ba_run_step(r, BA_STAGE_PREFILL, all->rows)) {
            return BA_INTERRUPTED;
        }
    }
    ba_network_keys(net, all, layer, true);
    return 0;
}

/* Drops all rows from the network but the chosen ones and the viewer's n own, which are the last of `rows`. */
static int keep_chosen(ba_run *r, size_t rows, size_t n) {
    size_t chosen = r->stats.n_chosen_row;
    size_t *row = malloc((chosen + n) * sizeof *row);
    if (!row) {
        return -1;
    }
    memcpy(row, r->chosen_row, chosen * sizeof *row);
    for (size_t i = 0; i < n; i++) {
        row[chosen + i] = rows - n + i;
    }
    ba_network_keep(&r->e->net, row, chosen + n);
    free(row);
    return 0;
}

/* The chosen rows of all edges: indices into the seen nodes, and their tokens, which batches borrow. */
typedef struct chosen {
    ba_rows *rows; /* [n_edge + 1] one run an edge, then the viewer's own */
    size_t *token; /* [n_chosen_row] */
    int32_t *ids;  /* [n_chosen_row] */
} chosen;

static void free_chosen(chosen *c) {
    free(c->rows);
    free(c->token);
    free(c->ids);
}

static int list_chosen(const ba_run *r, size_t node, chosen *out) {
    const ba_node *v = &r->plan->node[node];
    size_t n = r->stats.n_chosen_row, i = 0, begin = 0;
    *out = (chosen){malloc((v->n_edge + 1) * sizeof *out->rows), malloc((n + 1) * sizeof *out->token),
                    malloc((n + 1) * sizeof *out->ids)};
    if (!out->rows || !out->token || !out->ids) {
        return -1;
    }
    for (size_t e = 0; e < v->n_edge; begin += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        size_t first = i;
        for (; i < n && r->chosen_row[i] < begin + edge->n; i++) {
            out->token[i] = r->chosen_row[i] - begin + edge->first;
            out->ids[i] = r->plan->node[edge->seen].ids[out->token[i]];
        }
        out->rows[e] = (ba_rows){{e, 0, i - first, out->token + first}, out->ids + first};
    }
    out->rows[v->n_edge] = (ba_rows){{v->n_edge, 0, v->n, NULL}, v->ids};
    return 0;
}

/* A finished batch of the chosen rows and the viewer's own; NULL: out of memory. */
static ba_batch *short_batch(ba_run *r, size_t node, const chosen *c, bool bottom_right) {
    ba_look look = ba_run_look(r, node);
    ba_batch *b = ba_batch_new();
    if (!b) {
        return NULL;
    }
    if (ba_batch_add(b, &look, c->rows, r->plan->node[node].n_edge + 1, bottom_right) || ba_run_finish(r, b)) {
        ba_batch_free(b);
        return NULL;
    }
    return b;
}

/* The chosen rows from the attention of the choice's layer to the last layer. Two batches, since the bottom-right mask
 * may begin one layer later. */
static int walk_chosen(ba_run *r, size_t node, const chosen *c) {
    const ba_choice *choice = &r->plan->node[node].choice;
    ba_batch *b = short_batch(r, node, c, choice->bottom_right && choice->layer >= choice->bottom_right_from);
    int rc = b ? ba_run_layer(r, b, choice->layer, true, true) : -1;
    ba_batch_free(b);
    if (rc) {
        return rc;
    }
    b = short_batch(r, node, c, choice->bottom_right);
    rc = b ? ba_run_walk(r, b, choice->layer + 1, true, BA_STAGE_PREFILL, true) : -1;
    if (!rc) {
        ba_run_take_row(r, b->rows - 1, r->end);
    }
    ba_batch_free(b);
    return rc;
}

int ba_run_walk_choice(ba_run *r, const ba_work *w, const ba_batch *all) {
    const ba_node *v = &r->plan->node[w->node];
    int rc = walk_all(r, all, v->choice.layer);
    if (rc) {
        return rc;
    }
    if (choose(r, w->node) || keep_chosen(r, all->rows, v->n)) {
        return -1;
    }
    chosen c;
    rc = list_chosen(r, w->node, &c) ? -1 : walk_chosen(r, w->node, &c);
    free_chosen(&c);
    return rc;
}
