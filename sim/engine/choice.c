/* Probes by which rows are chosen, and the pass of a choice by change: ba_choice in plan.h. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

static int new_scores(ba_run *r, const ba_node *v) {
    ba_run_free_chosen(&r->chosen);
    r->chosen.score = calloc(2 * ba_run_keys(v) + 1, sizeof *r->chosen.score);
    return r->chosen.score ? 0 : -1;
}

/* --- by attention ----------------------------------------------------------------------------------------------- */

/* The rows of the probe's job that vote, over the edges' keys; seg: [n_edge]. */
static ba_attn_job voters_of(const ba_node *v, const ba_attn_job *job, ba_kv_segment *seg) {
    size_t first = v->choice.vote;
    for (size_t e = 0; e < v->n_edge; e++) {
        seg[e] = job->seg[e];
        seg[e].rot_row += first;
        seg[e].lo = seg[e].lo ? seg[e].lo + first : NULL;
        seg[e].hi = seg[e].hi ? seg[e].hi + first : NULL;
    }
    return (ba_attn_job){.row0 = job->row0 + first, .rows = v->choice.n_vote, .seg = seg, .n_seg = v->n_edge};
}

/* Adds what the voters attend to in one layer to the scores; mass: [keys], seg: [n_edge] scratch. */
static void add_votes(ba_run *r, const ba_node *v, const ba_batch *b, size_t layer, double *mass, ba_kv_segment *seg) {
    ba_network *net = &r->e->net;
    ba_attn_job voters = voters_of(v, net->shape->local[layer] ? b->job_local : b->job, seg);
    ba_network_mass(net, &voters, layer, v->choice.score == BA_SCORE_MEAN_QUERY, mass);
    for (size_t i = 0, n = ba_run_keys(v); i < n; i++) {
        r->chosen.score[i] += mass[i];
    }
}

/* The layers up to the last whose scores count; it ends with that one's queries. */
static int walk_probe(ba_run *r, const ba_node *v, const ba_batch *b, double *mass, ba_kv_segment *seg) {
    ba_network *net = &r->e->net;
    size_t layers = ba_choice_layers(&v->choice, net->shape->layers);
    ba_network_embed(net, b);
    for (size_t l = 0; l < layers; l++) {
        ba_network_keys(net, b, l, true);
        if (ba_choice_counts(&v->choice, l, net->shape->layers)) {
            add_votes(r, v, b, l, mass, seg);
        }
        if (l + 1 < layers && ba_run_layer(r, b, l, false, true)) {
            return -1;
        }
        if (ba_run_step(r, BA_STAGE_PREFILL, b->rows)) {
            return BA_INTERRUPTED;
        }
    }
    return ba_network_starved(net) ? -1 : 0;
}

int ba_run_probe(ba_run *r, const ba_work *w, const ba_batch *b) {
    const ba_node *v = &r->plan->node[w->node];
    double *mass = malloc((ba_run_keys(v) + 1) * sizeof *mass);
    ba_kv_segment *seg = malloc((v->n_edge + 1) * sizeof *seg);
    int rc = mass && seg && !new_scores(r, v) ? walk_probe(r, v, b, mass, seg) : -1;
    if (!rc) {
        rc = ba_run_choose(r, w->node);
    }
    free(mass);
    free(seg);
    return rc;
}

/* --- by change -------------------------------------------------------------------------------------------------- */

/* Squared distances of the fresh rows from the stored ones, edge by edge. */
static void measure(ba_run *r, size_t node, ba_kv_part part, double *distance) {
    const ba_node *v = &r->plan->node[node];
    ba_backend *be = r->e->net.be;
    for (size_t e = 0; e < v->n_edge; distance += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        be->ops->kv_distance(be, part, v->choice.layer, r->patch[r->held[node].edge0 + e], edge->first,
                             r->held[edge->seen].kv, edge->first, edge->n, distance);
    }
}

