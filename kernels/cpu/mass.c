/* What query rows attend to each key. The keys are read twice: once for the log-sum-exp of every row, once for the
 * probabilities, which are summed over the rows. Scores come from the tile code of attention. */
#include "attention_parts.h"
#include "exp2.h"

#include "kernels/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums over the rows of a job: one array of keys a unit, which are added up in order. */
typedef struct mass {
    const ba_attn_call *call;
    const ba_attn_job *job;
    size_t keys;  /* of all segments */
    size_t tiles; /* units of a KV head */
    double *unit; /* [KV heads, tiles, keys] */
} mass;

/* Up to BA_TILE_ROWS (row, query head) pairs of one KV head, counted row by row. */
typedef struct unit {
    size_t kv_head, pair, pairs;
    double lse[BA_TILE_ROWS], sum[BA_TILE_ROWS], max[BA_TILE_ROWS]; /* in units of log 2 */
} unit;

/* Called with the scores of a key tile: [lo, hi) are lanes of the segment, key0 the index of lane 0 in its keys. */
typedef void visit_tile(const mass *m, unit *u, const ba_kv_segment *seg, const float *score, ptrdiff_t key0,
                        double *out);

/* Lanes of a key tile that a row sees. */
static ba_range lanes_of(const ba_kv_segment *seg, size_t row, ptrdiff_t key0) {
    ba_range see = ba_segment_range(seg, row);
    ptrdiff_t lo = (ptrdiff_t)see.lo - key0, hi = (ptrdiff_t)see.hi - key0;
    lo = lo < 0 ? 0 : lo;
    hi = hi > BA_KEYS ? BA_KEYS : hi;
    return lo < hi ? (ba_range){(size_t)lo, (size_t)hi} : (ba_range){0, 0};
}

static void add_to_sums(const mass *m, unit *u, const ba_kv_segment *seg, const float *score, ptrdiff_t key0,
                        double *out) {
    (void)out;
    for (size_t p = 0; p < u->pairs; p++) {
        ba_range see = lanes_of(seg, (u->pair + p) / m->call->group, key0);
        const float *s = score + p * BA_KEYS;
        float top = (float)u->max[p], sum = 0;
        for (size_t j = see.lo; j < see.hi; j++) {
            top = !(s[j] <= top) ? s[j] : top;
        }
        for (size_t j = see.lo; j < see.hi; j++) {
            sum += ba_exp2(s[j] - top);
        }
        if (see.lo < see.hi) {
            u->sum[p] = u->sum[p] * exp2(u->max[p] - (double)top) + (double)sum;
            u->max[p] = (double)top;
        }
    }
}

static void add_to_keys(const mass *m, unit *u, const ba_kv_segment *seg, const float *score, ptrdiff_t key0,
                        double *out) {
    float sum[BA_KEYS] = {0};
    for (size_t p = 0; p < u->pairs; p++) {
        ba_range see = lanes_of(seg, (u->pair + p) / m->call->group, key0);
        const float *s = score + p * BA_KEYS, lse = (float)u->lse[p];
        for (size_t j = see.lo; j < see.hi; j++) {
            sum[j] += ba_exp2(s[j] - lse);
        }
    }
    for (size_t j = key0 < 0 ? (size_t)-key0 : 0; j < BA_KEYS && key0 + (ptrdiff_t)j < (ptrdiff_t)seg->n; j++) {
        out[key0 + (ptrdiff_t)j] = (double)sum[j];
    }
}

