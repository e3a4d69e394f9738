/* Scores of paths, and which are kept: keep_paths in plan.h. */
#include "run.h"

#include <stdlib.h>

int ba_ranked_first(const void *a, const void *b) {
    const ba_ranked *x = a, *y = b;
    if (x->value != y->value) {
        return x->value > y->value ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

int ba_run_score(ba_run *r, const ba_work *w, size_t row0) {
    const ba_node *v = &r->plan->node[w->node];
    ba_network *net = &r->e->net;
    ba_held *h = &r->held[w->node];
    size_t d = net->shape->d_model, n = w->row0 + w->rows < v->n ? w->rows : w->rows - 1;
    double *logprob = malloc((n + 1) * sizeof *logprob);
    if (!h->aux) {
        h->aux = calloc(d + 1, sizeof *h->aux);
    }
    int rc = logprob && h->aux ? 0 : -1;
    if (!rc) {
        rc = ba_run_logprob(r, (ba_view){net->x, 0, 0}, row0, n, v->ids + w->row0 + 1, logprob);
    }
    for (size_t i = 0; !rc && i < n; i++) {
        h->aux[0] += logprob[i];
    }
    if (!rc && w->row0 + w->rows == v->n) {
        net->be->ops->download(net->be, (ba_view){net->x, row0 + w->rows - 1, 0}, 1, d, h->aux + 1);
    }
    free(logprob);
    return rc;
}

/* An empty mean is 0. */
static double mean(double sum, double n) {
    return n > 0 ? sum / n : 0;
}

int ba_run_keep_paths(ba_run *r) {
    const ba_plan *plan = r->plan;
    ba_network *net = &r->e->net;
    ba_ranked *c = malloc(plan->n_path * sizeof *c);
    int rc = c ? 0 : -1;
    for (size_t p = 0; !rc && p < plan->n_path; p++) {
        const ba_node *context = NULL, *copy = NULL;
        const double *context_aux = NULL, *copy_aux = NULL;
        for (size_t i = 0; i < plan->n_node; i++) {
            if (plan->node[i].path == p + 1) {
                *(context ? &copy : &context) = &plan->node[i];
                *(context_aux ? &copy_aux : &context_aux) = r->held[i].aux;
            }
        }
        double first = 0;
        ba_view row = {net->hn, 0, 0};
        net->be->ops->upload(net->be, row, 1, net->shape->d_model, context_aux + 1);
        rc = ba_run_logprob(r, row, 0, 1, copy->ids, &first);
        double skipped = plan->skip_first, question = copy_aux[0] + (plan->skip_first ? 0 : first);
        r->path_score[p] = mean(context_aux[0], (double)context->n - 1) + mean(question, (double)copy->n - skipped);
        c[p] = (ba_ranked){r->path_score[p], p};
    }
    if (!rc) {
        qsort(c, plan->n_path, sizeof *c, ba_ranked_first);
        for (size_t p = 0; p < plan->n_path; p++) {
            r->path_kept[c[p].index] = p < plan->keep_paths;
        }
    }
    free(c);
    return rc;
}
