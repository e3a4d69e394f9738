/* Attention: jobs are flattened into lists for the device, counted, and launched in waves that fit the work space. */
#include "host.h"

#include "kernels/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG2E 1.44269504088896340736

enum {
    PARTIAL_FLOATS = 64 << 20, /* most that a wave's partial states may take */
    SCORE_FLOATS = 128 << 20,  /* of the scores of a job that chooses */
    LIST_ALIGN = 128,          /* of maps */
};

/* A call of the operation. */
typedef struct call {
    ba_gpu *be;
    const ba_attn_job *job;
    size_t n_jobs;
    double scale;
    bool hopper; /* by its own kernels */
    ba_dev_attention on;
} call;

static bool is_select(const ba_attn_job *job) {
    return job->select_k || job->probe || job->chosen;
}

static const ba_kv *any_kv(const ba_attn_job *job, size_t n_jobs) {
    for (size_t j = 0; j < n_jobs; j++) {
        if (job[j].n_seg) {
            return job[j].seg[0].kv;
        }
    }
    return NULL;
}

/* ---- lists ---- */

/* Cut at tokens that are multiples of `most`. */
static size_t chunks_of(const ba_kv_segment *seg, size_t most) {
    return seg->n ? (seg->first + seg->n - 1) / most - seg->first / most + 1 : 0;
}

typedef struct list_sizes {
    size_t seg, chunk, bound, scale;
} list_sizes;

static list_sizes measure(const ba_attn_job *job, size_t n_jobs, size_t most) {
    list_sizes n = {0};
    for (; n_jobs > 0; n_jobs--, job++) {
        n.seg += job->n_seg;
        n.scale += job->n_groups;
        for (size_t i = 0; i < job->n_seg; i++) {
            n.chunk += chunks_of(&job->seg[i], most);
            n.bound += (job->seg[i].lo ? job->rows : 0) + (job->seg[i].hi ? job->rows : 0);
        }
    }
    return n;
}

static size_t place(size_t *end, size_t n, size_t size) {
    size_t at = *end;
    *end += (n * size + LIST_ALIGN - 1) / LIST_ALIGN * LIST_ALIGN;
    return at;
}

static bool reserve(ba_cuda_lists *l, size_t n_jobs, list_sizes n) {
    size_t end = 0;
    l->job = place(&end, n_jobs, sizeof(ba_dev_job));
    l->seg = place(&end, n.seg, sizeof(ba_dev_segment));
    l->chunk = place(&end, n.chunk, sizeof(ba_dev_chunk));
    l->run = place(&end, n.chunk, sizeof(ba_dev_run));
    l->map = place(&end, n.seg, sizeof(CUtensorMap));
    l->bound = place(&end, n.bound, sizeof(int32_t));
    l->scale = place(&end, n.scale, sizeof(float));
    l->n = end;
    if (end > l->capacity) {
        free(l->at);
        l->at = malloc(2 * end);
        l->capacity = l->at ? 2 * end : 0;
    }
    if (l->at) {
        memset(l->at, 0, end); /* paddings too: lists are compared as bytes */
    }
    return l->at;
}

/* Puts one bound of every row into the list; where they begin, or -1. */
static int add_bounds(ba_cuda_lists *l, size_t *n, const int32_t *bound, size_t rows) {
    if (!bound) {
        return -1;
    }
    size_t at = *n;
    memcpy(l->at + l->bound + at * sizeof *bound, bound, rows * sizeof *bound);
    *n += rows;
    return (int)at;
}

/* Chunks of the job's segments, group by group. */
static int add_chunks(ba_cuda_lists *l, size_t first, size_t seg0, const ba_attn_job *job, size_t most) {
    ba_dev_chunk *to = (ba_dev_chunk *)(l->at + l->chunk) + first;
    int n = 0;
    for (size_t g = 0; g <= job->n_groups; g++) {
        for (size_t i = 0; i < job->n_seg; i++) {
            const ba_kv_segment *seg = &job->seg[i];
            for (size_t key = 0; (size_t)seg->group == g && key < seg->n;) {
                size_t end = ((seg->first + key) / most + 1) * most - seg->first;
                end = end < seg->n ? end : seg->n;
                to[n++] = (ba_dev_chunk){(int)(seg0 + i), (int)key, (int)end, (int)g};
                key = end;
            }
        }
    }
    return n;
}

/* Runs of n chunks that begin with `first`. */
static int add_runs(ba_cuda_lists *l, size_t at, size_t first, int n) {
    const ba_dev_chunk *chunk = (const ba_dev_chunk *)(l->at + l->chunk) + first;
    ba_dev_run *to = (ba_dev_run *)(l->at + l->run) + at;
    int runs = 0, keys = 0;
    for (int i = 0; i < n; i++) {
        if (i == 0 || keys >= BA_DEV_HOPPER_CHUNK || chunk[i].group != chunk[i - 1].group) {
            to[runs++] = (ba_dev_run){(int)first + i, 0, chunk[i].group};
            keys = 0;
        }
        to[runs - 1].n_chunk++;
        keys += chunk[i].key1 - chunk[i].key0;
    }
    return runs;
}