/* All key tiles of all segments; out [keys]. */
static void walk(const mass *m, ba_attn_worker *w, unit *u, double *out, visit_tile *visit) {
    const ba_attn_call *call = m->call;
    for (size_t i = 0; i < m->job->n_seg; out += m->job->seg[i++].n) {
        const ba_kv_segment *seg = &m->job->seg[i];
        for (size_t p = 0; p < u->pairs; p++) {
            size_t row = (u->pair + p) / call->group, head = u->kv_head * call->group + (u->pair + p) % call->group;
            ba_attn_rotate(call, m->job, seg, row, head, 1, w->q + p * call->dim);
        }
        ba_tile tile = {.k = ba_cpu_keys(seg->kv, call->layer, u->kv_head),
                        .dim = call->dim,
                        .rows = u->pairs,
                        .q = w->q,
                        .bias = (float)(seg->score_bias * BA_LOG2E),
                        .s = w->s};
        for (size_t t = seg->first / BA_KEYS; t * BA_KEYS < seg->first + seg->n; t++) {
            call->cpu->isa->scores(&tile, t);
            visit(m, u, seg, w->s, (ptrdiff_t)(t * BA_KEYS) - (ptrdiff_t)seg->first, out);
        }
    }
}

static void unit_task(void *arg, size_t index, size_t worker) {
    const mass *m = arg;
    ba_attn_worker *w = &m->call->cpu->space->worker[worker];
    size_t pairs = m->job->rows * m->call->group, tile = index % m->tiles;
    unit u = {.kv_head = index / m->tiles, .pair = tile * BA_TILE_ROWS};
    u.pairs = pairs - u.pair < BA_TILE_ROWS ? pairs - u.pair : BA_TILE_ROWS;
    for (size_t p = 0; p < u.pairs; p++) {
        u.max[p] = (double)BA_NO_SCORE;
    }
    double *out = m->unit + index * m->keys;
    walk(m, w, &u, out, add_to_sums);
    for (size_t p = 0; p < u.pairs; p++) {
        u.lse[p] = u.max[p] + log2(u.sum[p]);
    }
    walk(m, w, &u, out, add_to_keys);
}

static bool mass_of_rows(const ba_attn_call *call, const ba_attn_job *job, size_t keys, double *out) {
    ba_attn_space *space = call->cpu->space;
    mass m = {.call = call, .job = job, .keys = keys};
    size_t kv_heads = call->heads / call->group;
    m.tiles = (job->rows * call->group + BA_TILE_ROWS - 1) / BA_TILE_ROWS;
    size_t units = kv_heads * m.tiles;
    m.unit = space->vote = ba_attn_grow(space->vote, &space->n_vote, units * keys, sizeof *m.unit);
    if (!m.unit) {
        return false;
    }
    ba_pool_run(call->cpu->pool, units, unit_task, &m);
    for (size_t u = 0; u < units; u++) {
        for (size_t i = 0; i < keys; i++) {
            out[i] += m.unit[u * keys + i];
        }
    }
    return true;
}

/* ---- one mean query a KV head, in double ---- */

enum { READ = 32 }; /* tokens that are read at once */

typedef struct mean_call {
    const ba_attn_call *call;
    const ba_attn_job *job;
    const double *query; /* [n_seg, KV heads, dim] in units of log 2 */
    double *score;       /* [KV heads, keys] */
    size_t keys, kv_heads;
} mean_call;

static void mean_query_of(const ba_attn_call *call, const ba_attn_job *job, const ba_kv_segment *seg, size_t kv_head,
                          double *out) {
    size_t half = call->dim / 2;
    double share = call->scale * seg->score_scale / (double)(job->rows * call->group);
    memset(out, 0, call->dim * sizeof *out);
    for (size_t r = 0; r < job->rows; r++) {
        const float *rot = call->rot->at + (seg->rot_row + r) * call->dim;
        for (size_t h = 0; h < call->group; h++) {
            const float *x = ba_cpu_row(call->q, job->row0 + r) + (kv_head * call->group + h) * call->dim;
            for (size_t d = 0; d < half; d++) {
                double c = (double)rot[d], s = (double)rot[half + d], a = (double)x[d], b = (double)x[half + d];
                out[d] += (a * c - b * s) * share;
                out[half + d] += (b * c + a * s) * share;
            }
        }
    }
}

