#include "batch.h"

#include "kernels/base/sizes.h"
#include "sim/base/grow.h"

#include <stdlib.h>
#include <string.h>

/* Arrays move as they grow, so pointers into them are kept as offsets until ba_batch_finish. */
typedef struct segment_part {
    ba_kv_segment seg;
    size_t hi, lo; /* offsets into bound; hi NONE: every key */
} segment_part;

enum { NONE = 0 }; /* offset 0 of bound is never used */

struct ba_batch_parts {
    segment_part *seg;
    ba_kv_segment *all, *all_local;
    size_t *job_seg; /* [n_job] first segment */
    int32_t *bound, *token;
    size_t *write_token; /* [n_write] offset + 1 into token, 0 = contiguous */
    size_t n_seg, n_bound, n_token;
    size_t cap_seg, cap_bound, cap_token, cap_write, cap_write_token, cap_job, cap_job_seg, cap_place, cap_ids;
    bool local;
};

/* Room for `more` elements after the first n. */
static int grow(void *array, size_t *cap, size_t n, size_t more, size_t size) {
    size_t need;
    return ba_add_sizes(n, more, &need) ? ba_grow(array, cap, need, size) : -1;
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

static size_t token_of(const ba_run_of_rows *run, size_t i) {
    return run->row ? run->row[i] : run->first + i;
}

static bool is_own(const ba_look *look, const ba_run_of_rows *run) {
    return run->seg == look->plan->node[look->node].n_edge;
}

/* The place of key 0 of segment s in the viewer's frame. */
static double origin_of(const ba_look *look, size_t s) {
    const ba_node *v = &look->plan->node[look->node];
    return s < v->n_edge ? v->edge[s].at : v->pos;
}

/* Rotations of a run's rows by their places minus `origin`; *row0 is the first of them. */
static int add_places(ba_batch *b, const ba_look *look, const ba_run_of_rows *run, double origin, size_t *row0) {
    const ba_node *v = &look->plan->node[look->node];
    double at = origin_of(look, run->seg) - origin;
    double step = is_own(look, run) ? v->step : look->plan->node[v->edge[run->seg].seen].step;
    if (grow(&b->place, &b->parts->cap_place, b->n_place, run->n, sizeof *b->place)) {
        return -1;
    }
    *row0 = b->n_place;
    for (size_t i = 0; i < run->n; i++) {
        b->place[b->n_place++] = at + (double)token_of(run, i) * step;
    }
    return 0;
}

static int add_ids(ba_batch *b, const ba_rows *rows) {
    if (grow(&b->ids, &b->parts->cap_ids, b->rows, rows->run.n, sizeof *b->ids)) {
        return -1;
    }
    memcpy(b->ids + b->rows, rows->ids, rows->run.n * sizeof *b->ids);
    return 0;
}

static int add_write(ba_batch *b, ba_kv *kv, const ba_run_of_rows *run, size_t offset, size_t rot_row) {
    struct ba_batch_parts *p = b->parts;
    if (grow(&b->write, &p->cap_write, b->n_write, 1, sizeof *b->write) ||
        grow(&p->write_token, &p->cap_write_token, b->n_write, 1, sizeof *p->write_token)) {
        return -1;
    }
    size_t list = 0;
    if (run->row) {
        if (grow(&p->token, &p->cap_token, p->n_token, run->n, sizeof *p->token)) {
            return -1;
        }
        list = p->n_token + 1;
        for (size_t i = 0; i < run->n; i++) {
            p->token[p->n_token++] = (int32_t)(offset + run->row[i]);
        }
    }
    p->write_token[b->n_write] = list;
    b->write[b->n_write++] = (ba_kv_rows){kv, offset + run->first, NULL, b->rows, run->n, rot_row};
    return 0;
}

/* Appends a segment, with room for lo and hi of n rows. NULL: out of memory. */
static segment_part *new_segment(ba_batch *b, size_t n) {
    struct ba_batch_parts *p = b->parts;
    if (grow(&p->seg, &p->cap_seg, p->n_seg, 1, sizeof *p->seg) ||
        grow(&p->bound, &p->cap_bound, p->n_bound, 2 * n, sizeof *p->bound)) {
        return NULL;
    }
    return &p->seg[p->n_seg++];
}

static int add_segment(ba_batch *b, const ba_look *look, const ba_run_of_rows *run, const ba_sight *sight, size_t s,
                       size_t rot_row) {
    const ba_node *v = &look->plan->node[look->node];
    struct ba_batch_parts *p = b->parts;
    segment_part *part = new_segment(b, run->n);
    if (!part) {
        return -1;
    }
    *part =
        (segment_part){.seg = {.kv = look->own, .n = ba_visible_keys(v, run, s), .rot_row = rot_row, .score_scale = 1}};
    if (s < v->n_edge) {
        const ba_edge *e = &v->edge[s];
        part->seg.kv = look->shown[s];
        part->seg.first = e->first;
        part->seg.score_scale = e->inv_temp;
        part->seg.score_bias = e->bias;
        part->seg.group = e->group;
        part->seg.selectable = e->selectable;
    }
    int32_t *lo = p->bound + p->n_bound, *hi = lo + run->n;
    ba_visible(look->plan, v, run, sight, s, lo, hi);
    part->lo = p->n_bound;
    part->hi = s == run->seg || sight->bottom_right ? p->n_bound + run->n : NONE;
    p->n_bound += 2 * run->n;
    return 0;
}

/* The segments of one run, in order. Neighbours with one origin share their rotations. own_rot: those by which the
 * run's own keys are rotated, which serve the segment that these rows belong to as well. */
static int add_segments(ba_batch *b, const ba_look *look, const ba_run_of_rows *run, const ba_sight *sight,
                        size_t own_rot) {
    const ba_node *v = &look->plan->node[look->node];
    double origin = origin_of(look, run->seg);
    size_t rot_row = own_rot, n = ba_visible_segments(v, run, sight);
    for (size_t s = 0; s < n; s++) {
        if (s < v->n_edge && !look->shown[s]) {
            continue;
        }
        if (s == run->seg) {
            rot_row = own_rot;
        } else if (origin_of(look, s) != origin && add_places(b, look, run, origin_of(look, s), &rot_row)) {
            return -1;
        }
        origin = origin_of(look, s);
        if (add_segment(b, look, run, sight, s, rot_row)) {
            return -1;
        }
    }
    return 0;
}

/* One segment: merged keys at absolute places, then the node's own. */
static int add_merged(ba_batch *b, const ba_look *look, const ba_run_of_rows *run, size_t rot_row) {
    struct ba_batch_parts *p = b->parts;
    segment_part *part = new_segment(b, run->n);
    if (!part) {
        return -1;
    }
    size_t before = look->merged + run->first;
    *part = (segment_part){.seg = {.kv = look->own, .n = before + run->n, .rot_row = rot_row, .score_scale = 1},
                           .hi = p->n_bound};
    for (size_t i = 0; i < run->n; i++) {
        p->bound[p->n_bound++] = (int32_t)(before + i + 1);
    }
    return 0;
}

static int add_run(ba_batch *b, const ba_look *look, const ba_rows *rows, const ba_sight *sight) {
    struct ba_batch_parts *p = b->parts;
    const ba_node *v = &look->plan->node[look->node];
    const ba_run_of_rows *run = &rows->run;
    size_t own_rot, seg0 = p->n_seg;
    bool own = is_own(look, run);
    if (add_ids(b, rows) || add_places(b, look, run, look->merged ? 0 : origin_of(look, run->seg), &own_rot) ||
        add_write(b, own ? look->own : look->patch[run->seg], run, look->merged, own_rot)) {
        return -1;
    }
    if (look->merged ? add_merged(b, look, run, own_rot) : add_segments(b, look, run, sight, own_rot)) {
        return -1;
    }
    if (grow(&b->job, &p->cap_job, b->n_job, 1, sizeof *b->job) ||
        grow(&p->job_seg, &p->cap_job_seg, b->n_job, 1, sizeof *p->job_seg)) {
        return -1;
    }
    p->job_seg[b->n_job] = seg0;
    ba_attn_job *job = &b->job[b->n_job++];
    *job = (ba_attn_job){.row0 = b->rows,
                         .rows = run->n,
                         .n_seg = p->n_seg - seg0,
                         .group_lse_scale = v->lse_scale,
                         .n_groups = v->n_group};
    if (v->select_k && own) {
        job->select_k = v->select_k;
        job->select_top = v->select_top;
        job->select_shared = v->select_shared;
    }
    b->rows += run->n;
    return 0;
}

int ba_batch_add(ba_batch *b, const ba_look *look, const ba_rows *rows, size_t n_runs, bool bottom_right) {
    ba_sight sight = {.window = look->window, .bottom_right = bottom_right};
    for (size_t i = 0; i < n_runs; i++) {
        sight.rows += rows[i].run.n;
    }
    b->parts->local = b->parts->local || look->window;
    for (size_t i = 0; i < n_runs; i++) {
        if (rows[i].run.n && add_run(b, look, &rows[i], &sight)) {
            return -1;
        }
        sight.before += rows[i].run.n;
    }
    return 0;
}

int ba_batch_finish(ba_batch *b) {
    struct ba_batch_parts *p = b->parts;
    p->all = malloc((p->n_seg + 1) * sizeof *p->all);
    p->all_local = malloc((p->n_seg + 1) * sizeof *p->all_local);
    b->job_local = malloc((b->n_job + 1) * sizeof *b->job_local);
    if (!p->all || !p->all_local || !b->job_local) {
        return -1;
    }
    for (size_t i = 0; i < p->n_seg; i++) {
        const segment_part *part = &p->seg[i];
        p->all[i] = part->seg;
        p->all[i].hi = part->hi != NONE ? p->bound + part->hi : NULL;
        p->all_local[i] = p->all[i];
        p->all_local[i].lo = p->local ? p->bound + part->lo : NULL;
    }
    for (size_t i = 0; i < b->n_job; i++) {
        b->job_local[i] = b->job[i];
        b->job[i].seg = p->all + p->job_seg[i];
        b->job_local[i].seg = p->all_local + p->job_seg[i];
    }
    for (size_t i = 0; i < b->n_write; i++) {
        b->write[i].token = p->write_token[i] ? p->token + p->write_token[i] - 1 : NULL;
    }
    return 0;
}
