#include "pack.h"

#include "kernels/base/sizes.h"
#include "sim/base/grow.h"
#include "sim/plan/visible.h"

#include <stdlib.h>
#include <string.h>

/* Arrays move as they grow, so pointers are kept as offsets into `bound` until a mask is made; offset 0: none. */
typedef struct part {
    ba_train_segment seg; /* rot_row of an edge: counted from the first rotation after those of the keys */
    bool edge;
    size_t lo, hi, lo_local, hi_local;
} part;

struct ba_pack_parts {
    ba_train_job *job; /* seg unused: the segments of job i + 1 follow those of job i */
    part *seg;
    int32_t *bound;
    size_t n_job, n_seg, n_bound;
    size_t cap_job, cap_seg, cap_bound, cap_ids, cap_key_place, cap_place, cap_row, cap_target, cap_item;
};

ba_pack *ba_pack_new(void) {
    ba_pack *pack = calloc(1, sizeof *pack);
    if (!pack || !(pack->parts = calloc(1, sizeof *pack->parts)) ||
        ba_grow(&pack->parts->bound, &pack->parts->cap_bound, 1, sizeof(int32_t))) {
        ba_pack_free(pack);
        return NULL;
    }
    pack->parts->n_bound = 1;
    return pack;
}

void ba_pack_free(ba_pack *pack) {
    if (!pack) {
        return;
    }
    if (pack->parts) {
        free(pack->parts->job);
        free(pack->parts->seg);
        free(pack->parts->bound);
        free(pack->parts);
    }
    free(pack->ids);
    free(pack->key_place);
    free(pack->place);
    free(pack->target_row);
    free(pack->target);
    free(pack->item);
    free(pack);
}

int ba_pack_check(const ba_plan *plan, char err[BA_ERR_LEN]) {
    if (plan->keep_paths) {
        return ba_fail(err, "mode %s drops paths by their scores, which is no differentiable choice", plan->mode);
    }
    for (size_t i = 0; i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        if (v->choice.on || ba_node_refreshed(v)) {
            return ba_fail(err, "mode %s computes rows of a passage twice; the mask of training has each row once",
                           plan->mode);
        }
        if (v->select_k) {
            return ba_fail(err, "mode %s selects passages while it attends, which is no differentiable choice",
                           plan->mode);
        }
        if (v->n_group) {
            return ba_fail(err, "mode %s scales the weight of groups of passages; it is meant for untrained models",
                           plan->mode);
        }
    }
    return 0;
}

/* Rotations of a node's n rows, the first by `at` positions; *row0: the first rotation. */
static int add_places(ba_pack *pack, double at, double step, size_t n, size_t *row0) {
    if (ba_grow(&pack->place, &pack->parts->cap_place, pack->n_place + n, sizeof *pack->place)) {
        return -1;
    }
    *row0 = pack->n_place;
    for (size_t i = 0; i < n; i++) {
        pack->place[pack->n_place++] = at + (double)i * step;
    }
    return 0;
}

static int add_bound(ba_pack *pack, const int32_t *from, size_t n, size_t *offset) {
    struct ba_pack_parts *p = pack->parts;
    if (ba_grow(&p->bound, &p->cap_bound, p->n_bound + n, sizeof *p->bound)) {
        return -1;
    }
    memcpy(p->bound + p->n_bound, from, n * sizeof *from);
    *offset = p->n_bound;
    p->n_bound += n;
    return 0;
}

/* Limits of what the viewer's rows see of segment s; lo and hi: [rows] scratch. */
static int add_limits(ba_pack *pack, const ba_plan *plan, const ba_node *viewer, size_t s, size_t window, part *to,
                      int32_t *lo, int32_t *hi) {
    const ba_run_of_rows rows = {viewer->n_edge, 0, viewer->n, NULL};
    const struct {
        ba_sight sight;
        size_t *lo, *hi;
    } kind[] = {{{0}, &to->lo, &to->hi}, {{.window = window}, &to->lo_local, &to->hi_local}};
    for (size_t i = 0; i < (window ? 2 : 1); i++) {
        if (ba_visible_fully(&rows, &kind[i].sight, s)) {
            continue;
        }
        ba_visible(plan, viewer, &rows, &kind[i].sight, s, lo, hi);
        if (add_bound(pack, lo, viewer->n, kind[i].lo) || add_bound(pack, hi, viewer->n, kind[i].hi)) {
            return -1;
        }
    }
    return 0;
}

/* The rotations of an earlier edge of the viewer at the same place; SIZE_MAX: there is none. */
static size_t known_rotation(const ba_node *viewer, size_t e, const part *seg) {
    for (size_t i = 0; i < e; i++) {
        if (viewer->edge[i].at == viewer->edge[e].at) {
            return seg[i].seg.rot_row;
        }
    }
    return SIZE_MAX;
}

/* What one node's rows see. node_row: first row of every node in the pack; scratch [2, rows]. */
static int add_job(ba_pack *pack, const ba_plan *plan, const ba_node *viewer, const size_t *node_row, size_t row0,
                   size_t window, int32_t *scratch) {
    struct ba_pack_parts *p = pack->parts;
    size_t first = p->n_seg;
    if (ba_grow(&p->seg, &p->cap_seg, p->n_seg + viewer->n_edge + 1, sizeof *p->seg) ||
        ba_grow(&p->job, &p->cap_job, p->n_job + 1, sizeof *p->job)) {
        return -1;
    }
    for (size_t s = 0; s <= viewer->n_edge; s++) {
        part *to = &p->seg[p->n_seg];
        *to = (part){.seg = {.key0 = row0, .n = viewer->n, .rot_row = row0, .score_scale = 1}};
        if (s < viewer->n_edge) {
            const ba_edge *e = &viewer->edge[s];
            size_t rot = known_rotation(viewer, s, p->seg + first);
            if (rot == SIZE_MAX && add_places(pack, viewer->pos - e->at, viewer->step, viewer->n, &rot)) {
                return -1;
            }
            to->edge = true;
            to->seg = (ba_train_segment){node_row[e->seen] + e->first, e->n, rot, NULL, NULL, e->inv_temp, e->bias};
        }
        if (add_limits(pack, plan, viewer, s, window, to, scratch, scratch + viewer->n)) {
            return -1;
        }
        p->n_seg++;
    }
    p->job[p->n_job++] = (ba_train_job){row0, viewer->n, NULL, viewer->n_edge + 1};
    return 0;
}