/* Scores of READ tokens; index counts over all segments, each cut into whole reads. */
static void score_task(void *arg, size_t index, size_t worker) {
    const mean_call *m = arg;
    const ba_attn_call *call = m->call;
    ba_backend *be = &call->cpu->base;
    size_t s = 0, key0 = 0, width = m->kv_heads * call->dim;
    (void)worker;
    for (; index >= (m->job->seg[s].n + READ - 1) / READ; key0 += m->job->seg[s++].n) {
        index -= (m->job->seg[s].n + READ - 1) / READ;
    }
    const ba_kv_segment *seg = &m->job->seg[s];
    size_t at = index * READ, n = seg->n - at < READ ? seg->n - at : READ;
    ba_range see = ba_segment_range(seg, m->job->rows - 1);
    double *k = malloc(READ * width * sizeof *k);
    if (!k) {
        be->no_memory = true; /* the scores stay NaN */
        return;
    }
    be->ops->kv_read(be, seg->kv, call->layer, seg->first + at, n, k, NULL);
    for (size_t h = 0; h < m->kv_heads; h++) {
        const double *q = m->query + (s * m->kv_heads + h) * call->dim;
        for (size_t i = 0; i < n; i++) {
            const double *key = k + i * width + h * call->dim;
            double dot = seg->score_bias * BA_LOG2E;
            for (size_t d = 0; d < call->dim; d++) {
                dot += q[d] * key[d];
            }
            m->score[h * m->keys + key0 + at + i] = at + i >= see.lo && at + i < see.hi ? dot : -INFINITY;
        }
    }
    free(k);
}

static void add_softmax(const double *score, size_t n, double *out) {
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        max = !(score[i] <= max) ? score[i] : max;
    }
    for (size_t i = 0; i < n; i++) {
        sum += max == -INFINITY ? 0 : exp2(score[i] - max);
    }
    for (size_t i = 0; i < n && max != -INFINITY; i++) {
        out[i] += exp2(score[i] - max) / sum;
    }
}

static bool mass_of_mean(const ba_attn_call *call, const ba_attn_job *job, size_t keys, double *out) {
    size_t kv_heads = call->heads / call->group, reads = 0;
    double *query = ba_cpu_alloc(job->n_seg, kv_heads, call->dim, sizeof *query);
    double *score = ba_cpu_alloc(kv_heads, keys, 1, sizeof *score);
    bool ok = query && score;
    for (size_t s = 0; ok && s < job->n_seg; s++) {
        for (size_t h = 0; h < kv_heads; h++) {
            mean_query_of(call, job, &job->seg[s], h, query + (s * kv_heads + h) * call->dim);
        }
        reads += (job->seg[s].n + READ - 1) / READ;
    }
    for (size_t i = 0; ok && i < kv_heads * keys; i++) {
        score[i] = NAN;
    }
    if (ok) {
        mean_call m = {call, job, query, score, keys, kv_heads};
        ba_pool_run(call->cpu->pool, reads, score_task, &m);
    }
    for (size_t h = 0; ok && h < kv_heads; h++) {
        add_softmax(score + h * keys, keys, out);
    }
    free(query);
    free(score);
    return ok;
}

void ba_cpu_key_mass(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                     const ba_attn_job *job, ba_view q, bool mean_query, double *out) {
    ba_cpu *cpu = (ba_cpu *)be;
    size_t keys = 0, kv_heads = job->n_seg ? job->seg[0].kv->kv_heads : heads;
    ba_attn_call call = {.cpu = cpu,
                         .layer = layer,
                         .heads = heads,
                         .group = heads / kv_heads,
                         .dim = 2 * rot->half,
                         .v_stride = ba_cpu_v_stride(2 * rot->half),
                         .scale = scale * BA_LOG2E,
                         .rot = rot,
                         .q = q};
    for (size_t s = 0; s < job->n_seg; s++) {
        keys += job->seg[s].n;
    }
    memset(out, 0, keys * sizeof *out);
    if (!(mean_query ? mass_of_mean : mass_of_rows)(&call, job, keys, out)) {
        be->no_memory = true;
        for (size_t i = 0; i < keys; i++) {
            out[i] = NAN;
        }
    }
    ba_count_key_mass(be, job, heads, kv_heads, call.dim, mean_query);
}
