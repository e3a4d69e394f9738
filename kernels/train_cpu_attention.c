/* Training's attention: tiles of query rows x keys, products by OpenBLAS within the calling thread, the rest by
 * train_lanes. Formulas: train_ref_attention.c.
 *
 * A task of the backward is one query head, which adds up its own dk and dv; those of the heads of a group are added
 * afterwards in their order. So no two threads write the same place, and sums do not depend on who came first. */
#include "train_cpu.h"

#include <cblas.h>
#include <string.h>

enum { ROWS = 128, KEYS = 256 };

/* What a thread works in. */
typedef struct space {
    float *q, *o;        /* [ROWS, dim] queries rotated and scaled; output, or dq in rotated form */
    float *s, *dp;       /* [ROWS, KEYS] scores, then probabilities; dp, then ds */
    float *m, *l, *mean; /* [ROWS] running maximum and sum; <dout, out> */
} space;

typedef struct attention {
    const ba_train_attention *a;
    const ba_train_lanes *lanes;
    float *work; /* of all threads */
    ba_view dout, dq;
    float *dk, *dv; /* [heads, rows, dim] */
} attention;

static size_t space_size(const ba_train_attention *a) {
    return 2 * ROWS * a->head_dim + 2 * ROWS * KEYS + 3 * ROWS;
}

static space space_of(const attention *x, size_t worker) {
    float *at = x->work + worker * space_size(x->a);
    size_t tile = ROWS * x->a->head_dim;
    return (space){at,
                   at + tile,
                   at + 2 * tile,
                   at + 2 * tile + ROWS * KEYS,
                   at + 2 * tile + 2 * ROWS * KEYS,
                   at + 2 * tile + 2 * ROWS * KEYS + ROWS,
                   at + 2 * tile + 2 * ROWS * KEYS + 2 * ROWS};
}

/* A run of query rows of one job and one head. */
typedef struct block {
    const ba_train_job *job;
    size_t row0, rows; /* counted from the job's first */
    size_t head, kv_head;
} block;

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static float *head_of(ba_view view, size_t row, size_t head, size_t dim) {
    return ba_cpu_row(view, row) + head * dim;
}

/* Keys that any row of the block sees. */
static ba_range seen_by_any(const ba_train_segment *seg, const block *b) {
    ba_range all = {seg->n, 0};
    for (size_t r = b->row0; r < b->row0 + b->rows; r++) {
        ba_range see = ba_train_sees(seg, r);
        if (see.lo < see.hi) {
            all.lo = min_size(all.lo, see.lo);
            all.hi = see.hi > all.hi ? see.hi : all.hi;
        }
    }
    return all;
}

/* Queries of the block, rotated for the segment and times `factor`. */
static void rotate_block(const attention *x, const block *b, const ba_train_segment *seg, float factor, float *q) {
    const ba_rot *rot = x->a->rot;
    for (size_t r = 0; r < b->rows; r++) {
        size_t row = b->row0 + r, dim = x->a->head_dim;
        x->lanes->rotate(head_of(x->a->q, b->job->row0 + row, b->head, dim), dim,
                         rot->at + (seg->rot_row + row) * 2 * rot->half, false, factor, q + r * dim);
    }
}

static float factor_of(const attention *x, const ba_train_segment *seg) {
    return (float)(x->a->scale * seg->score_scale);
}

/* s [rows, n] = q k^T + bias, for keys [first, first + n) of a segment. */
static void scores(const attention *x, const block *b, const ba_train_segment *seg, size_t first, size_t n,
                   const space *w) {
    size_t dim = x->a->head_dim;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)b->rows, (blasint)n, (blasint)dim, 1, w->q,
                (blasint)dim, head_of(x->a->k, seg->key0 + first, b->kv_head, dim), (blasint)x->a->k.buf->cols, 0, w->s,
                KEYS);
    for (size_t r = 0; seg->score_bias != 0 && r < b->rows; r++) {
        for (size_t j = 0; j < n; j++) {
            w->s[r * KEYS + j] += (float)seg->score_bias;
        }
    }
}

/* Which of keys [first, first + n) a row sees, counted from first; lo = hi = 0: none. */
static ba_range seen_in_tile(const ba_train_segment *seg, size_t row, size_t first, size_t n) {
    ba_range see = ba_train_sees(seg, row);
    size_t lo = see.lo > first ? see.lo - first : 0, hi = see.hi > first ? min_size(see.hi - first, n) : 0;
    return lo < hi ? (ba_range){lo, hi} : (ba_range){0, 0};
}

/* What a row does not see weighs nothing. */
static void clear_outside(float *p, ba_range see, size_t n) {
    memset(p, 0, see.lo * sizeof *p);
    memset(p + see.hi, 0, (n - see.hi) * sizeof *p);
}

/* ---- forward ---- */

