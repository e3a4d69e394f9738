/* Does oneDNN compute rows independently of each other? */
#include "kernels/backends.h"

#ifdef BA_HAVE_DNNL
#include "onednn_inside.h"

#include <stdlib.h>
#include <string.h>

enum { PROBE_ROWS = BA_DNN_TILE_ROWS, PROBE_DEPTH = 400 };

typedef struct probe {
    uint16_t *x, *panel; /* [PROBE_ROWS, PROBE_DEPTH], one panel */
    float *whole, *out;  /* [PROBE_ROWS, BA_DNN_NARROW] of one call, of several */
} probe;

/* Numbers in (-1, 1) that make every rounding count. */
static void probe_fill(uint16_t *x, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = ba_bf16_round((float)(int32_t)seed * 0x1p-31f);
    }
}

/* Rows in calls of several sizes, from several places, against one call for all. 0, or -1: it cannot be done. */
static int compare_calls(ba_dnn *be, ba_dnn_shape *s, const probe *p) {
    static const size_t counts[] = {1, 8, 24, 56, 128, 200};
    be->rows_apart = true;
    int status = ba_dnn_run(be, s, BA_DNN_PRIMITIVES - 1, 0, p->x, p->panel, p->whole);
    for (size_t i = 0; i < sizeof counts / sizeof *counts && status == 0; i++) {
        size_t rows = counts[i], first = (i * 7 + 1) % (PROBE_ROWS - rows + 1), index = ba_dnn_index(rows);
        if (ba_dnn_make(be, s, index) || ba_dnn_run(be, s, index, 0, p->x + first * PROBE_DEPTH, p->panel, p->out)) {
            return -1;
        }
        be->rows_apart =
            be->rows_apart && !memcmp(p->whole + first * BA_DNN_NARROW, p->out, rows * BA_DNN_NARROW * sizeof *p->out);
    }
    return status;
}

int ba_dnn_probe_rows(ba_dnn *be) {
    ba_dnn_shape *s = ba_dnn_find_shape(be, PROBE_DEPTH, BA_DNN_NARROW);
    if (!s) {
        return -1;
    }
    probe p = {ba_cpu_alloc(PROBE_ROWS, PROBE_DEPTH, 1, sizeof *p.x), ba_cpu_alloc(s->panel_size, 1, 1, sizeof *p.x),
               ba_cpu_alloc(PROBE_ROWS, BA_DNN_NARROW, 1, sizeof(float)),
               ba_cpu_alloc(PROBE_ROWS, BA_DNN_NARROW, 1, sizeof(float))};
    int status = -1;
    if (p.x && p.panel && p.whole && p.out) {
        probe_fill(p.x, (size_t)PROBE_ROWS * PROBE_DEPTH, 1);
        probe_fill(p.panel, s->panel_size, 2);
        status = compare_calls(be, s, &p);
    }
    free(p.x);
    free(p.panel);
    free(p.whole);
    free(p.out);
    return status;
}
#endif
