/* Rows refreshed by choice: ba_choice in plan.h. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

static int by_row(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* The count rows farthest from what is stored, ascending, counted over the keys of all edges; in r->chosen_row. */
static int choose(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    const ba_held *h = &r->held[node];
    ba_backend *be = r->e->net.be;
    size_t n = 0;
    for (size_t e = 0; e < v->n_edge; e++) {
        n += v->edge[e].n;
    }
    size_t count = v->choice.count < n ? v->choice.count : n;
    double *distance = malloc((n + 1) * sizeof *distance);
    ba_ranked *c = malloc((n + 1) * sizeof *c);
    free(r->chosen_row);
    r->chosen_row = malloc((count + 1) * sizeof *r->chosen_row);
    int rc = distance && c && r->chosen_row ? 0 : -1;
    for (size_t e = 0, row = 0; !rc && e < v->n_edge; row += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        be->ops->kv_distance(be, v->choice.score == BA_SCORE_V ? BA_KV_V : BA_KV_K, v->choice.layer,
                             r->patch[h->edge0 + e], edge->first, r->held[edge->seen].kv, edge->first, edge->n,
                             distance + row);
    }
    if (!rc) {
        for (size_t i = 0; i < n; i++) {
            c[i] = (ba_ranked){distance[i], i};
        }
        qsort(c, n, sizeof *c, ba_ranked_first);
        for (size_t i = 0; i < count; i++) {
            r->chosen_row[i] = c[i].index;
        }
        qsort(r->chosen_row, count, sizeof *r->chosen_row, by_row);
        r->stats.chosen_row = r->chosen_row;
        r->stats.n_chosen_row = count;
    }
    free(distance);
    free(c);
    return rc;
}

/* The chosen rows and the viewer's own as a batch. token and ids: room for all chosen rows, alive as long as the batch.
 */
static ba_batch *short_list(ba_run *r, const ba_work *w, size_t *token, int32_t *ids, bool bottom_right) {
    const ba_node *v = &r->plan->node[w->node];
    ba_look look = ba_run_look(r, w->node);
    ba_rows *rows = malloc((v->n_edge + 1) * sizeof *rows);
    ba_batch *b = ba_batch_new();
    size_t n = 0, i = 0, begin = 0;
    for (size_t e = 0; rows && e < v->n_edge; begin += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        size_t i0 = i;
        for (; i < r->stats.n_chosen_row && r->chosen_row[i] < begin + edge->n; i++) {
            token[i] = r->chosen_row[i] - begin + edge->first;
            ids[i] = r->plan->node[edge->seen].ids[token[i]];
        }
        rows[n++] = (ba_rows){{e, 0, i - i0, token + i0}, ids + i0};
    }
    int rc = rows && b ? 0 : -1;
    if (!rc) {
        rows[n++] = (ba_rows){{v->n_edge, 0, v->n, NULL}, v->ids};
        rc = ba_batch_add(b, &look, rows, n, bottom_right) || ba_run_finish(r, b);
    }
    free(rows);
    if (rc) {
        ba_batch_free(b);
        return NULL;
    }
    return b;
}

int ba_run_walk_choice(ba_run *r, const ba_work *w, const ba_batch *all) {
    const ba_node *v = &r->plan->node[w->node];
    const ba_choice *choice = &v->choice;
    ba_network *net = &r->e->net;
    ba_network_embed(net, all);
    for (size_t l = 0; l < choice->layer; l++) {
        ba_network_keys(net, all, l, true);
        if (ba_run_layer(r, all, l, true, true)) {
            return -1;
        }
        if (ba_run_step(r, BA_STAGE_PREFILL, all->rows)) {
            return BA_INTERRUPTED;
        }
    }
    ba_network_keys(net, all, choice->layer, true);
    if (choose(r, w->node)) {
        return -1;
    }
    size_t n = r->stats.n_chosen_row, foreign = all->rows - v->n;
    size_t *row = malloc((n + v->n) * sizeof *row), *token = malloc((n + 1) * sizeof *token);
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    ba_batch *first = NULL, *rest = NULL;
    int rc = row && token && ids ? 0 : -1;
    if (!rc) {
        memcpy(row, r->chosen_row, n * sizeof *row);
        for (size_t i = 0; i < v->n; i++) {
            row[n + i] = foreign + i;
        }
        ba_network_keep(net, row, n + v->n);
        first = short_list(r, w, token, ids, choice->bottom_right && choice->layer >= choice->bottom_right_from);
        rc = first ? 0 : -1;
    }
    if (!rc) {
        rc = ba_run_layer(r, first, choice->layer, true, true);
        ba_batch_free(first);
        first = NULL;
    }
    if (!rc) {
        rest = short_list(r, w, token, ids, choice->bottom_right);
        rc = rest ? ba_run_walk(r, rest, choice->layer + 1, true, BA_STAGE_PREFILL, true) : -1;
    }
    if (!rc) {
        net->be->ops->gather(net->be, (ba_view){net->x, 0, 0}, &(size_t){rest->rows - 1}, 1, net->shape->d_model,
                             (ba_view){r->end, 0, 0});
    }
    ba_batch_free(first);
    ba_batch_free(rest);
    free(row);
    free(token);
    free(ids);
    return rc;
}
