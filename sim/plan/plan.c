/* Building a plan, and whether it is well formed. */
#include "plan.h"

#include "kernels/base/sizes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ba_plan *ba_plan_new(const char *mode) {
    ba_plan *plan = calloc(1, sizeof *plan);
    if (!plan || !(plan->mode = strdup(mode))) {
        free(plan);
        return NULL;
    }
    return plan;
}

void ba_plan_free(ba_plan *plan) {
    if (!plan) {
        return;
    }
    for (size_t i = 0; i < plan->n_node; i++) {
        free(plan->node[i].ids);
        free(plan->node[i].edge);
        free(plan->node[i].lse_scale);
    }
    free(plan->node);
    free(plan->mode);
    free(plan);
}

/* Room for one more element after n: the array doubles whenever n is a power of two, so it needs no capacity field. */
static void *grown(void *array, size_t n, size_t size) {
    size_t room = n ? 2 * n : 1, bytes;
    if (n & (n - 1)) {
        return array;
    }
    return ba_multiply_sizes(room, size, &bytes) ? realloc(array, bytes) : NULL;
}

size_t ba_plan_add_node(ba_plan *plan, const int32_t *ids, size_t n, size_t seg, size_t n_seg) {
    ba_node *all = grown(plan->node, plan->n_node, sizeof *all);
    if (!all) {
        return SIZE_MAX;
    }
    plan->node = all;
    int32_t *copy = calloc(n ? n : 1, sizeof *copy);
    if (!copy) {
        return SIZE_MAX;
    }
    if (n) {
        memcpy(copy, ids, n * sizeof *copy);
    }
    all[plan->n_node] = (ba_node){.ids = copy, .n = n, .seg = seg, .n_seg = n_seg, .step = 1};
    return plan->n_node++;
}

ba_edge *ba_plan_add_edge(ba_plan *plan, size_t viewer, size_t seen, double at) {
    ba_node *v = &plan->node[viewer];
    ba_edge *all = grown(v->edge, v->n_edge, sizeof *all);
    if (!all) {
        return NULL;
    }
    v->edge = all;
    all[v->n_edge] = (ba_edge){.seen = seen, .n = plan->node[seen].n, .at = at, .inv_temp = 1, .quota = SIZE_MAX};
    return &all[v->n_edge++];
}

/* --- choices ---------------------------------------------------------------------------------------------------- */

bool ba_choice_by_attention(const ba_choice *c) {
    return c->score == BA_SCORE_ATTENTION || c->score == BA_SCORE_MEAN_QUERY;
}

size_t ba_edge_refreshed(const ba_node *v, const ba_edge *e) {
    if (!v->choice.on) {
        return e->refresh;
    }
    return ba_choice_by_attention(&v->choice) && !e->quota ? 0 : e->n;
}

/* n rows of each score, each with its window. */
static size_t with_windows(const ba_choice *c, size_t n, size_t most) {
    size_t lists = c->score == BA_SCORE_K_AND_V ? 2 : 1, rows;
    bool fits = ba_multiply_sizes(n, lists, &rows) && ba_multiply_sizes(rows, c->window, &rows);
    return fits ? ba_min_size(rows, most) : most;
}

size_t ba_edge_chosen(const ba_node *v, const ba_edge *e) {
    return with_windows(&v->choice, ba_min_size(e->quota, e->n), e->n);
}

size_t ba_node_chosen(const ba_node *node) {
    size_t rows = 0;
    for (size_t i = 0; i < node->n_edge; i++) {
        rows += ba_edge_chosen(node, &node->edge[i]);
    }
    return with_windows(&node->choice, node->choice.count, rows);
}

size_t ba_node_refreshed(const ba_node *node) {
    size_t rows = 0;
    if (node->choice.on && ba_choice_by_attention(&node->choice)) {
        return ba_node_chosen(node);
    }
    for (size_t i = 0; i < node->n_edge; i++) {
        rows += ba_edge_refreshed(node, &node->edge[i]);
    }
    return rows;
}

size_t ba_node_spare(const ba_node *node, size_t n) {
    return node->choice.on && ba_choice_by_attention(&node->choice) ? ba_node_chosen(node) - n : 0;
}

