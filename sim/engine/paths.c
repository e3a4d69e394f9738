/* Scores of paths, and which are kept: keep_paths in plan.h. */
#include "rank.h"
#include "run.h"

#include <stdlib.h>

int ba_run_score(ba_run *r, const ba_work *w, size_t row0) {
    const ba_node *v = &r->plan->node[w->node];
    ba_network *net = &r->e->net;
    ba_held *h = &r->held[w->node];
    bool ends = w->row0 + w->rows == v->n; /* then its last row predicts no token of the node */
    size_t d = net->shape->d_model, n = ends ? w->rows - 1 : w->rows;
    if (!h->aux && !(h->aux = calloc(d + 1, sizeof *h->aux))) {
        return -1;
    }
    double *logprob = malloc((n + 1) * sizeof *logprob);
    if (!logprob || ba_run_logprob(r, (ba_view){net->x, 0, 0}, row0, n, v->ids + w->row0 + 1, logprob)) {
        free(logprob);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        h->aux[0] += logprob[i];
    }
    if (ends) {
        net->be->ops->download(net->be, (ba_view){net->x, row0 + w->rows - 1, 0}, 1, d, h->aux + 1);
    }
    free(logprob);
    return 0;
}

/* An empty mean is 0. */
static double mean(double sum, double n) {
    return n > 0 ? sum / n : 0;
}

/* The two nodes of a path, in the plan's order: its context, and its copy of the question. */
static void nodes_of(const ba_plan *plan, size_t path, size_t node[2]) {
    for (size_t i = 0, n = 0; i < plan->n_node && n < 2; i++) {
        if (plan->node[i].path == path) {
            node[n++] = i;
        }
    }
}

/* Mean log P of the context's tokens without its first, plus that of the question's, whose first token is predicted by
 * the context's last row. */
static int score_path(ba_run *r, size_t path, double *score) {
    const ba_plan *plan = r->plan;
    ba_network *net = &r->e->net;
    size_t node[2] = {0};
    nodes_of(plan, path, node);
    const ba_node *context = &plan->node[node[0]], *copy = &plan->node[node[1]];
    const double *context_aux = r->held[node[0]].aux, *copy_aux = r->held[node[1]].aux;
    double first = 0;
    ba_view row = {net->hn, 0, 0};
    net->be->ops->upload(net->be, row, 1, net->shape->d_model, context_aux + 1);
    if (ba_run_logprob(r, row, 0, 1, copy->ids, &first)) {
        return -1;
    }
    double skipped = plan->skip_first, question = copy_aux[0] + (plan->skip_first ? 0 : first);
    *score = mean(context_aux[0], (double)context->n - 1) + mean(question, (double)copy->n - skipped);
    return 0;
}

int ba_run_keep_paths(ba_run *r) {
    const ba_plan *plan = r->plan;
    ba_ranked *c = malloc(plan->n_path * sizeof *c);
    if (!c) {
        return -1;
    }
    for (size_t p = 0; p < plan->n_path; p++) {
        if (score_path(r, p + 1, &r->path_score[p])) {
            free(c);
            return -1;
        }
        c[p] = (ba_ranked){r->path_score[p], p};
    }
    qsort(c, plan->n_path, sizeof *c, ba_ranked_first);
    for (size_t p = 0; p < plan->n_path; p++) {
        r->path_kept[c[p].index] = p < plan->keep_paths;
    }
    free(c);
    return 0;
}
