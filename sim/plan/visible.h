/* Which keys a row of a viewer sees, in closed form: an interval for every run of rows and every segment of keys. The
 * engine attends to these intervals, the cost model adds them up, and the printed mask draws them.
 *
 * A viewer's segments are the keys that its edges show, in order, and then its own keys: segment s < n_edge is edge s,
 * segment n_edge is the node itself. */
#ifndef BA_VISIBLE_H
#define BA_VISIBLE_H

#include "plan.h"

/* A run of rows of one work item: rows [first, first + n) of the node that segment `seg` belongs to, which the viewer
 * computes (again, if seg is an edge); or the n rows listed, ascending. */
typedef struct ba_run_of_rows {
    size_t seg, first, n;
    const size_t *row; /* NULL: first, first + 1, ...; else first is unused */
} ba_run_of_rows;

/* Masks besides the causal one: the sliding window of the layer (0: none), and the bottom-right mask of ba_choice. */
typedef struct ba_sight {
    size_t window;
    bool bottom_right;
    size_t before, rows; /* bottom_right: rows of the work item before this run, and in all */
} ba_sight;

/* These rows look at the first so many segments. */
size_t ba_visible_segments(const ba_node *viewer, const ba_run_of_rows *rows, const ba_sight *sight);

/* Keys of segment s: those that the edge shows; of the viewer's own, those up to the run's last row. */
size_t ba_visible_keys(const ba_node *viewer, const ba_run_of_rows *rows, size_t s);

/* Whether every row of the run sees every key of segment s: the same as ba_visible, without going row by row. */
bool ba_visible_fully(const ba_run_of_rows *rows, const ba_sight *sight, size_t s);

/* Row i of the run sees keys lo[i] <= j < hi[i], counted from the segment's first key; lo[i] = hi[i] if none. */
void ba_visible(const ba_plan *plan, const ba_node *viewer, const ba_run_of_rows *rows, const ba_sight *sight, size_t s,
                int32_t *lo, int32_t *hi);

#endif
