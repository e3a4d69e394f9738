/* Training's attention: tiles of query rows x keys. Products come from the table (attention.h), everything else from
 * lanes.h. The formulas are in kernels/ref/train_attention.c.
 *
 * A task of the backward pass is one query head, which sums its own dk and dv; those of the heads of a group are added
 * afterwards, in order. So no two threads write to the same place, and sums do not depend on the order of the tasks. */
#include "attention.h"
#include "kernels/base/sizes.h"

#include <string.h>

enum { ROWS = BA_TRAIN_ROWS, KEYS = BA_TRAIN_KEYS };

typedef struct attention {
    ba_backend *be;
    const ba_train_attention *a;
    const ba_train_lanes *lanes;
    const ba_train_multiply *multiply;
    float *shared, *work; /* work space of all threads, and of each thread */
    ba_view dout, dq;
    float *dk, *dv; /* [heads, rows, dim] */
} attention;

/* Neighbouring query rows of one job and one head, with the work space of a thread. */
typedef struct block {
    const ba_train_job *job;
    size_t row0, rows; /* counted from the job's first */
    ba_train_tile t;
    float *m, *l, *mean; /* [ROWS] running maximum and sum; <dout, out> */
} block;

/* n floats, rounded up to whole cache lines. */
static size_t lines(size_t n) {
    return (n + 15) / 16 * 16;
}

static size_t shared_size(const attention *x) {
    return x->multiply->shared_size ? lines(x->multiply->shared_size(x->a)) : 0;
}

static size_t work_size(const attention *x) {
    size_t own = x->multiply->own_size ? lines(x->multiply->own_size(x->a)) : 0;
    return 2 * ROWS * x->a->head_dim + 2 * ROWS * KEYS + 3 * ROWS + own;
}

static block block_of(const attention *x, const ba_train_job *job, size_t row0, size_t head, size_t worker) {
    const ba_train_attention *a = x->a;
    size_t tile = ROWS * a->head_dim, rows = ba_min_size(ROWS, job->rows - row0);
    float *q = x->work + worker * work_size(x), *s = q + 2 * tile, *m = s + 2 * ROWS * KEYS;
    const ba_train_tile t = {.be = x->be,
                             .a = a,
                             .dout = x->dout,
                             .row = job->row0 + row0,
                             .rows = rows,
                             .head = head,
                             .kv_head = head / (a->heads / a->kv_heads),
                             .q = q,
                             .o = q + tile,
                             .s = s,
                             .dp = s + ROWS * KEYS,
                             .dk = x->dk ? x->dk + head * a->rows * a->head_dim : NULL,
                             .dv = x->dv ? x->dv + head * a->rows * a->head_dim : NULL,
                             .shared = x->shared,
                             .own = m + 3 * ROWS};
    return (block){job, row0, rows, t, m, m + ROWS, m + 2 * ROWS};
}

static float *head_of(ba_view view, size_t row, size_t head, size_t dim) {
    return ba_train_head(view, row, head, dim);
}

/* The keys from the first to the last that a row of the block sees. */
static ba_range seen_by_any(const ba_train_segment *seg, const block *b) {
    ba_range all = {seg->n, 0};
    for (size_t r = b->row0; r < b->row0 + b->rows; r++) {
        ba_range see = ba_train_sees(seg, r);
        if (see.lo < see.hi) {
            all.lo = ba_min_size(all.lo, see.lo);
            all.hi = see.hi > all.hi ? see.hi : all.hi;
        }
    }
    return all;
}

/* Heads of neighbouring rows are far apart in memory, so the processor does not prefetch them by itself. */
static void fetch_head(ba_view view, size_t row, size_t rows, size_t head, size_t dim) {
    enum { AHEAD = 6, LINE = 16 };
    for (size_t i = 0; row + AHEAD < rows && i < dim; i += LINE) {
        __builtin_prefetch(head_of(view, row + AHEAD, head, dim) + i, 1);
    }
}

/* Queries of the block, rotated for the segment and times `factor`. */
static void rotate_block(const attention *x, const block *b, const ba_train_segment *seg, float factor, bool back) {
    const ba_rot *rot = x->a->rot;
    for (size_t r = 0; r < b->rows; r++) {
        size_t dim = x->a->head_dim;
        fetch_head(x->a->q, b->t.row + r, x->a->rows, b->t.head, dim);
        x->lanes->rotate(head_of(x->a->q, b->t.row + r, b->t.head, dim), dim,
                         rot->at + (seg->rot_row + b->row0 + r) * 2 * rot->half, false, factor, b->t.q + r * dim);
    }
    if (x->multiply->queries) {
        x->multiply->queries(&b->t, back);
    }
}

