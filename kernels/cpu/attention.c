/* Cuts attention into units of work and merges their results.
 *
 * A unit is a tile of rows (neighbouring query rows x the query heads that share a KV head) against all keys. The keys
 * are read in chunks: the segments of a group one after the other, cut every CHUNK keys at the bounds of tiles, counted
 * from the first segment, so that the cuts do not depend on the length of the list. Each chunk yields a state (maximum,
 * sum, output); states are merged in order. If there are too few units for the threads, threads compute single chunks,
 * which are merged by the same arithmetic in the same order, so the result is the same to the bit. */
#include "attention.h"

#include "attention_parts.h"
#include "kernels/count.h"

#include <math.h>
#include <string.h>

enum {
    CHUNK = 2048,         /* keys */
    JOBS = 64,            /* jobs whose units are handed out together */
    UNITS_PER_THREAD = 4, /* with fewer, threads compute single chunks */
};

/* ---- states ---- */

/* For each row: the maximum of the scores so far, the sum of their powers of 2, and the values weighted by these. */
typedef struct state {
    float *m, *l, *o;
} state;

static state state_at(const ba_attn_call *call, const ba_attn_worker *w, size_t which) {
    float *ml = w->ml + which * 2 * BA_TILE_ROWS;
    return (state){ml, ml + BA_TILE_ROWS, w->o + which * BA_TILE_ROWS * call->v_stride};
}

static void state_clear(state s, size_t rows, size_t stride) {
    for (size_t r = 0; r < rows; r++) {
        s.m[r] = BA_NO_SCORE;
        s.l[r] = 0;
    }
    memset(s.o, 0, rows * stride * sizeof *s.o);
}

/* into = both states together. Merging into or from an empty state changes no bit of the other one. */
static void state_merge(state into, state from, size_t rows, size_t stride) {
    for (size_t r = 0; r < rows; r++) {
        float m = into.m[r] > from.m[r] ? into.m[r] : from.m[r];
        float a = exp2f(into.m[r] - m), b = exp2f(from.m[r] - m);
        float *restrict x = into.o + r * stride;
        const float *restrict y = from.o + r * stride;
        for (size_t i = 0; i < stride; i++) {
            x[i] = x[i] * a + y[i] * b;
        }
        into.l[r] = into.l[r] * a + from.l[r] * b;
        into.m[r] = m;
    }
}

/* Turns a group's state into that of a single key: the group's output as value, the scaled log-sum-exp as score. */
static void state_scale_lse(state s, size_t rows, size_t stride, float factor) {
    for (size_t r = 0; r < rows; r++) {
        if (s.l[r] == 0) {
            continue; /* no key is visible: the state stays empty */
        }
        for (size_t i = 0; i < stride; i++) {
            s.o[r * stride + i] /= s.l[r];
        }
        s.m[r] = factor * (s.m[r] + log2f(s.l[r]));
        s.l[r] = 1;
    }
}

/* ---- chunks ---- */

/* Keys from key0 of segment seg0 up to key1 of segment seg1, counted from the segments' first; of one group only. */
typedef struct chunk {
    size_t seg0, key0, seg1, key1;
} chunk;

/* Moves to the next chunk of a group; the first one follows {0}. False after the last. */
static bool next_chunk(const ba_attn_job *job, size_t group, chunk *c) {
    size_t seg = c->seg1, key = c->key1, taken = 0;
    for (; seg < job->n_seg; seg++, key = 0) {
        const ba_kv_segment *s = &job->seg[seg];
        if ((size_t)s->group != group || key >= s->n) {
            continue;
        }
        if (taken == 0) {
            c->seg0 = seg;
            c->key0 = key;
        }
        if (taken + (s->n - key) > CHUNK) {
            size_t end = (s->first + key + (CHUNK - taken)) / BA_KEYS * BA_KEYS;
            if (end > s->first + key) {
                c->seg1 = seg;
                c->key1 = end - s->first;
                return true;
            }
            if (taken > 0) { /* less than a tile fits: the segment begins the next chunk */
                c->seg1 = seg;
                c->key1 = key;
                return true;
            }
        }
        taken += s->n - key;
    }
    c->seg1 = job->n_seg;
    c->key1 = 0;
    return taken > 0;
}

