#include "batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Arrays grow while a batch is built, so what will be pointers are offsets until ba_batch_finish. */
typedef struct segment_part {
    ba_kv_segment seg;
    size_t hi, lo; /* offsets into bound; NONE: everything */
} segment_part;

enum { NONE = 0 }; /* offset 0 of bound is never used */

struct ba_batch_parts {
    segment_part *seg;
    ba_kv_segment *all, *all_local;
    struct {
        size_t seg0;
    } * job_seg;
    int32_t *bound, *token;
    size_t *write_token; /* [n_write] offset + 1 into token, 0 = contiguous */
    size_t n_seg, n_bound, n_token;
    size_t cap_seg, cap_bound, cap_token, cap_write, cap_write_token, cap_job, cap_job_seg, cap_place, cap_ids;
    bool local;
};

/* Makes room for `more` behind *n elements. */
static int grow(void *array, size_t *cap, size_t n, size_t more, size_t size) {
    size_t need, bytes;
    if (__builtin_add_overflow(n, more, &need)) {
        return -1;
    }
    if (need <= *cap) {
        return 0;
    }
    size_t to = *cap ? *cap : 16;
    while (to < need) {
        if (__builtin_mul_overflow(to, 2, &to)) {
            return -1;
        }
    }
    void *old, *grown;
    memcpy(&old, array, sizeof old);
    if (__builtin_mul_overflow(to, size, &bytes) || !(grown = realloc(old, bytes))) {
        return -1;
    }
    memcpy(array, &grown, sizeof grown);
    *cap = to;
    return 0;
}

ba_batch *ba_batch_new(void) {
    ba_batch *b = calloc(1, sizeof *b);
    struct ba_batch_parts *p = calloc(1, sizeof *p);
    if (!b || !p || grow(&p->bound, &p->cap_bound, 0, 1, sizeof *p->bound)) {
        free(b);
        free(p);
        return NULL;
    }
    p->n_bound = 1;
    b->parts = p;
    return b;
}

void ba_batch_free(ba_batch *b) {
    if (!b) {
        return;
    }
    struct ba_batch_parts *p = b->parts;
    free(p->seg);
    free(p->all);
    free(p->all_local);
    free(p->job_seg);
    free(p->bound);
    free(p->token);
    free(p->write_token);
    free(p);
    free(b->ids);
    free(b->write);
    free(b->job);
    free(b->job_local);
    free(b->place);
    free(b);
}

static size_t token_of(const ba_rows *g, size_t i) {
    return g->token ? g->token[i] : g->first + i;
}

/* Place of a group's row in the viewer's frame. */
static double place_of(const ba_look *look, const ba_rows *g, size_t i) {
    const ba_node *v = &look->plan->node[look->node];
    double j = (double)token_of(g, i);
    if (g->edge == BA_OWN) {
        return v->pos + j * v->step;
    }
    const ba_edge *e = &v->edge[g->edge];
    return e->at + j * look->plan->node[e->seen].step;
}

/* Rotations of a group's rows by their place less `origin`; *row0 is where they begin. */
static int add_places(ba_batch *b, const ba_look *look, const ba_rows *g, double origin, size_t *row0) {
    if (grow(&b->place, &b->parts->cap_place, b->n_place, g->n, sizeof *b->place)) {
        return -1;
    }
    *row0 = b->n_place;
    for (size_t i = 0; i < g->n; i++) {
        b->place[b->n_place++] = place_of(look, g, i) - origin;
    }
    return 0;
}

static int add_ids(ba_batch *b, const ba_rows *g) {
    if (grow(&b->ids, &b->parts->cap_ids, b->rows, g->n, sizeof *b->ids)) {
        return -1;
    }
    memcpy(b->ids + b->rows, g->ids, g->n * sizeof *b->ids);
    return 0;
}

static int add_write(ba_batch *b, ba_kv *kv, const ba_rows *g, size_t offset, size_t rot_row) {
    struct ba_batch_parts *p = b->parts;
    if (grow(&b->write, &p->cap_write, b->n_write, 1, sizeof *b->write) ||
        grow(&p->write_token, &p->cap_write_token, b->n_write, 1, sizeof *p->write_token)) {
        return -1;
    }
    size_t list = 0;
    if (g->token) {
        if (grow(&p->token, &p->cap_token, p->n_token, g->n, sizeof *p->token)) {
            return -1;
        }
        list = p->n_token + 1;
        for (size_t i = 0; i < g->n; i++) {
            p->token[p->n_token++] = (int32_t)(offset + g->token[i]);
        }
    }
    p->write_token[b->n_write] = list;
    b->write[b->n_write++] = (ba_kv_rows){kv, offset + g->first, NULL, b->rows, g->n, rot_row};
    return 0;
}