static float factor_of(const attention *x, const ba_train_segment *seg) {
    return (float)(x->a->scale * seg->score_scale);
}

/* Moves t to the next tile of keys that a row sees of a segment; false after the last. */
static bool next_tile(const attention *x, const ba_train_segment *seg, ba_range any, ba_train_tile *t) {
    size_t unit = x->multiply->unit, end = seg->key0 + any.hi;
    t->key = t->n ? t->key + t->n : (seg->key0 + any.lo) / unit * unit;
    t->n = t->key < end ? ba_min_size(KEYS, end - t->key) : 0;
    return t->n > 0;
}

/* s [rows, n] = q k^T + bias. */
static void scores(const attention *x, const ba_train_segment *seg, const ba_train_tile *t) {
    x->multiply->scores(t);
    for (size_t r = 0; seg->score_bias != 0 && r < t->rows; r++) {
        for (size_t j = 0; j < t->n; j++) {
            t->s[r * KEYS + j] += (float)seg->score_bias;
        }
    }
}

/* Keys of the tile that row r of the block sees, counted from the tile's first key; lo = hi = 0 if it sees none. */
static ba_range seen_in_tile(const ba_train_segment *seg, const block *b, size_t r) {
    ba_range see = ba_train_sees(seg, b->row0 + r);
    size_t lo = seg->key0 + see.lo, hi = seg->key0 + see.hi, key = b->t.key;
    lo = lo > key ? lo - key : 0;
    hi = hi > key ? ba_min_size(hi - key, b->t.n) : 0;
    return lo < hi ? (ba_range){lo, hi} : (ba_range){0, 0};
}

/* Keys that the row does not see have probability zero. */
static void clear_outside(float *p, ba_range see, size_t n) {
    memset(p, 0, see.lo * sizeof *p);
    memset(p + see.hi, 0, (n - see.hi) * sizeof *p);
}

/* ---- forward ---- */

/* Turns the scores of a row into probabilities relative to the new maximum, and rescales its sum and output. */
static void soften(const attention *x, const block *b, size_t r, ba_range see) {
    float *s = b->t.s + r * KEYS, top = see.lo < see.hi ? x->lanes->max(s + see.lo, see.hi - see.lo) : b->m[r];
    if (top > b->m[r]) {
        float factor = expf(b->m[r] - top);
        b->l[r] *= factor;
        x->lanes->multiply(b->t.o + r * x->a->head_dim, factor, x->a->head_dim);
        b->m[r] = top;
    }
    clear_outside(s, see, b->t.n);
    if (see.lo < see.hi) {
        b->l[r] += x->lanes->exp_sum(s + see.lo, b->m[r], see.hi - see.lo, s + see.lo);
    }
}

static void forward_segment(const attention *x, block *b, const ba_train_segment *seg) {
    ba_range any = seen_by_any(seg, b);
    if (any.lo >= any.hi) {
        return;
    }
    rotate_block(x, b, seg, factor_of(x, seg), false);
    for (b->t.n = 0; next_tile(x, seg, any, &b->t);) {
        scores(x, seg, &b->t);
        for (size_t r = 0; r < b->rows; r++) {
            soften(x, b, r, seen_in_tile(seg, b, r));
        }
        x->multiply->values(&b->t);
    }
}