bool ba_cuda_flatten(ba_cuda_lists *l, const ba_attn_job *from, size_t n_jobs, double factor,
                     const ba_dev_attention *on, bool hopper) {
    size_t most = hopper ? BA_DEV_HOPPER_CHUNK : BA_DEV_CHUNK;
    if (!reserve(l, n_jobs, measure(from, n_jobs, most))) {
        return false;
    }
    ba_dev_job *job = (ba_dev_job *)(l->at + l->job);
    ba_dev_segment *seg = (ba_dev_segment *)(l->at + l->seg);
    float *scale = (float *)(l->at + l->scale);
    int tile_rows = ba_dev_tile_rows(on->heads, on->kv_heads, hopper ? BA_DEV_HOPPER_TILE : BA_DEV_TILE);
    list_sizes n = {0};
    size_t runs = 0;
    int tile = 0, item = 0;
    for (size_t j = 0; j < n_jobs; j++, from++) {
        job[j] = (ba_dev_job){.row0 = (int)from->row0,
                              .rows = (int)from->rows,
                              .seg0 = (int)n.seg,
                              .n_seg = (int)from->n_seg,
                              .chunk0 = (int)n.chunk,
                              .tile0 = tile,
                              .item0 = item,
                              .scale0 = (int)n.scale,
                              .n_groups = (int)from->n_groups};
        size_t before = 0;
        for (size_t i = 0; i < from->n_seg; i++) {
            const ba_kv_segment *s = &from->seg[i];
            ba_dev_segment *to = &seg[n.seg + i];
            to->before = (int)before;
            before += s->n;
            to->kv = s->kv->on;
            to->first = (int)s->first;
            to->n = (int)s->n;
            to->rot_row = (int)s->rot_row;
            to->lo = add_bounds(l, &n.bound, s->lo, from->rows);
            to->hi = add_bounds(l, &n.bound, s->hi, from->rows);
            to->factor = (float)(factor * LOG2E * s->score_scale);
            to->bias = (float)(s->score_bias * LOG2E);
            to->group = s->group;
            to->selectable = s->selectable;
            if (hopper) {
                memcpy(l->at + l->map + (n.seg + i) * sizeof s->kv->map, s->kv->map, sizeof s->kv->map);
            }
        }
        for (size_t g = 0; g < from->n_groups; g++) {
            scale[n.scale++] = (float)from->group_lse_scale[g];
        }
        if (!is_select(from)) {
            job[j].tiles = ((int)from->rows + tile_rows - 1) / tile_rows;
            job[j].n_chunk = add_chunks(l, n.chunk, n.seg, from, most);
            job[j].run0 = (int)runs;
            job[j].n_run = hopper ? add_runs(l, runs, n.chunk, job[j].n_chunk) : 0;
            tile += job[j].tiles;
            item += job[j].tiles * (hopper ? job[j].n_run : job[j].n_chunk);
            runs += (size_t)job[j].n_run;
            n.chunk += (size_t)job[j].n_chunk;
        }
        n.seg += from->n_seg;
    }
    return true;
}

void ba_cuda_point(ba_dev_attention *on, const ba_cuda_lists *l, const char *at) {
    on->job = (const ba_dev_job *)(at + l->job);
    on->seg = (const ba_dev_segment *)(at + l->seg);
    on->chunk = (const ba_dev_chunk *)(at + l->chunk);
    on->run = (const ba_dev_run *)(at + l->run);
    on->map = (const struct CUtensorMap_st *)(at + l->map);
    on->bound = (const int32_t *)(at + l->bound);
    on->lse_scale = (const float *)(at + l->scale);
}

/* The lists on the device: those of the last call if they are the same. NULL: out of memory. */
static const char *stage_lists(call *c) {
    ba_gpu *be = c->be;
    ba_cuda_lists *l = &be->lists;
    if (!ba_cuda_flatten(l, c->job, c->n_jobs, c->scale, &c->on, c->hopper)) {
        return NULL;
    }
    if (!be->staged_at || be->staged.n != l->n || memcmp(be->staged.at, l->at, l->n) != 0) {
        const char *at = ba_cuda_stage(be, l->at, l->n);
        ba_cuda_lists swap = be->staged;
        be->staged = *l;
        *l = swap;
        be->staged_at = at;
    }
    return be->staged_at;
}

/* ---- waves ---- */

/* Tiles and items that are launched together. */
typedef struct wave {
    int tile0, tiles, item0, items;
    bool hopper, whole; /* whole: no partial states */
} wave;