static size_t count_chunks(const ba_attn_job *job) {
    size_t n = 0;
    for (size_t g = 0; g <= job->n_groups; g++) {
        for (chunk c = {0}; next_chunk(job, g, &c);) {
            n++;
        }
    }
    return n;
}

/* ---- one unit ---- */

/* Rows [row, row + rows) of a job x query heads [head, head + heads) of one KV head; row-major, so that the rows of a
 * register block see nearly the same keys. */
typedef struct unit {
    const ba_attn_job *job;
    size_t row, rows, head, heads;
} unit;

static size_t rows_per_tile(const ba_attn_call *call) {
    return call->group < BA_TILE_ROWS ? BA_TILE_ROWS / call->group : 1;
}

/* A group with more heads than a tile has rows is cut into this many parts. */
static size_t head_parts(const ba_attn_call *call) {
    return (call->group + BA_TILE_ROWS - 1) / BA_TILE_ROWS;
}

static size_t count_units(const ba_attn_call *call, const ba_attn_job *job) {
    size_t tile = rows_per_tile(call);
    return (job->rows + tile - 1) / tile * (call->heads / call->group) * head_parts(call);
}

/* Last rows first: under a causal mask they take longest, and the last units should be short. */
static unit unit_at(const ba_attn_call *call, const ba_attn_job *job, size_t index) {
    size_t parts = head_parts(call), slots = call->heads / call->group * parts, tile = rows_per_tile(call);
    size_t tiles = (job->rows + tile - 1) / tile, row = (tiles - 1 - index / slots) * tile;
    size_t slot = index % slots, part = slot % parts * BA_TILE_ROWS;
    size_t heads = call->group - part < BA_TILE_ROWS ? call->group - part : BA_TILE_ROWS;
    return (unit){.job = job,
                  .row = row,
                  .rows = job->rows - row < tile ? job->rows - row : tile,
                  .head = slot / parts * call->group + part,
                  .heads = heads};
}

/* The keys of [key0, key1) that each row of the unit sees, as tokens of the KV; false if no row sees any. */
static bool find_visible(const unit *u, const ba_kv_segment *seg, size_t key0, size_t key1, ba_attn_worker *w) {
    bool any = false;
    for (size_t r = 0; r < u->rows; r++) {
        ba_range see = ba_segment_range(seg, u->row + r);
        size_t lo = seg->first + (see.lo > key0 ? see.lo : key0), hi = seg->first + (see.hi < key1 ? see.hi : key1);
        any = any || lo < hi;
        for (size_t h = 0; h < u->heads; h++) {
            w->lo[r * u->heads + h] = (int32_t)lo;
            w->hi[r * u->heads + h] = (int32_t)hi;
        }
    }
    return any;
}

/* Adds the keys of a chunk to a state. */
static void attend_chunk(const ba_attn_call *call, ba_attn_worker *w, const unit *u, const chunk *c, size_t group,
                         state into) {
    size_t kv_head = u->head / call->group, rows = u->rows * u->heads;
    const ba_kv_segment *rotated = NULL;
    for (size_t i = c->seg0; i <= c->seg1 && i < u->job->n_seg; i++) {
        const ba_kv_segment *seg = &u->job->seg[i];
        size_t key0 = i == c->seg0 ? c->key0 : 0, key1 = i == c->seg1 ? c->key1 : seg->n;
        if ((size_t)seg->group != group || key0 >= key1) {
            continue;
        }
        w->dense += rows * (key1 - key0);
        if (!find_visible(u, seg, key0, key1, w)) {
            continue;
        }
        if (!rotated || rotated->rot_row != seg->rot_row || rotated->score_scale != seg->score_scale) {
            for (size_t r = 0; r < u->rows; r++) {
                ba_attn_rotate(call, u->job, seg, u->row + r, u->head, u->heads, w->q + r * u->heads * call->dim);
            }
            rotated = seg;
        }
        ba_tile tile = {.k = ba_cpu_keys(seg->kv, call->layer, kv_head),
                        .v = ba_cpu_values(seg->kv, call->layer, kv_head),
                        .dim = call->dim,
                        .v_stride = call->v_stride,
                        .key0 = seg->first + key0,
                        .key1 = seg->first + key1,
                        .rows = rows,
                        .lo = w->lo,
                        .hi = w->hi,
                        .q = w->q,
                        .bias = (float)(seg->score_bias * BA_LOG2E),
                        .m = into.m,
                        .l = into.l,
                        .o = into.o,
                        .s = w->s,
                        .rescale = w->rescale};
        call->cpu->isa->attend(&tile);
        w->exact += tile.pairs;
    }
}

