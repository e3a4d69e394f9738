#include "probe.h"

#include "sim/modes/modes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct watched {
    ba_probe *in;
    const ba_node *node; /* node whose rows are observed */
    const ba_plan *plan;
    double *weight, *lse; /* [n_edge + 1], [n_group + 1] scratch */
} watched;

static void see_hidden(void *arg, size_t layer, const double *hidden, size_t rows, size_t d_model) {
    watched *w = arg;
    memcpy(w->in->hidden + layer * d_model, hidden + (rows - 1) * d_model, d_model * sizeof *hidden);
}

/* Segment of the prompt that an edge shows, by the origin of its first key. */
static size_t segment_of(const watched *w, size_t edge) {
    return edge < w->node->n_edge ? w->plan->node[w->node->edge[edge].seen].seg : w->node->seg;
}

static int group_of(const watched *w, size_t edge) {
    return edge < w->node->n_edge ? w->node->edge[edge].group : 0;
}

/* Weight of each segment in the softmax over all segments, with groups scaled as in the plan (ba_edge.group). */
static void weigh(const watched *w, const ba_attention *a, const double *lse) {
    size_t n_group = w->node->n_group;
    double total = 0, top = -INFINITY;
    for (size_t g = 0; g <= n_group; g++) {
        w->lse[g] = 0;
    }
    for (size_t s = 0; s < a->n_seg; s++) {
        top = fmax(top, lse[s]);
    }
    for (size_t s = 0; s < a->n_seg; s++) {
        w->lse[group_of(w, a->edge[s])] += exp(lse[s] - top);
    }
    /* Back to logarithms, scaled; group 0 is ordinary. */
    for (size_t g = 0; g <= n_group; g++) {
        w->lse[g] = top + log(w->lse[g]);
    }
    double max = w->lse[0];
    for (size_t g = 1; g <= n_group; g++) {
        max = fmax(max, w->lse[g] * w->node->lse_scale[g - 1]);
    }
    for (size_t g = 0; g <= n_group; g++) {
        total += exp((g ? w->lse[g] * w->node->lse_scale[g - 1] : w->lse[0]) - max);
    }
    for (size_t s = 0; s < a->n_seg; s++) {
        int g = group_of(w, a->edge[s]);
        double scaled = g ? w->lse[g] * w->node->lse_scale[g - 1] : w->lse[0];
        w->weight[s] = isinf(lse[s]) ? 0 : exp(scaled - max) / total * exp(lse[s] - w->lse[g]);
    }
}

/* Entropy of a mixture: sum of w_s (H_s - log w_s), where H_s = lse_s - mean score of segment s. */
static void see_attention(void *arg, const ba_attention *a) {
    watched *w = arg;
    double *mass = w->in->mass + a->layer * w->in->n_seg, *kept = w->in->kept + a->layer * w->in->n_seg;
    double share = 1 / (double)(a->rows * a->heads), entropy = 0;
    memset(mass, 0, w->in->n_seg * sizeof *mass);
    memset(kept, 0, w->in->n_seg * sizeof *kept);
    for (size_t i = 0; i < a->rows * a->heads; i++) {
        const double *lse = a->lse + i * a->n_seg, *mean = a->mean_score + i * a->n_seg;
        weigh(w, a, lse);
        for (size_t s = 0; s < a->n_seg; s++) {
            kept[segment_of(w, a->edge[s])] += isinf(lse[s]) ? 0 : share;
            if (w->weight[s] > 0) {
                mass[segment_of(w, a->edge[s])] += share * w->weight[s];
                entropy += share * w->weight[s] * (lse[s] - mean[s] - log(w->weight[s]));
            }
        }
    }
    w->in->entropy[a->layer] = entropy;
}

/* Adds segments [first, end) of the prompt as one node that sees all nodes before it. ids: scratch for all tokens. 0, or
 * -1: out of memory. */
static int add_full_node(ba_plan *plan, const ba_prompt *prompt, size_t first, size_t end, int32_t *ids) {
    size_t n = 0;
    for (size_t k = first; k < end; n += prompt->seg[k++].n) {
        memcpy(ids + n, prompt->seg[k].ids, prompt->seg[k].n * sizeof *ids);
    }
    size_t v = ba_plan_add_node(plan, ids, n, first, end - first);
    if (v == SIZE_MAX) {
        return -1;
    }
    for (size_t e = 0, at = 0; e < first; at += prompt->seg[e++].n) {
        if (!ba_plan_add_edge(plan, v, e, (double)at)) {
            return -1;
        }
    }
    plan->node[v].pos = (double)plan->n_tokens;
    plan->n_tokens += n;
    return 0;
}