static bool launch(ba_gpu *be, const ba_dev_attention *on, const wave *w) {
    int tile = w->hopper ? BA_DEV_HOPPER_TILE : BA_DEV_TILE;
    size_t room = w->whole ? 0 : ba_dev_partial_floats(on, (size_t)w->items, tile) * sizeof(float);
    be->partial = ba_cuda_grow(be, be->partial, &be->partial_size, room);
    if (be->partial && w->hopper) {
        ba_dev_attend_hopper(be->stream, on, w->item0, w->items, w->tile0, w->tiles, w->whole, be->partial);
    } else if (be->partial) {
        ba_dev_attend(be->stream, on, w->item0, w->items, w->tile0, w->tiles, be->partial);
    }
    ba_cuda_launched(be);
    return be->partial;
}

/* All tiles, in waves whose partial states fit. */
static bool launch_waves(ba_gpu *be, const ba_dev_attention *on, const ba_dev_job *host, bool hopper) {
    size_t most = PARTIAL_FLOATS / ba_dev_partial_floats(on, 1, hopper ? BA_DEV_HOPPER_TILE : BA_DEV_TILE);
    wave w = {.hopper = hopper};
    for (size_t j = 0; j < (size_t)on->n_jobs; j++) {
        int items = hopper ? host[j].n_run : host[j].n_chunk;
        for (int t = 0; t < host[j].tiles; t++) {
            if (w.tiles && (size_t)w.items + (size_t)items > most) {
                if (!launch(be, on, &w)) {
                    return false;
                }
                w = (wave){.tile0 = w.tile0 + w.tiles, .item0 = w.item0 + w.items, .hopper = hopper};
            }
            w.tiles++;
            w.items += items;
        }
    }
    return !w.tiles || launch(be, on, &w);
}

bool ba_cuda_attend(ba_gpu *be, const ba_dev_attention *on, const ba_dev_job *host) {
    return launch_waves(be, on, host, false);
}

/* By blocks that have a tile each where there are enough of them for the card, or no more than a run in any. */
static bool attend_hopper(ba_gpu *be, const ba_dev_attention *on, const ba_dev_job *host) {
    enum { ENOUGH = 100 };
    int tiles = 0, runs = 0, groups = 0;
    for (size_t j = 0; j < (size_t)on->n_jobs; j++) {
        tiles += host[j].tiles;
        runs = host[j].n_run > runs ? host[j].n_run : runs;
        groups += host[j].n_groups;
    }
    int blocks = tiles * ba_dev_head_parts(on->heads, on->kv_heads, BA_DEV_HOPPER_TILE);
    if (groups || (blocks < ENOUGH && runs > 1)) {
        return launch_waves(be, on, host, true);
    }
    return !tiles || launch(be, on, &(wave){.tiles = tiles, .hopper = true, .whole = true});
}

/* ---- choices ---- */

/* Copies what a choice reports to where the caller wants it. */
static void land(ba_gpu *be, const void *from, size_t n, size_t size, void *to) {
    const void *landed = to ? ba_cuda_land(be, from, n * size) : NULL;
    if (landed) {
        memcpy(to, landed, n * size);
    } else if (to) {
        be->base.no_memory = true;
        memset(to, 0xff, n * size); /* NaN, where that can be said */
    }
}

static ba_dev_out rows_of(ba_dev_out out, size_t row0) {
    size_t first = row0 * out.stride;
    return (ba_dev_out){out.at ? out.at + first : NULL, out.half ? out.half + first : NULL, out.stride};
}

/* All rows of a job, as many at a time as there is room for scores. */
static void launch_select_waves(ba_gpu *be, ba_dev_select s, size_t most) {
    bool once = (size_t)s.rows <= most;
    for (int attend = 0; attend < 2; attend++) {
        for (s.row0 = 0; s.row0 < s.rows; s.row0 += s.wave) {
            s.wave = (size_t)(s.rows - s.row0) < most ? s.rows - s.row0 : (int)most;
            if (!attend || !once) {
                ba_dev_select_score(be->stream, &s);
            }
            (attend ? ba_dev_select_attend : ba_dev_select_sums)(be->stream, &s);
        }
        if (!attend && s.shared) {
            ba_dev_select_votes(be->stream, &s);
        }
    }
    ba_cuda_launched(be);
}