static bool is_listed(const ba_layer_set *set, size_t layer) {
    return layer < BA_MOST_LAYERS && (set->listed[layer / 64] >> layer % 64 & 1);
}

bool ba_choice_counts(const ba_choice *c, size_t layer, size_t n_layers) {
    size_t first = n_layers / 3, end = 2 * n_layers / 3;
    switch (c->layers.kind) {
    case BA_LAYERS_MIDDLE:
        return layer >= first && (layer < end || layer == first);
    case BA_LAYERS_LISTED:
        return is_listed(&c->layers, layer);
    case BA_LAYERS_ALL:
        break;
    }
    return true;
}

size_t ba_choice_layers(const ba_choice *c, size_t n_layers) {
    if (!ba_choice_by_attention(c)) {
        return c->layer + 1;
    }
    size_t n = n_layers;
    while (n > 1 && !ba_choice_counts(c, n - 1, n_layers)) {
        n--;
    }
    return n;
}

int ba_plan_fits(const ba_plan *plan, size_t n_layers, char err[BA_ERR_LEN]) {
    const ba_choice *c = &plan->node[plan->n_node - 1].choice;
    size_t last = 0;
    if (!c->on) {
        return 0;
    }
    if (!ba_choice_by_attention(c)) {
        last = c->layer;
    } else if (c->layers.kind == BA_LAYERS_LISTED) {
        last = ba_choice_layers(c, BA_MOST_LAYERS) - 1;
    }
    return last < n_layers ? 0
                           : ba_fail(err, "mode %s chooses in layer %zu, and the model has layers 0 to %zu", plan->mode,
                                     last, n_layers - 1);
}

/* --- check ------------------------------------------------------------------------------------------------------ */

static int check_edge(const ba_plan *plan, size_t node, size_t i, char err[BA_ERR_LEN]) {
    const ba_node *v = &plan->node[node];
    const ba_edge *e = &v->edge[i];
    if (e->seen >= node) {
        return ba_fail(err, "plan: node %zu, edge %zu: node %zu does not come before its viewer", node, i, e->seen);
    }
    size_t n = plan->node[e->seen].n;
    if (!e->n || e->first >= n || e->n > n - e->first) {
        return ba_fail(err, "plan: node %zu, edge %zu: keys %zu + %zu are not among the %zu of node %zu", node, i,
                       e->first, e->n, n, e->seen);
    }
    if (e->refresh > e->n || (e->refresh && v->choice.on)) {
        return ba_fail(err, "plan: node %zu, edge %zu: cannot refresh %zu of %zu keys%s", node, i, e->refresh, e->n,
                       v->choice.on ? " beside a choice" : "");
    }
    if (!isfinite(e->at) || !isfinite(e->bias) || !isfinite(e->inv_temp) || e->inv_temp <= 0) {
        return ba_fail(err, "plan: node %zu, edge %zu: place, bias or temperature is not a usable number", node, i);
    }
    if (e->group < 0 || (size_t)e->group > v->n_group) {
        return ba_fail(err, "plan: node %zu, edge %zu: group %d of %zu", node, i, e->group, v->n_group);
    }
    return 0;
}

static int check_choice(const ba_plan *plan, size_t node, char err[BA_ERR_LEN]) {
    const ba_node *v = &plan->node[node];
    const ba_choice *c = &v->choice;
    size_t all = 0;
    for (size_t i = 0; i < v->n_edge; i++) {
        all += v->edge[i].n;
    }
    if (node + 1 != plan->n_node) {
        return ba_fail(err, "plan: node %zu: only the last node can choose the rows it refreshes", node);
    }
    if (plan->keep_paths) {
        return ba_fail(err, "plan: node %zu: choice of rows beside a choice of paths", node);
    }
    if (c->count > all) {
        return ba_fail(err, "plan: node %zu: choice of %zu among %zu rows", node, c->count, all);
    }
    if (c->window < 1 || (c->shift && c->score != BA_SCORE_K_AND_V)) {
        return ba_fail(err, "plan: node %zu: choice with windows of %zu rows%s", node, c->window,
                       c->shift ? " and a shift without scores of K and V" : "");
    }
    if (ba_choice_by_attention(c)) {
        bool some = c->layers.kind != BA_LAYERS_LISTED;
        for (size_t i = 0; i < BA_MOST_LAYERS / 64; i++) {
            some = some || c->layers.listed[i];
        }
        if (!some || !c->n_vote || c->vote >= v->n || c->n_vote > v->n - c->vote || !v->n_edge || c->bottom_right) {
            return ba_fail(err, "plan: node %zu: choice by the attention of rows %zu + %zu of %zu%s", node, c->vote,
                           c->n_vote, v->n, some ? "" : " in no layer");
        }
        return 0;
    }
    if (c->layer < 1 || (c->bottom_right && c->bottom_right_from != c->layer && c->bottom_right_from != c->layer + 1)) {
        return ba_fail(err, "plan: node %zu: choice at layer %zu with a mask from layer %zu", node, c->layer,
                       c->bottom_right_from);
    }
    return 0;
}