/* Full attention with one node per segment (question and task together), each seeing everything before it at its
 * position: the same function as one node. 0, or -1: out of memory; the caller frees *out in either case. */
static int plan_full(const ba_prompt *prompt, ba_plan **out) {
    ba_plan *plan = *out = ba_plan_new("full");
    size_t n_node = prompt->n_seg;
    n_node -= n_node > 1 && prompt->seg[n_node - 1].role == BA_ROLE_TASK;
    int32_t *ids = malloc((ba_prompt_tokens(prompt) + 1) * sizeof *ids);
    int rc = plan && ids ? 0 : -1;
    for (size_t i = 0; !rc && i < n_node; i++) {
        rc = add_full_node(plan, prompt, i, i + 1 < n_node ? i + 1 : prompt->n_seg, ids);
    }
    free(ids);
    return rc;
}

static int keep_choices(ba_probe *in, const ba_run_stats *stats) {
    in->row = malloc((stats->n_chosen_row + 1) * sizeof *in->row);
    in->path_score = malloc((stats->n_path + 1) * sizeof *in->path_score);
    in->path_kept = malloc(stats->n_path + 1);
    if (!in->row || !in->path_score || !in->path_kept) {
        return -1;
    }
    in->n_row = stats->n_chosen_row;
    in->n_path = stats->n_path;
    for (size_t i = 0; i < in->n_row; i++) {
        in->row[i] = stats->chosen_row[i];
    }
    for (size_t i = 0; i < in->n_path; i++) {
        in->path_score[i] = stats->path_score[i];
        in->path_kept[i] = stats->path_kept[i];
    }
    return 0;
}

/* Arrays of the probe and scratch for watching it. 0, or -1: out of memory. */
static int make_room(watched *w, const ba_plan *plan) {
    ba_probe *out = w->in;
    w->plan = plan;
    w->node = &plan->node[plan->n_node - 1];
    w->weight = calloc(w->node->n_edge + 1, sizeof *w->weight);
    w->lse = calloc(w->node->n_group + 1, sizeof *w->lse);
    out->hidden = calloc(out->layers * out->d_model, sizeof *out->hidden);
    out->entropy = calloc(out->layers, sizeof *out->entropy);
    out->mass = calloc(out->layers * out->n_seg, sizeof *out->mass);
    out->kept = calloc(out->layers * out->n_seg, sizeof *out->kept);
    return w->weight && w->lse && out->hidden && out->entropy && out->mass && out->kept ? 0 : -1;
}

int ba_probe_make(ba_engine *e, const ba_prompt *prompt, const char *mode, const ba_engine_options *opt, ba_probe *out,
                  char err[BA_ERR_LEN]) {
    const ba_shape *s = ba_engine_shape(e);
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    watched w = {.in = out};
    ba_engine_options watching = opt ? *opt : (ba_engine_options){0};
    int rc = -1;
    *out = (ba_probe){.layers = s->layers, .d_model = s->d_model, .n_seg = prompt->n_seg};
    if (strcmp(mode, "full") != 0) {
        if (ba_mode_plan(mode, prompt, &plan, err)) {
            goto done;
        }
    } else if (plan_full(prompt, &plan)) {
        ba_fail(err, "out of memory");
        goto done;
    }
    if (make_room(&w, plan)) {
        ba_fail(err, "out of memory");
        goto done;
    }
    watching.layer = see_hidden;
    watching.attention = see_attention;
    watching.arg = &w;
    rc = ba_engine_run(e, plan, &watching, 0, &run, err);
    if (!rc && keep_choices(out, ba_run_get_stats(run))) {
        rc = ba_fail(err, "out of memory");
    }
done:
    ba_run_free(run);
    ba_plan_free(plan);
    free(w.weight);
    free(w.lse);
    if (rc) {
        ba_probe_free(out);
    }
    return rc;
}

void ba_probe_free(ba_probe *in) {
    free(in->hidden);
    free(in->entropy);
    free(in->mass);
    free(in->kept);
    free(in->row);
    free(in->path_score);
    free(in->path_kept);
    *in = (ba_probe){0};
}

double ba_probe_departure(const ba_probe *a, const ba_probe *b, size_t layer) {
    const double *x = a->hidden + layer * a->d_model, *y = b->hidden + layer * a->d_model;
    double norm = 0, diff = 0;
    for (size_t i = 0; i < a->d_model; i++) {
        norm += x[i] * x[i];
        diff += (y[i] - x[i]) * (y[i] - x[i]);
    }
    return norm > 0 ? sqrt(diff / norm) : NAN;
}