/* Rows of a node: its tokens, or those of the answer that follow its `before` tokens. */
static int add_rows(ba_pack *pack, const int32_t *ids, size_t n, size_t before, double step) {
    if (ba_grow(&pack->ids, &pack->parts->cap_ids, pack->rows + n, sizeof *pack->ids) ||
        ba_grow(&pack->key_place, &pack->parts->cap_key_place, pack->rows + n, sizeof *pack->key_place)) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        pack->key_place[pack->rows] = (double)(before + i) * step;
        pack->ids[pack->rows++] = ids[i];
    }
    return 0;
}

static int add_targets(ba_pack *pack, size_t row0, const int32_t *answer, size_t n) {
    if (ba_grow(&pack->target_row, &pack->parts->cap_row, pack->n_target + n, sizeof *pack->target_row) ||
        ba_grow(&pack->target, &pack->parts->cap_target, pack->n_target + n, sizeof *pack->target)) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        pack->target_row[pack->n_target] = row0 + i;
        pack->target[pack->n_target++] = answer[i];
    }
    return 0;
}

/* Rows of a node, with those of the answer if it is the last: all but the answer's last token, which predicts nothing.
 */
static size_t node_rows(const ba_plan *plan, size_t node, size_t answer) {
    return plan->node[node].n + (node + 1 == plan->n_node ? answer - 1 : 0);
}

/* Rows of all nodes; node_row[i]: where those of node i begin. */
static int add_nodes(ba_pack *pack, const ba_plan *plan, const int32_t *answer, size_t n, size_t *node_row) {
    for (size_t i = 0; i < plan->n_node; i++) {
        const ba_node *v = &plan->node[i];
        size_t more = node_rows(plan, i, n) - v->n;
        node_row[i] = pack->rows;
        if (add_rows(pack, v->ids, v->n, 0, v->step) || add_rows(pack, answer, more, v->n, v->step)) {
            return -1;
        }
    }
    return 0;
}

/* What the rows of all nodes see. */
static int add_jobs(ba_pack *pack, const ba_plan *plan, size_t answer, size_t window, const size_t *node_row) {
    size_t longest = 0;
    for (size_t i = 0; i < plan->n_node; i++) {
        longest = ba_max_size(longest, node_rows(plan, i, answer));
    }
    int32_t *scratch = malloc(2 * longest * sizeof *scratch);
    int rc = scratch ? 0 : -1;
    if (rc) {
        goto done;
    }
    for (size_t i = 0; i < plan->n_node; i++) {
        ba_node v = plan->node[i];
        v.n = node_rows(plan, i, answer);
        rc = add_job(pack, plan, &v, node_row, node_row[i], window, scratch);
        if (rc) {
            goto done;
        }
    }
done:
    free(scratch);
    return rc;
}

int ba_pack_add(ba_pack *pack, const ba_plan *plan, const int32_t *answer, size_t n, size_t window, size_t teacher) {
    size_t row0 = pack->rows, *node_row = calloc(plan->n_node, sizeof *node_row);
    int rc = -1;
    if (!node_row || ba_grow(&pack->item, &pack->parts->cap_item, pack->n_item + 1, sizeof *pack->item) ||
        add_nodes(pack, plan, answer, n, node_row) || add_jobs(pack, plan, n, window, node_row) ||
        add_targets(pack, pack->rows - n, answer, n)) {
        goto done;
    }
    pack->item[pack->n_item++] = (ba_pack_item){
        .row0 = row0, .rows = pack->rows - row0, .target0 = pack->n_target - n, .n = n, .teacher = teacher};
    rc = 0;
done:
    free(node_row);
    return rc;
}

ba_train_mask *ba_pack_mask(const ba_pack *pack, const ba_train_net *net, bool local) {
    const struct ba_pack_parts *p = pack->parts;
    ba_train_segment *seg = malloc((p->n_seg + 1) * sizeof *seg);
    ba_train_job *job = malloc((p->n_job + 1) * sizeof *job);
    ba_train_mask *mask = NULL;
    if (!seg || !job) {
        goto done;
    }
    for (size_t s = 0; s < p->n_seg; s++) {
        size_t lo = local ? p->seg[s].lo_local : p->seg[s].lo, hi = local ? p->seg[s].hi_local : p->seg[s].hi;
        seg[s] = p->seg[s].seg;
        seg[s].rot_row += p->seg[s].edge ? pack->rows : 0;
        seg[s].lo = lo ? p->bound + lo : NULL;
        seg[s].hi = hi ? p->bound + hi : NULL;
    }
    for (size_t j = 0, s = 0; j < p->n_job; j++) {
        job[j] = p->job[j];
        job[j].seg = seg + s;
        s += job[j].n_seg;
    }
    mask = net->ops->mask_new(net->be, job, p->n_job, pack->rows, pack->rows + pack->n_place);
done:
    free(seg);
    free(job);
    return mask;
}
