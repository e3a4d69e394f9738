/* The work space of attention: what every thread needs for tiles, and what all threads share. */
#include "attention_parts.h"
#include "kernels/base/sizes.h"

#include <stdlib.h>

ba_attn_space *ba_attn_space_new(size_t threads) {
    ba_attn_space *space = ba_cpu_alloc(1, 1, 1, sizeof *space);
    if (!space || !(space->worker = ba_cpu_alloc(threads, 1, 1, sizeof *space->worker))) {
        free(space);
        return NULL;
    }
    space->threads = threads;
    return space;
}

static void worker_clear(ba_attn_worker *w) {
    free(w->q);
    free(w->s);
    free(w->o);
    free(w->ml);
    free(w->rescale);
    free(w->lo);
    free(w->hi);
    free(w->choice);
    *w = (ba_attn_worker){0};
}

void ba_attn_space_free(ba_attn_space *space) {
    if (!space) {
        return;
    }
    for (size_t i = 0; i < space->threads; i++) {
        worker_clear(&space->worker[i]);
    }
    free(space->worker);
    free(space->partial);
    free(space->vote);
    free(space);
}

int ba_attn_space_reserve(ba_attn_space *space, size_t dim) {
    if (dim <= space->dim) {
        return 0;
    }
    size_t stride;
    if (!ba_add_sizes(dim, 15, &stride)) {
        return -1;
    }
    space->dim = 0;
    for (size_t i = 0; i < space->threads; i++) {
        ba_attn_worker *w = &space->worker[i];
        worker_clear(w);
        w->q = ba_cpu_alloc(BA_TILE_ROWS, dim, 1, sizeof *w->q);
        w->s = ba_cpu_alloc(BA_TILE_ROWS, BA_KEYS, 1, sizeof *w->s);
        w->o = ba_cpu_alloc(3 * BA_TILE_ROWS, stride, 1, sizeof *w->o);
        w->ml = ba_cpu_alloc(3 * 2 * BA_TILE_ROWS, 1, 1, sizeof *w->ml);
        w->rescale = ba_cpu_alloc(BA_TILE_ROWS, 1, 1, sizeof *w->rescale);
        w->lo = ba_cpu_alloc(BA_TILE_ROWS, 1, 1, sizeof *w->lo);
        w->hi = ba_cpu_alloc(BA_TILE_ROWS, 1, 1, sizeof *w->hi);
        if (!w->q || !w->s || !w->o || !w->ml || !w->rescale || !w->lo || !w->hi) {
            return -1;
        }
    }
    space->dim = dim;
    return 0;
}

void *ba_attn_grow(void *at, size_t *have, size_t n, size_t size) {
    if (n <= *have) {
        return at;
    }
    free(at);
    at = ba_cpu_alloc(n, 1, 1, size);
    *have = at ? n : 0;
    return at;
}
