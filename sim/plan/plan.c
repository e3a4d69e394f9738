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
    all[v->n_edge] = (ba_edge){.seen = seen, .n = plan->node[seen].n, .at = at, .inv_temp = 1};
    return &all[v->n_edge++];
}

size_t ba_node_refreshed(const ba_plan *plan, const ba_node *node) {
    (void)plan;
    size_t rows = 0;
    for (size_t i = 0; i < node->n_edge; i++) {
        rows += node->choice.on ? node->edge[i].n : node->edge[i].refresh;
    }
    return rows;
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
    size_t all = ba_node_refreshed(plan, v);
    if (node + 1 != plan->n_node) {
        return ba_fail(err, "plan: node %zu: only the last node can choose the rows it refreshes", node);
    }
    if (c->count > all) {
        return ba_fail(err, "plan: node %zu: choice of %zu among %zu rows", node, c->count, all);
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