/* Scores of a row become probabilities relative to the new maximum; its sum and output follow. */
static void soften(const attention *x, const space *w, size_t r, ba_range see, size_t n) {
    float *s = w->s + r * KEYS, top = see.lo < see.hi ? x->lanes->max(s + see.lo, see.hi - see.lo) : w->m[r];
    if (top > w->m[r]) {
        float factor = expf(w->m[r] - top);
        w->l[r] *= factor;
        x->lanes->multiply(w->o + r * x->a->head_dim, factor, x->a->head_dim);
        w->m[r] = top;
    }
    clear_outside(s, see, n);
    if (see.lo < see.hi) {
        w->l[r] += x->lanes->exp_sum(s + see.lo, w->m[r], see.hi - see.lo, s + see.lo);
    }
}

static void forward_segment(const attention *x, const block *b, const ba_train_segment *seg, const space *w) {
    size_t dim = x->a->head_dim;
    ba_range any = seen_by_any(seg, b);
    if (any.lo >= any.hi) {
        return;
    }
    rotate_block(x, b, seg, factor_of(x, seg), w->q);
    for (size_t first = any.lo, n; first < any.hi; first += n) {
        n = min_size(KEYS, any.hi - first);
        scores(x, b, seg, first, n, w);
        for (size_t r = 0; r < b->rows; r++) {
            soften(x, w, r, seen_in_tile(seg, b->row0 + r, first, n), n);
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)b->rows, (blasint)dim, (blasint)n, 1, w->s,
                    KEYS, head_of(x->a->v, seg->key0 + first, b->kv_head, dim), (blasint)x->a->v.buf->cols, 1, w->o,
                    (blasint)dim);
    }
}

static void forward_block(const attention *x, const block *b, const space *w) {
    size_t dim = x->a->head_dim;
    memset(w->o, 0, b->rows * dim * sizeof *w->o);
    for (size_t r = 0; r < b->rows; r++) {
        w->m[r] = -INFINITY;
        w->l[r] = 0;
    }
    for (size_t s = 0; s < b->job->n_seg; s++) {
        forward_segment(x, b, &b->job->seg[s], w);
    }
    for (size_t r = 0; r < b->rows; r++) {
        size_t row = b->job->row0 + b->row0 + r;
        float *out = head_of(x->a->out, row, b->head, dim), l = w->l[r];
        ba_cpu_row((ba_view){x->a->lse, 0, 0}, row)[b->head] = l > 0 ? w->m[r] + logf(l) : -INFINITY;
        memcpy(out, w->o + r * dim, dim * sizeof *out);
        x->lanes->multiply(out, l > 0 ? 1 / l : 0, dim);
    }
}

/* Blocks of a job, all heads. */
static size_t tasks_of(const ba_train_job *job, size_t heads) {
    return (job->rows + ROWS - 1) / ROWS * heads;
}

static void forward_task(void *arg, size_t index, size_t worker) {
    const attention *x = arg;
    const ba_train_job *job = x->a->mask->job;
    size_t heads = x->a->heads;
    for (; index >= tasks_of(job, heads); job++) {
        index -= tasks_of(job, heads);
    }
    size_t head = index % heads, row0 = index / heads * ROWS;
    const block b = {job, row0, min_size(ROWS, job->rows - row0), head, head / (heads / x->a->kv_heads)};
    const space w = space_of(x, worker);
    forward_block(x, &b, &w);
}

/* What no job has. */
static void clear(const ba_train_attention *a) {
    for (size_t r = 0; r < a->rows; r++) {
        memset(ba_cpu_row(a->out, r), 0, a->heads * a->head_dim * sizeof(float));
        for (size_t h = 0; h < a->heads; h++) {
            ba_cpu_row((ba_view){a->lse, 0, 0}, r)[h] = -INFINITY;
        }
    }
}

void ba_train_attention_forward(ba_backend *be, const ba_train_attention *a) {
    ba_cpu *cpu = (ba_cpu *)be;
    attention x = {.a = a, .lanes = cpu->train->lanes};
    size_t tasks = 0;
    clear(a);
    for (size_t j = 0; j < a->mask->n_jobs; j++) {
        tasks += tasks_of(&a->mask->job[j], a->heads);
    }
    openblas_set_num_threads(1);
    if ((x.work = ba_train_space(be, cpu->train->threads * space_size(a)))) {
        ba_pool_run(cpu->pool, tasks, forward_task, &x);
    }
}

/* ---- backward ---- */

static void backward_tile(const attention *x, const block *b, const ba_train_segment *seg, size_t first, size_t n,
                          const space *w) {
    size_t dim = x->a->head_dim, row = b->job->row0 + b->row0, key = seg->key0 + first;
    blasint rows = (blasint)b->rows, keys = (blasint)n, d = (blasint)dim;
    const float *dout = head_of(x->dout, row, b->head, dim), *k = head_of(x->a->k, key, b->kv_head, dim);
    float *dk = x->dk + (b->head * x->a->rows + key) * dim, *dv = x->dv + (b->head * x->a->rows + key) * dim;
    blasint dout_stride = (blasint)x->dout.buf->cols, k_stride = (blasint)x->a->k.buf->cols;
    scores(x, b, seg, first, n, w);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, keys, d, 1, dout, dout_stride,
                head_of(x->a->v, key, b->kv_head, dim), (blasint)x->a->v.buf->cols, 0, w->dp, KEYS);
    for (size_t r = 0; r < b->rows; r++) {
        ba_range see = seen_in_tile(seg, b->row0 + r, first, n);
        float *p = w->s + r * KEYS, lse = ba_cpu_row((ba_view){x->a->lse, 0, 0}, row + r)[b->head];
        clear_outside(p, see, n);
        if (see.lo < see.hi) {
            x->lanes->exp_sum(p + see.lo, lse, see.hi - see.lo, p + see.lo);
        }
        x->lanes->score_back(p, w->dp + r * KEYS, w->mean[r], n, w->dp + r * KEYS);
    }
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, keys, d, rows, 1, w->s, KEYS, dout, dout_stride, 1, dv, d);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, keys, d, rows, 1, w->dp, KEYS, w->q, d, 1, dk, d);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, d, keys, 1, w->dp, KEYS, k, k_stride, 1, w->o, d);
}