/* What a segment is for the rows of one group. */
typedef enum sight { ALL, PAST, BOTTOM_RIGHT } sight;

typedef struct shown {
    const ba_kv *kv;
    size_t first, n; /* keys [first, first + n) */
    double at, step; /* place of key 0, distance of keys */
    sight sight;
    size_t begin; /* BOTTOM_RIGHT: keys shown before this segment, rows before this group, keys and rows in all */
    size_t row, keys, rows;
} shown;

/* Keys of a segment that a row sees: [0, hi). */
static size_t visible(const shown *s, const ba_rows *g, size_t i) {
    size_t end = s->n;
    if (s->sight == PAST) {
        end = token_of(g, i) - s->first + 1;
    } else if (s->sight == BOTTOM_RIGHT) {
        size_t all = s->row + i + s->keys - s->rows + 1;
        end = all > s->begin ? all - s->begin : 0;
    }
    return end < s->n ? end : s->n;
}

/* First key of a segment that is less than `window` behind a row. */
static size_t window_begin(const shown *s, double place, size_t window) {
    double j = floor((place - (double)window - s->at) / s->step) + 1 - (double)s->first;
    return j <= 0 ? 0 : j >= (double)s->n ? s->n : (size_t)j;
}

static int add_segment(ba_batch *b, const ba_look *look, const ba_rows *g, const shown *s, const ba_edge *edge,
                       size_t rot_row) {
    struct ba_batch_parts *p = b->parts;
    if (grow(&p->seg, &p->cap_seg, p->n_seg, 1, sizeof *p->seg) ||
        grow(&p->bound, &p->cap_bound, p->n_bound, 2 * g->n, sizeof *p->bound)) {
        return -1;
    }
    segment_part *part = &p->seg[p->n_seg++];
    *part = (segment_part){.seg = {.kv = s->kv, .first = s->first, .n = s->n, .rot_row = rot_row, .score_scale = 1}};
    if (edge) {
        part->seg.score_scale = edge->inv_temp;
        part->seg.score_bias = edge->bias;
        part->seg.group = edge->group;
        part->seg.selectable = edge->selectable;
    }
    if (s->sight != ALL) {
        part->hi = p->n_bound;
        for (size_t i = 0; i < g->n; i++) {
            p->bound[p->n_bound++] = (int32_t)visible(s, g, i);
        }
    }
    if (look->window) {
        part->lo = p->n_bound;
        for (size_t i = 0; i < g->n; i++) {
            p->bound[p->n_bound++] = (int32_t)window_begin(s, place_of(look, g, i), look->window);
        }
    }
    return 0;
}

/* The segments of one group: edges in order, own keys last. Equal neighbouring origins share their rotations. */
static int add_segments(ba_batch *b, const ba_look *look, const ba_rows *g, size_t own_rot, bool bottom_right,
                        size_t row, size_t rows, size_t keys) {
    const ba_node *v = &look->plan->node[look->node];
    size_t begin = 0, rot_row = own_rot;
    double origin = g->edge == BA_OWN ? v->pos : v->edge[g->edge].at;
    for (size_t e = 0; e < v->n_edge; e++) {
        const ba_edge *edge = &v->edge[e];
        if (look->shown[e] && (bottom_right || e <= g->edge)) {
            sight how = bottom_right ? BOTTOM_RIGHT : e == g->edge ? PAST : ALL;
            shown s = {look->shown[e], edge->first, edge->n, edge->at, look->plan->node[edge->seen].step, how,
                       begin,          row,         keys,    rows};
            if (e == g->edge) {
                rot_row = own_rot;
                origin = edge->at;
            } else if (edge->at != origin && add_places(b, look, g, origin = edge->at, &rot_row)) {
                return -1;
            }
            if (add_segment(b, look, g, &s, edge, rot_row)) {
                return -1;
            }
        }
        begin += edge->n;
    }
    if (g->edge == BA_OWN || bottom_right) {
        size_t n = g->edge == BA_OWN ? token_of(g, g->n - 1) + 1 : v->n;
        shown s = {look->own, 0, n, v->pos, v->step, bottom_right ? BOTTOM_RIGHT : PAST, begin, row, keys, rows};
        if (g->edge == BA_OWN) {
            rot_row = own_rot;
        } else if (v->pos != origin && add_places(b, look, g, v->pos, &rot_row)) {
            return -1;
        }
        return add_segment(b, look, g, &s, NULL, rot_row);
    }
    return 0;
}