static void forward_block(const attention *x, block *b) {
    size_t dim = x->a->head_dim;
    memset(b->t.o, 0, b->rows * dim * sizeof *b->t.o);
    for (size_t r = 0; r < b->rows; r++) {
        b->m[r] = -INFINITY;
        b->l[r] = 0;
    }
    for (size_t s = 0; s < b->job->n_seg; s++) {
        forward_segment(x, b, &b->job->seg[s]);
    }
    for (size_t r = 0; r < b->rows; r++) {
        float *out = head_of(x->a->out, b->t.row + r, b->t.head, dim), l = b->l[r];
        ba_cpu_row((ba_view){x->a->lse, 0, 0}, b->t.row + r)[b->t.head] = l > 0 ? b->m[r] + logf(l) : -INFINITY;
        memcpy(out, b->t.o + r * dim, dim * sizeof *out);
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
    block b = block_of(x, job, index / heads * ROWS, index % heads, worker);
    forward_block(x, &b);
}

/* Clears all rows, because some may belong to no job. */
static void clear(const ba_train_attention *a) {
    for (size_t r = 0; r < a->rows; r++) {
        memset(ba_cpu_row(a->out, r), 0, a->heads * a->head_dim * sizeof(float));
        for (size_t h = 0; h < a->heads; h++) {
            ba_cpu_row((ba_view){a->lse, 0, 0}, r)[h] = -INFINITY;
        }
    }
}

/* Work space: `extra` floats, which are returned, a shared part, and one part for each thread. NULL: out of memory. */
static float *prepare(attention *x, size_t extra, bool back) {
    const ba_train_cpu *t = ((ba_cpu *)x->be)->train;
    x->lanes = t->lanes;
    x->multiply = t->product->attention;
    float *space = ba_train_space(x->be, lines(extra) + shared_size(x) + t->threads * work_size(x));
    if (space) {
        x->shared = space + lines(extra);
        x->work = x->shared + shared_size(x);
        if (x->multiply->share) {
            x->multiply->share(x->be, x->a, back, x->shared);
        }
    }
    return space;
}

void ba_train_attention_forward(ba_backend *be, const ba_train_attention *a) {
    attention x = {.be = be, .a = a};
    size_t tasks = 0;
    clear(a);
    for (size_t j = 0; j < a->mask->n_jobs; j++) {
        tasks += tasks_of(&a->mask->job[j], a->heads);
    }
    if (prepare(&x, 0, false)) {
        ba_pool_run(((ba_cpu *)be)->pool, tasks, forward_task, &x);
    }
}

/* ---- backward ---- */

static void backward_tile(const attention *x, const ba_train_segment *seg, const block *b) {
    const ba_train_tile *t = &b->t;
    scores(x, seg, t);
    x->multiply->dscores(t);
    for (size_t r = 0; r < b->rows; r++) {
        ba_range see = seen_in_tile(seg, b, r);
        float *p = t->s + r * KEYS, *dp = t->dp + r * KEYS;
        float lse = ba_cpu_row((ba_view){x->a->lse, 0, 0}, t->row + r)[t->head];
        clear_outside(p, see, t->n);
        if (see.lo < see.hi) {
            x->lanes->exp_sum(p + see.lo, lse, see.hi - see.lo, p + see.lo);
        }
        x->lanes->score_back(p, dp, b->mean[r], t->n, dp);
    }
    x->multiply->gradients(t);
}

/* q includes the scale of the scores, and so does dk; dq is multiplied by it when it is rotated back. */
static void backward_segment(const attention *x, block *b, const ba_train_segment *seg) {
    size_t dim = x->a->head_dim;
    ba_range any = seen_by_any(seg, b);
    if (any.lo >= any.hi) {
        return;
    }
    rotate_block(x, b, seg, factor_of(x, seg), true);
    memset(b->t.o, 0, b->rows * dim * sizeof *b->t.o);
    for (b->t.n = 0; next_tile(x, seg, any, &b->t);) {
        backward_tile(x, seg, b);
    }
    const ba_rot *rot = x->a->rot;
    for (size_t r = 0; r < b->rows; r++) {
        float *dq = b->t.o + r * dim;
        x->lanes->rotate(dq, dim, rot->at + (seg->rot_row + b->row0 + r) * 2 * rot->half, true, factor_of(x, seg), dq);
        x->lanes->axpy(head_of(x->dq, b->t.row + r, b->t.head, dim), 1, dq, dim);
    }
}

static void backward_head(void *arg, size_t head, size_t worker) {
    const attention *x = arg;
    const ba_train_attention *a = x->a;
    size_t dim = a->head_dim;
    for (size_t r = 0; r < a->rows; r++) {
        memset(head_of(x->dq, r, head, dim), 0, dim * sizeof(float));
    }
    memset(x->dk + head * a->rows * dim, 0, a->rows * dim * sizeof(float));
    memset(x->dv + head * a->rows * dim, 0, a->rows * dim * sizeof(float));
    for (size_t j = 0; j < a->mask->n_jobs; j++) {
        const ba_train_job *job = &a->mask->job[j];
        for (size_t row0 = 0; row0 < job->rows; row0 += ROWS) {
            block b = block_of(x, job, row0, head, worker);
            for (size_t r = 0; r < b.rows; r++) {
                b.mean[r] = x->lanes->dot(head_of(x->dout, b.t.row + r, head, dim),
                                          head_of(a->out, b.t.row + r, head, dim), dim);
            }
            for (size_t s = 0; s < job->n_seg; s++) {
                backward_segment(x, &b, &job->seg[s]);
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
    attention x = {.be = be, .a = a, .dout = dout, .dq = dq};
    size_t own = a->heads * a->rows * a->head_dim;
    if (!(x.dk = prepare(&x, 2 * own, true))) {
        return;
    }
    x.dv = x.dk + own;
    ba_pool_run(cpu->pool, a->heads, backward_head, &x);
    group_sum g = {&x, dk, dv};
    ba_cpu_for(cpu, a->rows, 2 * a->heads * a->head_dim, sum_rows, &g);
}
