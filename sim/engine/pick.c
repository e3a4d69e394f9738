/* From scores to the rows that are chosen: ba_choice in plan.h. */
#include "rank.h"
#include "run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHOSEN = 4 }; /* beside 1 and 2 of the first and the second score */

size_t ba_run_keys(const ba_node *v) {
    size_t n = 0;
    for (size_t e = 0; e < v->n_edge; e++) {
        n += v->edge[e].n;
    }
    return n;
}

static size_t edge_of(const ba_node *v, size_t key) {
    size_t e = 0;
    while (key >= v->edge[e].n) {
        key -= v->edge[e++].n;
    }
    return e;
}

/* Marks the keys with the highest scores, as the choice says: flags[n] |= bit. */
static int mark_best(const ba_node *v, const double *score, size_t n, uint8_t bit, uint8_t *flags) {
    ba_ranked *c = malloc((n + 1) * sizeof *c);
    size_t *left = calloc(v->n_edge + 1, sizeof *left), count = v->choice.count;
    int rc = c && left ? 0 : -1;
    for (size_t e = 0; !rc && e < v->n_edge; e++) {
        left[e] = v->edge[e].quota;
    }
    for (size_t i = 0; !rc && i < n; i++) {
        c[i] = (ba_ranked){score[i], i};
    }
    if (!rc) {
        qsort(c, n, sizeof *c, ba_ranked_first);
    }
    for (size_t i = 0; !rc && i < n && count; i++) {
        size_t e = edge_of(v, c[i].index);
        if (left[e]) {
            left[e]--;
            count--;
            flags[c[i].index] |= bit;
        }
    }
    free(c);
    free(left);
    return rc;
}

/* Marks with every key that a score has marked the next ones of its window; returns how many are chosen. */
static size_t open_windows(const ba_node *v, uint8_t *flags) {
    size_t n = 0;
    for (size_t e = 0; e < v->n_edge; flags += v->edge[e++].n) {
        for (size_t i = 0, open = 0; i < v->edge[e].n; i++) {
            open = flags[i] ? v->choice.window : open;
            if (open) {
                open--;
                flags[i] |= CHOSEN;
                n++;
            }
        }
    }
    return n;
}

/* The chosen rows, edge by edge: indices into the seen nodes, and their tokens. */
static void list_rows(ba_run *r, const ba_node *v, const uint8_t *flags) {
    ba_chosen_rows *c = &r->chosen;
    size_t n = 0, begin = 0;
    for (size_t e = 0; e < v->n_edge; begin += v->edge[e++].n) {
        const ba_edge *edge = &v->edge[e];
        size_t first = n;
        for (size_t i = 0; i < edge->n; i++) {
            if (flags[begin + i] & CHOSEN) {
                c->row[n] = begin + i;
                c->token[n] = edge->first + i;
                c->ids[n++] = r->plan->node[edge->seen].ids[edge->first + i];
            }
        }
        c->run[e] = (ba_rows){{e, 0, n - first, c->token + first}, c->ids + first};
    }
    c->run[v->n_edge] = (ba_rows){{v->n_edge, 0, v->n, NULL}, v->ids};
    r->stats.chosen_row = c->row;
    r->stats.n_chosen_row = n;
}

/* How the rows of each edge move: see kv_shift. Scores are squared distances. */
static void set_shift(ba_run *r, const ba_node *v, size_t n, const uint8_t *flags) {
    for (size_t list = 0; list < 2; list++) {
        const double *score = r->chosen.score + list * n;
        double *from = r->chosen.shift + 2 * list * n, *to = from + n;
        for (size_t e = 0, begin = 0; e < v->n_edge; begin += v->edge[e++].n) {
            size_t probes = 0, end = begin + v->edge[e].n;
            for (size_t i = begin; i < end; i++) {
                probes += flags[i] >> list & 1;
            }
            for (size_t i = begin; i < end; i++) {
                from[i] = flags[i] >> list & 1 ? 1 / (double)probes : 0;
                to[i] = probes && !(flags[i] & CHOSEN) ? fmin(sqrt(score[i]), 1) : 0;
            }
        }
    }
}

int ba_run_choose(ba_run *r, size_t node) {
    const ba_node *v = &r->plan->node[node];
    ba_chosen_rows *c = &r->chosen;
    size_t n = ba_run_keys(v);
    uint8_t *flags = calloc(n + 1, 1);
    int rc = flags ? mark_best(v, c->score, n, 1, flags) : -1;
    if (!rc && v->choice.score == BA_SCORE_K_AND_V) {
        rc = mark_best(v, c->score + n, n, 2, flags);
    }
    size_t chosen = rc ? 0 : open_windows(v, flags);
    c->row = malloc((chosen + 1) * sizeof *c->row);
    c->token = malloc((chosen + 1) * sizeof *c->token);
    c->ids = malloc((chosen + 1) * sizeof *c->ids);
    c->run = malloc((v->n_edge + 1) * sizeof *c->run);
    c->shift = v->choice.shift ? malloc((4 * n + 1) * sizeof *c->shift) : NULL;
    if (rc || !c->row || !c->token || !c->ids || !c->run || (v->choice.shift && !c->shift)) {
        free(flags);
        return -1;
    }
    list_rows(r, v, flags);
    if (c->shift) {
        set_shift(r, v, n, flags);
    }
    free(flags);
    return 0;
}

void ba_run_free_chosen(ba_chosen_rows *c) {
    free(c->score);
    free(c->row);
    free(c->token);
    free(c->ids);
    free(c->run);
    free(c->shift);
    *c = (ba_chosen_rows){0};
}
