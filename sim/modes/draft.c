#include "draft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t ba_draft_len(const ba_draft *d, size_t seg) {
    return d->prompt->seg[seg].n;
}

size_t ba_draft_place(const ba_draft *d, size_t seg) {
    return d->place[seg];
}

static ba_role role_of(const ba_draft *d, size_t seg) {
    return d->prompt->seg[seg].role;
}

static bool is_context(ba_role role) {
    return role == BA_ROLE_PASSAGE || role == BA_ROLE_DEMONSTRATION || role == BA_ROLE_LINK;
}

int ba_draft_parts(const ba_draft *d, ba_parts *p, char err[BA_ERR_LEN]) {
    size_t n = d->prompt->n_seg, i = 0;
    *p = (ba_parts){.has_prefix = role_of(d, 0) == BA_ROLE_SYSTEM};
    i = p->context = p->has_prefix;
    for (; i < n && is_context(role_of(d, i)); i++) {
        p->longest = ba_draft_len(d, i) > p->longest ? ba_draft_len(d, i) : p->longest;
    }
    p->n_ctx = i - p->context;
    p->question = i;
    p->n_q = n - i;
    bool question = i < n && role_of(d, i) == BA_ROLE_QUESTION;
    if (!question || p->n_q > 2 || (p->n_q == 2 && role_of(d, i + 1) != BA_ROLE_TASK)) {
        size_t at = !question ? i : p->n_q > 2 && role_of(d, i + 1) == BA_ROLE_TASK ? i + 2 : i + 1;
        return ba_fail(err,
                       "mode %s needs segments in the order system (may be absent), passages, question, task (may be "
                       "absent); segment %zu is %s",
                       d->mode, at, at < n ? ba_role_name(role_of(d, at)) : "missing");
    }
    p->prefix_len = p->has_prefix ? ba_draft_len(d, 0) : 0;
    p->place = ba_draft_place(d, p->question);
    return 0;
}

void ba_draft_loose_parts(const ba_draft *d, ba_parts *p) {
    size_t last = ba_draft_last_block(d);
    *p = (ba_parts){.has_prefix = last > 0 && role_of(d, 0) == BA_ROLE_SYSTEM, .question = last};
    p->context = p->has_prefix;
    p->n_ctx = last - p->context;
    p->n_q = d->prompt->n_seg - last;
    for (size_t i = p->context; i < last; i++) {
        p->longest = ba_draft_len(d, i) > p->longest ? ba_draft_len(d, i) : p->longest;
    }
    p->prefix_len = p->has_prefix ? ba_draft_len(d, 0) : 0;
    p->place = ba_draft_place(d, last);
}

size_t ba_prompt_last_block(const ba_prompt *prompt) {
    size_t last = prompt->n_seg - 1;
    bool task = last && prompt->seg[last].role == BA_ROLE_TASK && prompt->seg[last - 1].role == BA_ROLE_QUESTION;
    return task ? last - 1 : last;
}

size_t ba_draft_last_block(const ba_draft *d) {
    return ba_prompt_last_block(d->prompt);
}

size_t ba_draft_run(ba_draft *d, const int32_t *ids, size_t n, double pos) {
    size_t node = d->no_memory ? BA_NO_NODE : ba_plan_add_node(d->plan, ids, n, 0, 1);
    d->no_memory |= node == BA_NO_NODE;
    ba_draft_at(d, node)->pos = pos;
    return node;
}

size_t ba_draft_node(ba_draft *d, size_t seg, size_t n_seg, int32_t head, size_t n_head, double pos) {
    size_t n = n_head, at = n_head, node = BA_NO_NODE;
    for (size_t i = seg; i < seg + n_seg; i++) {
        n += ba_draft_len(d, i);
    }
    int32_t *ids = calloc(n, sizeof *ids);
    if (ids && !d->no_memory) {
        for (size_t i = 0; i < n_head; i++) {
            ids[i] = head;
        }
        for (size_t i = seg; i < seg + n_seg; at += ba_draft_len(d, i++)) {
            memcpy(ids + at, d->prompt->seg[i].ids, ba_draft_len(d, i) * sizeof *ids);
        }
        node = ba_plan_add_node(d->plan, ids, n, seg, n_seg);
    }
    free(ids);
    d->no_memory |= node == BA_NO_NODE;
    ba_draft_at(d, node)->pos = pos;
    return node;
}

size_t ba_draft_stored(ba_draft *d, size_t seg, double pos) {
    size_t node = ba_draft_node(d, seg, 1, 0, 0, pos);
    ba_draft_at(d, node)->stored = true;
    return node;
}

size_t ba_draft_prefix(ba_draft *d, const ba_parts *parts) {
    return parts->has_prefix ? ba_draft_stored(d, 0, 0) : BA_NO_NODE;
}

ba_edge *ba_draft_see(ba_draft *d, size_t viewer, size_t seen, double at) {
    ba_edge *edge = d->no_memory || seen == BA_NO_NODE ? NULL : ba_plan_add_edge(d->plan, viewer, seen, at);
    d->no_memory |= !edge && seen != BA_NO_NODE;
    return edge ? edge : &d->spare_edge;
}

ba_node *ba_draft_at(ba_draft *d, size_t node) {
    return d->no_memory ? &d->spare_node : &d->plan->node[node];
}

double *ba_draft_groups(ba_draft *d, size_t node, size_t n) {
    double *scale = d->no_memory ? NULL : calloc(n, sizeof *scale);
    d->no_memory |= !scale;
    if (scale) {
        d->plan->node[node].lse_scale = scale;
        d->plan->node[node].n_group = n;
    }
    return scale;
}

size_t ba_draft_blocks(ba_draft *d, size_t local, bool no_places) {
    double place = 0;
    for (size_t i = 0; i < local; i++) {
        ba_draft_stored(d, i, 0);
    }
    size_t last = ba_draft_node(d, local, d->prompt->n_seg - local, 0, 0, (double)ba_draft_place(d, local));
    for (size_t i = 0; i < local; i++) {
        ba_draft_see(d, last, i, no_places ? 0 : place);
        place += (double)ba_draft_len(d, i);
    }
    return last;
}

ba_node *ba_draft_choosing(ba_draft *d, const ba_parts *p, ba_score score) {
    ba_node *last = ba_draft_at(d, ba_draft_blocks(d, p->question, false));
    for (size_t e = 0; e < p->context && !d->no_memory; e++) {
        last->edge[e].quota = 0;
    }
    last->choice = (ba_choice){.on = p->n_ctx > 0, .score = score, .window = 1};
    return last;
}

size_t ba_draft_floor(double share, size_t n) {
    return (size_t)floor(share * (double)n + 1e-9);
}

size_t ba_draft_ceil(double share, size_t n) {
    double x = ceil(share * (double)n - 1e-9);
    return x > 0 ? (size_t)x : 0;
}

size_t ba_draft_parallel(ba_draft *d, const ba_parts *p, bool see_prefix) {
    size_t prefix = ba_draft_prefix(d, p), first = d->plan->n_node;
    for (size_t i = 0; i < p->n_ctx; i++) {
        size_t context = ba_draft_stored(d, p->context + i, (double)p->prefix_len);
        ba_draft_see(d, context, see_prefix ? prefix : BA_NO_NODE, 0);
    }
    size_t question = ba_draft_node(d, p->question, p->n_q, 0, 0, (double)(p->prefix_len + p->longest));
    ba_draft_see(d, question, prefix, 0);
    for (size_t i = 0; i < p->n_ctx; i++) {
        ba_draft_see(d, question, first + i, (double)p->prefix_len);
    }
    return question;
}
