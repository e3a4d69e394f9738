/* The memory of a run, and small questions about its plan. */
#include "run.h"

#include <stdlib.h>

/* Places of every node's edges in the arrays over all edges; returns how many edges there are. */
static size_t number_edges(ba_run *r) {
    size_t edges = 0;
    for (size_t i = 0; i < r->plan->n_node; i++) {
        r->held[i].edge0 = edges;
        edges += r->plan->node[i].n_edge;
    }
    return edges;
}

static int allocate(ba_run *r) {
    const ba_plan *plan = r->plan;
    const ba_shape *s = r->e->net.shape;
    ba_backend *be = r->e->net.be;
    r->held = calloc(plan->n_node, sizeof *r->held);
    r->key = calloc(plan->n_node, sizeof *r->key);
    if (!r->held || !r->key) {
        return -1;
    }
    size_t edges = number_edges(r);
    r->shown = calloc(edges + 1, sizeof *r->shown);
    r->patch = calloc(edges + 1, sizeof *r->patch);
    r->lookup = calloc(plan->n_node, sizeof *r->lookup);
    r->path_score = calloc(plan->n_path + 1, sizeof *r->path_score);
    r->path_kept = calloc(plan->n_path + 1, sizeof *r->path_kept);
    r->logits = malloc(s->vocab * sizeof *r->logits);
    r->last = be->ops->buf_new(be, 1, s->d_model);
    r->end = be->ops->buf_new(be, 1, s->d_model);
    bool ok = r->shown && r->patch && r->lookup && r->path_score && r->path_kept && r->logits && r->last && r->end;
    return ok ? 0 : -1;
}

ba_run *ba_run_new(ba_engine *e, const ba_plan *plan, const ba_engine_options *opt, size_t room) {
    ba_run *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    *r = (ba_run){.e = e, .plan = plan, .opt = opt ? *opt : (ba_engine_options){0}, .room = room};
    if (allocate(r)) {
        ba_run_free(r);
        return NULL;
    }
    r->stats.lookup = r->lookup;
    r->stats.path_score = r->path_score;
    r->stats.path_kept = r->path_kept;
    r->stats.n_path = plan->keep_paths ? plan->n_path : 0;
    r->stats.n_prompt = plan->n_tokens;
    return r;
}

static void free_held(ba_run *r, size_t node) {
    ba_backend *be = r->e->net.be;
    ba_held *h = &r->held[node];
    ba_store_release(r->e->store, h->entry);
    if (h->own) {
        be->ops->kv_free(be, h->own);
    }
    for (size_t e = 0; r->patch && e < r->plan->node[node].n_edge; e++) {
        if (r->patch[h->edge0 + e]) {
            be->ops->kv_free(be, r->patch[h->edge0 + e]);
        }
    }
    free(h->aux);
}

void ba_run_free(ba_run *r) {
    if (!r) {
        return;
    }
    ba_backend *be = r->e->net.be;
    for (size_t i = 0; r->held && i < r->plan->n_node; i++) {
        free_held(r, i);
    }
    if (r->last) {
        be->ops->buf_free(be, r->last);
    }
    if (r->end) {
        be->ops->buf_free(be, r->end);
    }
    free(r->held);
    free(r->key);
    free(r->shown);
    free(r->patch);
    free(r->logits);
    free(r->rows);
    free(r->lookup);
    ba_run_free_chosen(&r->chosen);
    free(r->path_score);
    free(r->path_kept);
    free(r);
}

const ba_run_stats *ba_run_get_stats(const ba_run *r) {
    return &r->stats;
}

void ba_run_count(ba_run *r, ba_counters before) {
    const ba_counters *now = &r->e->net.be->count;
    r->stats.count.flops_exact += now->flops_exact - before.flops_exact;
    r->stats.count.flops_dense += now->flops_dense - before.flops_dense;
    r->stats.count.bytes_read += now->bytes_read - before.bytes_read;
    r->stats.count.bytes_written += now->bytes_written - before.bytes_written;
}

bool ba_run_is_last(const ba_run *r, size_t node) {
    return node + 1 == r->plan->n_node;
}

bool ba_run_drops_rows(const ba_plan *plan) {
    const ba_choice *c = &plan->node[plan->n_node - 1].choice;
    return c->on && !ba_choice_by_attention(c);
}

bool ba_run_scored(const ba_plan *plan, size_t node) {
    return plan->keep_paths && plan->node[node].path;
}

ba_look ba_run_look(ba_run *r, size_t node) {
    ba_held *h = &r->held[node];
    const ba_shape *s = r->e->net.shape;
    return (ba_look){r->plan, node, r->shown + h->edge0, r->patch + h->edge0, h->own, h->merged, s->window};
}

ba_kv *ba_run_new_kv(ba_run *r, size_t tokens) {
    const ba_shape *s = r->e->net.shape;
    ba_backend *be = r->e->net.be;
    return be->ops->kv_new(be, s->layers, s->kv_heads, s->head_dim, tokens);
}

uint64_t ba_run_kv_bytes(const ba_run *r, size_t tokens) {
    const ba_shape *s = r->e->net.shape;
    ba_backend *be = r->e->net.be;
    return be->ops->kv_bytes(be, s->layers, s->kv_heads, s->head_dim, tokens);
}