static void write_out(const ba_attn_call *call, const unit *u, state s) {
    float part[BA_MOST_DIM];
    for (size_t at = 0; at < u->rows * u->heads; at++) {
        size_t row = u->job->row0 + u->row + at / u->heads, col = (u->head + at % u->heads) * call->dim;
        const float *o = s.o + at * call->v_stride;
        float factor = s.l[at] == 0 ? 0 : 1 / s.l[at];
        float *to = ba_cpu_room(call->out, row, col, part);
        for (size_t i = 0; i < call->dim; i++) {
            to[i] = o[i] * factor;
        }
        ba_cpu_put(call->cpu, call->out, row, col, call->dim, to);
    }
}

/* Floats of one stored state. */
static size_t partial_size(const ba_attn_call *call) {
    return BA_TILE_ROWS * (call->v_stride + 2);
}

static state partial_at(float *at) {
    return (state){at, at + BA_TILE_ROWS, at + 2 * BA_TILE_ROWS};
}

/* Adds the keys of a group to an empty state. partial: the states of its chunks if they have been computed, or NULL;
 * returns the states of the next group. */
static float *attend_group(const ba_attn_call *call, ba_attn_worker *w, const unit *u, size_t g, float *partial,
                           state into) {
    size_t rows = u->rows * u->heads, n = 0;
    for (chunk c = {0}; next_chunk(u->job, g, &c); n++) {
        if (partial) {
            state_merge(into, partial_at(partial), rows, call->v_stride);
            partial += partial_size(call);
        } else if (n == 0) {
            attend_chunk(call, w, u, &c, g, into);
        } else {
            state part = state_at(call, w, 0);
            state_clear(part, rows, call->v_stride);
            attend_chunk(call, w, u, &c, g, part);
            state_merge(into, part, rows, call->v_stride);
        }
    }
    return partial;
}

/* partial: the states of all chunks in order if they have been computed, else NULL. */
static void attend_unit(const ba_attn_call *call, ba_attn_worker *w, const unit *u, float *partial) {
    size_t rows = u->rows * u->heads, stride = call->v_stride;
    state group = state_at(call, w, 1), all = state_at(call, w, 2);
    state_clear(all, rows, stride);
    partial = attend_group(call, w, u, 0, partial, all);
    for (size_t g = 1; g <= u->job->n_groups; g++) {
        state_clear(group, rows, stride);
        partial = attend_group(call, w, u, g, partial, group);
        state_scale_lse(group, rows, stride, (float)u->job->group_lse_scale[g - 1]);
        state_merge(all, group, rows, stride);
    }
    write_out(call, u, all);
}

/* ---- a call ---- */

/* Some jobs, with the index of each one's first unit and of its first (unit, chunk) pair. */
typedef struct batch {
    const ba_attn_call *call;
    const ba_attn_job *job[JOBS];
    size_t unit0[JOBS + 1], task0[JOBS + 1], chunks[JOBS];
    size_t n;
    float *partial; /* states of chunks; NULL: units compute their chunks themselves */
} batch;

static size_t job_of(const size_t *first, size_t n, size_t index) {
    size_t j = 0;
    while (j + 1 < n && first[j + 1] <= index) {
        j++;
    }
    return j;
}