/* q carries the scale of the scores, and so dk does; dq gets it on the way out. */
static void backward_segment(const attention *x, const block *b, const ba_train_segment *seg, const space *w) {
    size_t dim = x->a->head_dim;
    ba_range any = seen_by_any(seg, b);
    if (any.lo >= any.hi) {
        return;
    }
    rotate_block(x, b, seg, factor_of(x, seg), w->q);
    memset(w->o, 0, b->rows * dim * sizeof *w->o);
    for (size_t first = any.lo, n; first < any.hi; first += n) {
        n = min_size(KEYS, any.hi - first);
        backward_tile(x, b, seg, first, n, w);
    }
    const ba_rot *rot = x->a->rot;
    for (size_t r = 0; r < b->rows; r++) {
        float *dq = w->o + r * dim;
        x->lanes->rotate(dq, dim, rot->at + (seg->rot_row + b->row0 + r) * 2 * rot->half, true, factor_of(x, seg), dq);
        x->lanes->axpy(head_of(x->dq, b->job->row0 + b->row0 + r, b->head, dim), 1, dq, dim);
    }
}

static void backward_head(void *arg, size_t head, size_t worker) {
    const attention *x = arg;
    const ba_train_attention *a = x->a;
    const space w = space_of(x, worker);
    size_t dim = a->head_dim;
    for (size_t r = 0; r < a->rows; r++) {
        memset(head_of(x->dq, r, head, dim), 0, dim * sizeof(float));
    }
    memset(x->dk + head * a->rows * dim, 0, a->rows * dim * sizeof(float));
    memset(x->dv + head * a->rows * dim, 0, a->rows * dim * sizeof(float));
    for (size_t j = 0; j < a->mask->n_jobs; j++) {
        const ba_train_job *job = &a->mask->job[j];
        for (size_t row0 = 0; row0 < job->rows; row0 += ROWS) {
            const block b = {job, row0, min_size(ROWS, job->rows - row0), head, head / (a->heads / a->kv_heads)};
            for (size_t r = 0; r < b.rows; r++) {
                size_t row = job->row0 + row0 + r;
                w.mean[r] = x->lanes->dot(head_of(x->dout, row, head, dim), head_of(a->out, row, head, dim), dim);
            }
            for (size_t s = 0; s < job->n_seg; s++) {
                backward_segment(x, &b, &job->seg[s], &w);
            }
        }
    }
}

typedef struct group_sum {
    const attention *x;
    ba_view dk, dv;
} group_sum;

static void sum_rows(const void *arg, size_t first, size_t last) {
    const group_sum *g = arg;
    const ba_train_attention *a = g->x->a;
    size_t dim = a->head_dim, group = a->heads / a->kv_heads;
    for (size_t r = first; r < last; r++) {
        memset(ba_cpu_row(g->dk, r), 0, a->kv_heads * dim * sizeof(float));
        memset(ba_cpu_row(g->dv, r), 0, a->kv_heads * dim * sizeof(float));
        for (size_t h = 0; h < a->heads; h++) {
            g->x->lanes->axpy(head_of(g->dk, r, h / group, dim), 1, g->x->dk + (h * a->rows + r) * dim, dim);
            g->x->lanes->axpy(head_of(g->dv, r, h / group, dim), 1, g->x->dv + (h * a->rows + r) * dim, dim);
        }
    }
}

void ba_train_attention_back(ba_backend *be, const ba_train_attention *a, ba_view dout, ba_view dq, ba_view dk,
                             ba_view dv) {
    ba_cpu *cpu = (ba_cpu *)be;
    attention x = {.a = a, .lanes = cpu->train->lanes, .dout = dout, .dq = dq};
    size_t own = a->heads * a->rows * a->head_dim;
    if (!(x.dk = ba_train_space(be, 2 * own + cpu->train->threads * space_size(a)))) {
        return;
    }
    x.dv = x.dk + own;
    x.work = x.dv + own;
    openblas_set_num_threads(1);
    ba_pool_run(cpu->pool, a->heads, backward_head, &x);
    group_sum g = {&x, dk, dv};
    ba_cpu_for(cpu, a->rows, 2 * a->heads * a->head_dim, sum_rows, &g);
}