static int add_group(ba_batch *b, const ba_look *look, const ba_rows *g, bool bottom_right, size_t row, size_t rows,
                     size_t keys) {
    struct ba_batch_parts *p = b->parts;
    const ba_node *v = &look->plan->node[look->node];
    size_t own_rot, seg0 = p->n_seg;
    double origin = look->merged ? 0 : g->edge == BA_OWN ? v->pos : v->edge[g->edge].at;
    ba_kv *kv = g->edge == BA_OWN ? look->own : look->patch[g->edge];
    if (add_ids(b, g) || add_places(b, look, g, origin, &own_rot) || add_write(b, kv, g, look->merged, own_rot)) {
        return -1;
    }
    if (look->merged) {
        /* One segment of keys at absolute places, the node's own behind them. */
        ba_rows behind = {BA_OWN, look->merged + g->first, g->n, NULL, NULL};
        shown s = {.kv = look->own, .n = behind.first + g->n, .step = 1, .sight = PAST};
        if (add_segment(b, look, &behind, &s, NULL, own_rot)) {
            return -1;
        }
    } else if (add_segments(b, look, g, own_rot, bottom_right, row, rows, keys)) {
        return -1;
    }
    if (grow(&b->job, &p->cap_job, b->n_job, 1, sizeof *b->job) ||
        grow(&p->job_seg, &p->cap_job_seg, b->n_job, 1, sizeof *p->job_seg)) {
        return -1;
    }
    p->job_seg[b->n_job].seg0 = seg0;
    ba_attn_job *job = &b->job[b->n_job++];
    *job = (ba_attn_job){.row0 = b->rows,
                         .rows = g->n,
                         .n_seg = p->n_seg - seg0,
                         .group_lse_scale = v->lse_scale,
                         .n_groups = v->n_group};
    if (v->select_k && g->edge == BA_OWN) {
        job->select_k = v->select_k;
        job->select_top = v->select_top;
        job->select_shared = v->select_shared;
    }
    b->rows += g->n;
    return 0;
}

int ba_batch_add(ba_batch *b, const ba_look *look, const ba_rows *group, size_t n_group, bool bottom_right) {
    const ba_node *v = &look->plan->node[look->node];
    size_t rows = 0, keys = v->n, row = 0;
    for (size_t i = 0; i < n_group; i++) {
        rows += group[i].n;
    }
    for (size_t e = 0; e < v->n_edge; e++) {
        keys += v->edge[e].n;
    }
    b->parts->local = b->parts->local || look->window;
    for (size_t i = 0; i < n_group; i++) {
        if (group[i].n && add_group(b, look, &group[i], bottom_right, row, rows, keys)) {
            return -1;
        }
        row += group[i].n;
    }
    return 0;
}

int ba_batch_finish(ba_batch *b) {
    struct ba_batch_parts *p = b->parts;
    p->all = malloc((p->n_seg + 1) * sizeof *p->all);
    b->job_local = malloc((b->n_job + 1) * sizeof *b->job_local);
    p->all_local = p->local ? malloc((p->n_seg + 1) * sizeof *p->all_local) : NULL;
    if (!p->all || !b->job_local || (p->local && !p->all_local)) {
        return -1;
    }
    for (size_t i = 0; i < p->n_seg; i++) {
        const segment_part *part = &p->seg[i];
        p->all[i] = part->seg;
        p->all[i].hi = part->hi != NONE ? p->bound + part->hi : NULL;
        if (p->local) {
            p->all_local[i] = p->all[i];
            p->all_local[i].lo = p->bound + part->lo;
        }
    }
    for (size_t i = 0; i < b->n_job; i++) {
        b->job[i].seg = p->all + p->job_seg[i].seg0;
        b->job_local[i] = b->job[i];
        if (p->local) {
            b->job_local[i].seg = p->all_local + p->job_seg[i].seg0;
        }
    }
    for (size_t i = 0; i < b->n_write; i++) {
        b->write[i].token = p->write_token[i] ? p->token + p->write_token[i] - 1 : NULL;
    }
    return 0;
}
