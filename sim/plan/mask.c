/* The mask of a plan, row by row. */
#include "visible.h"

#include <stdlib.h>
#include <string.h>

/* The node that computes a row last, and the segment of it that the row belongs to. */
typedef struct author {
    size_t viewer, seg;
} author;

static author author_of(const ba_plan *plan, size_t node, size_t row) {
    for (size_t v = plan->n_node; v-- > node + 1;) {
        const ba_node *viewer = &plan->node[v];
        for (size_t e = viewer->n_edge; e-- > 0;) {
            const ba_edge *edge = &viewer->edge[e];
            if (edge->seen == node && row >= edge->first && row - edge->first < ba_edge_refreshed(viewer, edge)) {
                return (author){v, e};
            }
        }
    }
    return (author){node, plan->node[node].n_edge};
}

/* Flags of one row; column[i] is the column of node i's first key. */
static void fill_row(const ba_plan *plan, const size_t *column, author who, size_t row, uint8_t *flags) {
    const ba_node *viewer = &plan->node[who.viewer];
    ba_run_of_rows one = {.seg = who.seg, .first = row, .n = 1};
    ba_sight plain = {0};
    for (size_t s = 0; s < ba_visible_segments(viewer, &one, &plain); s++) {
        size_t seen = s < viewer->n_edge ? viewer->edge[s].seen : who.viewer;
        size_t first = s < viewer->n_edge ? viewer->edge[s].first : 0;
        int32_t lo, hi;
        ba_visible(plan, viewer, &one, &plain, s, &lo, &hi);
        for (size_t j = first + (size_t)lo; j < first + (size_t)hi; j++) {
            if (j >= plan->node[seen].skip) {
                flags[column[seen] + j - plan->node[seen].skip] = 1;
            }
        }
    }
}

size_t ba_plan_mask(const ba_plan *plan, int (*emit)(void *arg, size_t row, const uint8_t *flags, size_t n),
                    void *arg) {
    size_t n = 0, row = 0;
    size_t *column = calloc(plan->n_node, sizeof *column);
    for (size_t i = 0; column && i < plan->n_node; i++) {
        column[i] = n;
        n += plan->node[i].n - plan->node[i].skip;
    }
    uint8_t *flags = malloc(n ? n : 1);
    for (size_t i = 0; column && flags && i < plan->n_node; i++) {
        for (size_t r = plan->node[i].skip; r < plan->node[i].n; r++) {
            memset(flags, 0, n);
            fill_row(plan, column, author_of(plan, i, r), r, flags);
            if (emit(arg, row++, flags, n)) {
                goto done;
            }
        }
    }
done:
    free(column);
    free(flags);
    return row;
}