static void launch_select(call *c, size_t j) {
    ba_gpu *be = c->be;
    const ba_attn_job *job = &c->job[j];
    size_t n = job->rows * (size_t)c->on.heads * job->n_seg, keys = 0;
    for (size_t i = 0; i < job->n_seg; i++) {
        keys += job->seg[i].n;
    }
    size_t most = SCORE_FLOATS / ((size_t)c->on.heads * (keys + 1)) + 1;
    most = job->rows < most ? job->rows : most;
    double *room = ba_cuda_alloc(be, n, BA_DEV_TOP_MAX + 7, 1, sizeof *room); /* the last for the bytes of chosen */
    float *score = ba_cuda_alloc(be, most, (size_t)c->on.heads, keys, sizeof *score);
    ba_dev_out out = rows_of(c->on.out, job->row0);
    if (!room || !score || job->select_top > BA_DEV_TOP_MAX) {
        ba_dev_fill(be->stream, out, job->rows, (size_t)c->on.heads * (size_t)c->on.dim, NAN);
        ba_cuda_free(be, score);
        ba_cuda_free(be, room);
        be->base.no_memory = true;
        return;
    }
    ba_dev_select s = {.a = c->on,
                       .job = (int)j,
                       .rows = (int)job->rows,
                       .n_seg = (int)job->n_seg,
                       .keys = (int)keys,
                       .score = score,
                       .select_k = (int)(job->select_k < job->n_seg ? job->select_k : job->n_seg),
                       .select_top = (int)job->select_top,
                       .shared = job->select_k && job->select_shared,
                       .max = room,
                       .sum = room + n,
                       .weighted = room + 2 * n,
                       .vote = room + 3 * n,
                       .lse = room + 4 * n,
                       .mean = room + 5 * n,
                       .top = room + 6 * n,
                       .chosen = (uint8_t *)(room + (6 + BA_DEV_TOP_MAX) * n)};
    launch_select_waves(be, s, most);
    land(be, s.chosen, n, 1, job->chosen);
    land(be, s.lse, n, sizeof(double), job->probe ? job->probe->lse : NULL);
    land(be, s.mean, n, sizeof(double), job->probe ? job->probe->mean_score : NULL);
    ba_cuda_free(be, score);
    ba_cuda_free(be, room);
}

/* ---- the operation ---- */

static void count(call *c) {
    uint64_t exact = 0, dense = 0;
    for (size_t j = 0; j < c->n_jobs; j++) {
        const ba_attn_job *job = &c->job[j];
        for (size_t i = 0; i < job->n_seg; i++) {
            const ba_kv_segment *seg = &job->seg[i];
            dense += (uint64_t)job->rows * seg->n;
            if (!seg->lo && !seg->hi) {
                exact += (uint64_t)job->rows * seg->n;
                continue;
            }
            for (size_t r = 0; r < job->rows; r++) {
                ba_range see = ba_segment_range(seg, r);
                exact += see.hi - see.lo;
            }
        }
    }
    uint64_t each = 4 * (uint64_t)c->on.heads * (uint64_t)c->on.dim;
    c->be->base.count.flops_exact += each * exact;
    c->be->base.count.flops_dense += each * dense;
    ba_count_attention_bytes(&c->be->base, c->job, c->n_jobs, (size_t)c->on.heads, (size_t)c->on.kv_heads,
                             (size_t)c->on.dim);
}

/* Without memory the rows are NaN, which no check lets pass, rather than something wrong. */
static void give_up(call *c) {
    for (size_t j = 0; j < c->n_jobs; j++) {
        ba_dev_out out = rows_of(c->on.out, c->job[j].row0);
        ba_dev_fill(c->be->stream, out, c->job[j].rows, (size_t)c->on.heads * (size_t)c->on.dim, NAN);
    }
    c->be->base.no_memory = true;
}

void ba_cuda_attention(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                       const ba_attn_job *job, size_t n_jobs, ba_view q, ba_view out) {
    const ba_kv *kv = any_kv(job, n_jobs);
    call c = {.be = (ba_gpu *)be,
              .job = job,
              .n_jobs = n_jobs,
              .scale = scale,
              .on = {.n_jobs = (int)n_jobs,
                     .heads = (int)heads,
                     .kv_heads = kv ? kv->on.kv_heads : 1,
                     .dim = (int)(2 * rot->half),
                     .layer = layer,
                     .rot = rot->at,
                     .q = ba_cuda_matrix(q),
                     .out = ba_cuda_out(out)}};
    c.hopper = c.be->hopper && ba_dev_hopper_fits(&c.on);
    const char *lists = n_jobs ? stage_lists(&c) : NULL;
    ba_cuda_await(c.be, layer);
    if (!lists) {
        give_up(&c);
        return;
    }
    const ba_cuda_lists *l = &c.be->staged;
    ba_cuda_point(&c.on, l, lists);
    if (!(c.hopper ? attend_hopper : ba_cuda_attend)(c.be, &c.on, (const ba_dev_job *)(l->at + l->job))) {
        give_up(&c);
        return;
    }
    for (size_t j = 0; j < n_jobs; j++) {
        if (is_select(&job[j]) && job[j].rows) {
            launch_select(&c, j); /* waits, but stages nothing: the lists stay where they are */
        }
    }
    ba_cuda_send_next(c.be, layer);
    count(&c);
}
