#include "work.h"

#include "experiments/cli/announce.h"
#include "experiments/mpi/ranks.h"
#include "sim/base/grow.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int ba_work_add(ba_work_list *w, const char *task, uint64_t index, uint64_t hash, double flops) {
    if (ba_grow(&w->item, &w->cap, w->n + 1, sizeof *w->item)) {
        return -1;
    }
    ba_work_item *item = &w->item[w->n];
    *item = (ba_work_item){.index = index, .hash = hash, .flops = flops, .group = w->n};
    snprintf(item->task, sizeof item->task, "%s", task);
    w->n++;
    return 0;
}

int ba_work_add_prompt(ba_work_list *w, const ba_session *b, const ba_prompt *prompt, const char *const *mode,
                       size_t n_mode, const char *task, uint64_t index) {
    double flops = 0;
    uint64_t hash = 0;
    for (size_t i = 0; i < prompt->n_seg; i++) {
        hash = XXH3_64bits_withSeed(prompt->seg[i].ids, prompt->seg[i].n * sizeof *prompt->seg[i].ids, hash + i);
    }
    for (size_t m = 0; m < n_mode; m++) {
        flops += ba_prompt_flops(b, prompt, mode[m]);
    }
    if (ba_work_add(w, task, index, hash, flops)) {
        return -1;
    }
    for (size_t i = 0; i < prompt->n_seg; i++) {
        const ba_segment *seg = &prompt->seg[i];
        if (seg->role != BA_ROLE_PASSAGE) {
            continue;
        }
        if (ba_grow(&w->block, &w->block_cap, w->n_block + 1, sizeof *w->block)) {
            return -1;
        }
        w->block[w->n_block++] = (ba_work_block){XXH3_64bits(seg->ids, seg->n * sizeof *seg->ids), w->n - 1};
    }
    return 0;
}

void ba_work_free(ba_work_list *w) {
    free(w->item);
    free(w->block);
    free(w->order);
    *w = (ba_work_list){0};
}

/* ---- groups ---- */

static int by_hash(const void *a, const void *b) {
    const ba_work_block *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash) : (x->item > y->item) - (x->item < y->item);
}

static size_t root(ba_work_list *w, size_t i) {
    while (w->item[i].group != i) {
        i = w->item[i].group = w->item[w->item[i].group].group;
    }
    return i;
}

/* Joins items that have a block in common, unless the group would become more than `most`. cost: [n] of the groups, at
 * their first items. */
static void join_groups(ba_work_list *w, double *cost, double most) {
    if (w->n_block) {
        qsort(w->block, w->n_block, sizeof *w->block, by_hash);
    }
    for (size_t i = 1; i < w->n_block; i++) {
        if (w->block[i].hash != w->block[i - 1].hash) {
            continue;
        }
        size_t a = root(w, w->block[i - 1].item), b = root(w, w->block[i].item);
        if (a != b && cost[a] + cost[b] <= most) {
            size_t low = a < b ? a : b, high = a < b ? b : a;
            w->item[high].group = low;
            cost[low] += cost[high];
        }
    }
    for (size_t i = 0; i < w->n; i++) {
        w->item[i].group = root(w, i);
    }
}

/* ---- who does what ---- */

typedef struct place {
    double cost; /* of the whole group */
    size_t group, item;
} place;

static int costliest_first(const void *a, const void *b) {
    const place *x = a, *y = b;
    return x->cost != y->cost     ? (x->cost < y->cost) - (x->cost > y->cost)
           : x->group != y->group ? (x->group > y->group) - (x->group < y->group)
                                  : (x->item > y->item) - (x->item < y->item);
}

/* Each group to the shard that has least so far. load: [count] */
static void deal(ba_work_list *w, const place *p, double *load) {
    const ba_shard *s = &w->shard;
    size_t owner = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (i == 0 || p[i].group != p[i - 1].group) {
            owner = 0;
            for (size_t k = 1; k < s->count; k++) {
                owner = load[k] < load[owner] ? k : owner;
            }
            load[owner] += p[i].cost;
        }
        if (s->ranks || owner == s->index) {
            w->order[w->n_order++] = p[i].item;
        }
    }
}

static uint64_t hash_list(const ba_work_list *w, const char *modes) {
    uint64_t h = XXH3_64bits(modes, strlen(modes));
    for (size_t i = 0; i < w->n; i++) {
        const ba_work_item *item = &w->item[i];
        const uint64_t part[] = {XXH3_64bits(item->task, strlen(item->task)), item->index, item->hash};
        h = XXH3_64bits_withSeed(part, sizeof part, h);
    }
    return h;
}

int ba_work_plan(ba_work_list *w, const ba_shard *shard, const char *modes) {
    enum { GROUPS_A_SHARD = 4 };
    const size_t count = shard->count ? shard->count : 1;
    double *cost = calloc(w->n + 1, sizeof *cost), *load = calloc(count, sizeof *load), all = 0;
    place *p = calloc(w->n + 1, sizeof *p);
    w->order = calloc(w->n + 1, sizeof *w->order);
    int rc = cost && load && p && w->order ? 0 : -1;
    if (!rc) {
        w->shard = *shard;
        w->hash = hash_list(w, modes);
        for (size_t i = 0; i < w->n; i++) {
            all += cost[i] = w->item[i].flops;
        }
        join_groups(w, cost, all / (double)(GROUPS_A_SHARD * count));
        for (size_t i = 0; i < w->n; i++) {
            p[i] = (place){cost[w->item[i].group], w->item[i].group, i};
        }
        qsort(p, w->n, sizeof *p, costliest_first);
        deal(w, p, load);
    }
    free(p);
    free(load);
    free(cost);
    return rc;
}

int ba_work_next(ba_work_list *w, size_t *item, char err[BA_ERR_LEN]) {
    *item = SIZE_MAX;
    for (;;) {
        uint64_t ticket = w->at++;
        if (w->shard.ranks && ba_ranks_take(w->shard.ranks, &ticket, err)) {
            return -1;
        }
        if (ticket >= w->n_order) {
            return 0;
        }
        if (!w->item[w->order[ticket]].done) {
            *item = w->order[ticket];
            return 0;
        }
    }
}