static int choose_by_change(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    if (new_scores(r, v)) {
        return -1;
    }
    measure(r, node, v->choice.score == BA_SCORE_V ? BA_KV_V : BA_KV_K, r->chosen.score);
    if (v->choice.score == BA_SCORE_K_AND_V) {
        measure(r, node, BA_KV_V, r->chosen.score + ba_run_keys(v));
    }
    return ba_run_choose(r, node);
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
    memcpy(row, r->chosen.row, chosen * sizeof *row);
    for (size_t i = 0; i < n; i++) {
        row[chosen + i] = rows - n + i;
    }
    ba_network_keep(&r->e->net, row, chosen + n);
    free(row);
    return 0;
}

/* A finished batch of the chosen rows and the viewer's own; NULL: out of memory. */
static ba_batch *short_batch(ba_run *r, size_t node, bool bottom_right) {
    ba_look look = ba_run_look(r, node);
    ba_batch *b = ba_batch_new();
    if (!b) {
        return NULL;
    }
    if (ba_batch_add(b, &look, r->chosen.run, r->plan->node[node].n_edge + 1, bottom_right) || ba_run_finish(r, b)) {
        ba_batch_free(b);
        return NULL;
    }
    return b;
}

/* The spans in which rows that were not chosen move, the same in every layer. NULL: out of memory. */
static ba_kv_span *shift_spans(const ba_run *r, size_t node, size_t *n) {
    const ba_node *v = &r->plan->node[node];
    ba_kv_span *span = calloc(v->n_edge + 1, sizeof *span);
    *n = 0;
    for (size_t e = 0, begin = 0; span && e < v->n_edge; begin += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        if (edge->quota) {
            span[(*n)++] =
                (ba_kv_span){r->patch[r->held[node].edge0 + e], r->held[edge->seen].kv, edge->first, edge->n, begin};
        }
    }
    return span;
}

static void shift_rows(const ba_run *r, size_t node, size_t layer, const ba_kv_span *span, size_t n_span) {
    static const ba_kv_part part[] = {BA_KV_K, BA_KV_V};
    ba_backend *be = r->e->net.be;
    size_t n = ba_run_keys(&r->plan->node[node]);
    for (size_t list = 0; list < 2; list++) {
        const double *from = r->chosen.shift + 2 * list * n;
        be->ops->kv_shift(be, part[list], layer, span, n_span, from, from + n);
    }
}

/* The layers after the choice. */
static int walk_rest(ba_run *r, size_t node, const ba_batch *b) {
    ba_network *net = &r->e->net;
    const ba_choice *choice = &r->plan->node[node].choice;
    size_t n_span;
    ba_kv_span *span = choice->shift ? shift_spans(r, node, &n_span) : NULL;
    int rc = choice->shift && !span ? -1 : 0;
    for (size_t l = choice->layer + 1; !rc && l < net->shape->layers; l++) {
        ba_network_keys(net, b, l, true);
        if (span) {
            shift_rows(r, node, l, span, n_span);
        }
        rc = ba_run_layer(r, b, l, true, true) ? -1 : 0;
        if (!rc && ba_run_step(r, BA_STAGE_PREFILL, b->rows)) {
            rc = BA_INTERRUPTED;
        }
    }
    free(span);
    return rc ? rc : ba_network_starved(net) ? -1 : 0;
}

/* The chosen rows from the attention of the choice's layer to the last layer. Two batches, since the bottom-right mask
 * may begin one layer later. */
static int walk_chosen(ba_run *r, size_t node) {
    const ba_choice *choice = &r->plan->node[node].choice;
    ba_batch *b = short_batch(r, node, choice->bottom_right && choice->layer >= choice->bottom_right_from);
    int rc = b ? ba_run_layer(r, b, choice->layer, true, true) : -1;
    ba_batch_free(b);
    if (rc) {
        return rc;
    }
    b = short_batch(r, node, choice->bottom_right);
    rc = b ? walk_rest(r, node, b) : -1;
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
    return choose_by_change(r, w->node) || keep_chosen(r, all->rows, v->n) ? -1 : walk_chosen(r, w->node);
}
