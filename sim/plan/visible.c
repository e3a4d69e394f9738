#include "visible.h"

#include <math.h>
#include <stddef.h>

typedef struct segment {
    double at, step; /* position of key 0 of its node, distance between keys */
    size_t first;
} segment;

static segment segment_of(const ba_plan *plan, const ba_node *viewer, size_t s) {
    if (s == viewer->n_edge) {
        return (segment){viewer->pos, viewer->step, 0};
    }
    const ba_edge *e = &viewer->edge[s];
    return (segment){e->at, plan->node[e->seen].step, e->first};
}

static size_t row_at(const ba_run_of_rows *rows, size_t i) {
    return rows->row ? rows->row[i] : rows->first + i;
}

size_t ba_visible_segments(const ba_node *viewer, const ba_run_of_rows *rows, const ba_sight *sight) {
    return (sight->bottom_right ? viewer->n_edge : rows->seg) + 1;
}

size_t ba_visible_keys(const ba_node *viewer, const ba_run_of_rows *rows, size_t s) {
    if (s < viewer->n_edge) {
        return viewer->edge[s].n;
    }
    return rows->seg == s ? row_at(rows, rows->n - 1) + 1 : viewer->n;
}

bool ba_visible_fully(const ba_run_of_rows *rows, const ba_sight *sight, size_t s) {
    return s != rows->seg && !sight->window && !sight->bottom_right;
}

/* The bottom-right mask as one number: row i of the run sees keys [0, i + result) of segment s. */
static ptrdiff_t bottom_right_end(const ba_node *viewer, const ba_sight *sight, size_t s) {
    size_t keys = viewer->n, before = 0;
    for (size_t e = 0; e < viewer->n_edge; e++) {
        keys += viewer->edge[e].n;
        before += e < s ? viewer->edge[e].n : 0;
    }
    return (ptrdiff_t)(sight->before + keys - sight->rows + 1) - (ptrdiff_t)before;
}

/* The first of n keys whose distance before `place` is less than `window`. */
static size_t window_begin(segment seg, size_t n, double place, size_t window) {
    double j = floor((place - (double)window - seg.at) / seg.step) + 1 - (double)seg.first;
    return j <= 0 ? 0 : j >= (double)n ? n : (size_t)j;
}

void ba_visible(const ba_plan *plan, const ba_node *viewer, const ba_run_of_rows *rows, const ba_sight *sight, size_t s,
                int32_t *lo, int32_t *hi) {
    segment seg = segment_of(plan, viewer, s), own = segment_of(plan, viewer, rows->seg);
    size_t n = ba_visible_keys(viewer, rows, s);
    ptrdiff_t corner = sight->bottom_right ? bottom_right_end(viewer, sight, s) : 0;
    for (size_t i = 0; i < rows->n; i++) {
        size_t row = row_at(rows, i), end = n, begin = 0;
        if (sight->bottom_right) {
            ptrdiff_t e = (ptrdiff_t)i + corner;
            end = e > 0 ? (size_t)e : 0;
        } else if (s == rows->seg) {
            end = row - seg.first + 1;
        }
        if (sight->window) {
            begin = window_begin(seg, n, own.at + (double)row * own.step, sight->window);
        }
        end = end < n ? end : n;
        hi[i] = (int32_t)end;
        lo[i] = (int32_t)(begin < end ? begin : end);
    }
}