static void chunk_task(void *arg, size_t index, size_t worker) {
    const batch *b = arg;
    size_t j = job_of(b->task0, b->n, index), local = index - b->task0[j];
    const ba_attn_job *job = b->job[j];
    unit u = unit_at(b->call, job, local / b->chunks[j]);
    size_t skip = local % b->chunks[j];
    for (size_t g = 0; g <= job->n_groups; g++) {
        for (chunk c = {0}; next_chunk(job, g, &c);) {
            if (skip-- == 0) {
                state into = partial_at(b->partial + index * partial_size(b->call));
                state_clear(into, u.rows * u.heads, b->call->v_stride);
                attend_chunk(b->call, &b->call->cpu->space->worker[worker], &u, &c, g, into);
                return;
            }
        }
    }
}

static void unit_task(void *arg, size_t index, size_t worker) {
    const batch *b = arg;
    size_t j = job_of(b->unit0, b->n, index), local = index - b->unit0[j];
    unit u = unit_at(b->call, b->job[j], local);
    float *partial = NULL;
    if (b->partial) {
        partial = b->partial + (b->task0[j] + local * b->chunks[j]) * partial_size(b->call);
    }
    attend_unit(b->call, &b->call->cpu->space->worker[worker], &u, partial);
}

static void run_batch(batch *b) {
    ba_attn_space *space = b->call->cpu->space;
    for (size_t j = 0; j < b->n; j++) {
        size_t units = count_units(b->call, b->job[j]);
        b->chunks[j] = count_chunks(b->job[j]);
        b->unit0[j + 1] = b->unit0[j] + units;
        b->task0[j + 1] = b->task0[j] + units * b->chunks[j];
    }
    size_t units = b->unit0[b->n], tasks = b->task0[b->n];
    if (space->threads > 1 && units < UNITS_PER_THREAD * space->threads && tasks > units) {
        /* Without memory for it, units compute their chunks themselves, which is slower. */
        space->partial = ba_attn_grow(space->partial, &space->n_partial, tasks * partial_size(b->call), sizeof(float));
        b->partial = space->partial;
    }
    if (b->partial) {
        ba_pool_run(b->call->cpu->pool, tasks, chunk_task, b);
    }
    ba_pool_run(b->call->cpu->pool, units, unit_task, b);
    b->n = 0;
    b->partial = NULL;
}

void ba_cpu_attention(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                      const ba_attn_job *job, size_t n_jobs, ba_view q, ba_view out) {
    ba_cpu *cpu = (ba_cpu *)be;
    ba_attn_call call = {.cpu = cpu,
                         .layer = layer,
                         .heads = heads,
                         .group = heads,
                         .dim = 2 * rot->half,
                         .v_stride = ba_cpu_v_stride(2 * rot->half),
                         .scale = scale * BA_LOG2E,
                         .rot = rot,
                         .q = q,
                         .out = out};
    size_t kv_heads = 1;
    for (size_t j = 0; j < n_jobs; j++) {
        if (job[j].n_seg) {
            kv_heads = job[j].seg[0].kv->kv_heads;
        }
    }
    call.group = heads / kv_heads;
    batch b = {.call = &call};
    for (size_t j = 0; j < n_jobs; j++) {
        if (job[j].select_k || job[j].probe || job[j].chosen) {
            ba_attn_select(&call, &job[j]);
            continue;
        }
        b.job[b.n++] = &job[j];
        if (b.n == JOBS) {
            run_batch(&b);
        }
    }
    run_batch(&b);
    for (size_t i = 0; i < cpu->space->threads; i++) {
        ba_attn_worker *w = &cpu->space->worker[i];
        be->count.flops_exact += 4 * w->exact * call.dim;
        be->count.flops_dense += 4 * w->dense * call.dim;
        w->exact = w->dense = 0;
    }
    ba_count_attention_bytes(be, job, n_jobs, heads, kv_heads, call.dim);
}