static int check_node(const ba_plan *plan, size_t i, char err[BA_ERR_LEN]) {
    const ba_node *v = &plan->node[i];
    if (!v->n || v->skip >= v->n) {
        return ba_fail(err, "plan: node %zu is empty", i);
    }
    for (size_t j = 0; j < v->n; j++) {
        if (v->ids[j] < 0) {
            return ba_fail(err, "plan: node %zu, token %zu: id %d is below 0", i, j, (int)v->ids[j]);
        }
    }
    if (!isfinite(v->pos) || !isfinite(v->step) || v->step <= 0) {
        return ba_fail(err, "plan: node %zu: place %g or step %g is not usable", i, v->pos, v->step);
    }
    for (size_t g = 0; g < v->n_group; g++) {
        if (!isfinite(v->lse_scale[g])) {
            return ba_fail(err, "plan: node %zu: scale of group %zu is not finite", i, g + 1);
        }
    }
    if (v->select_k && !v->select_top) {
        return ba_fail(err, "plan: node %zu: selection by the sum of no probabilities", i);
    }
    if (v->path > plan->n_path) {
        return ba_fail(err, "plan: node %zu: path %zu of %zu", i, v->path, plan->n_path);
    }
    for (size_t e = 0; e < v->n_edge; e++) {
        if (check_edge(plan, i, e, err)) {
            return -1;
        }
    }
    return v->choice.on ? check_choice(plan, i, err) : 0;
}

/* Every path is a stored context, followed by a question copy that is not the last node. */
static int check_paths(const ba_plan *plan, char err[BA_ERR_LEN]) {
    if (plan->keep_paths > plan->n_path) {
        return ba_fail(err, "plan: %zu paths to keep of %zu", plan->keep_paths, plan->n_path);
    }
    uint8_t *seen = calloc(plan->n_path + 1, 1);
    if (!seen) {
        return ba_fail(err, "out of memory");
    }
    int rc = -1;
    for (size_t i = 0; i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        if (v->path && (seen[v->path] > 1 || v->stored != !seen[v->path] || i + 1 == plan->n_node)) {
            ba_fail(err, "plan: node %zu: path %zu is not a stored context and a question copy", i, v->path);
            goto done;
        }
        seen[v->path] += v->path > 0;
    }
    for (size_t p = 1; p <= plan->n_path; p++) {
        if (seen[p] != 2) {
            ba_fail(err, "plan: path %zu is not a stored context and a question copy", p);
            goto done;
        }
    }
    rc = 0;
done:
    free(seen);
    return rc;
}

int ba_plan_check(const ba_plan *plan, char err[BA_ERR_LEN]) {
    size_t tokens = 0;
    if (!plan->n_node) {
        return ba_fail(err, "plan: nothing to encode");
    }
    for (size_t i = 0; i < plan->n_node; i++) {
        if (check_node(plan, i, err)) {
            return -1;
        }
        if (!ba_add_sizes(tokens, plan->node[i].n, &tokens) || tokens > INT32_MAX) {
            return ba_fail(err, "plan: more than %d tokens", INT32_MAX);
        }
    }
    if (plan->node[plan->n_node - 1].stored) {
        return ba_fail(err, "plan: the last node gives the answer and cannot come from the store");
    }
    return check_paths(plan, err);
}
