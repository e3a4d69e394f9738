/* Attention that chooses among segments, or reports about them. The choice needs all scores of a row before the first
 * value can be summed, so there are two passes over the keys: one for the log-sum-exp and the largest scores of each
 * segment, and one for the values of the segments that were kept. Scores come from the fast kernel, a tile at a time;
 * everything else is in double, so that a choice between nearly equal segments depends little on rounding. */
#include "attention_parts.h"

#include "kernels/base/sizes.h"
#include "kernels/count.h"

#include <math.h>
#include <string.h>

/* The result of the first pass for one head and segment. Scores are natural logarithms here. */
typedef struct summary {
    double max, sum; /* over the visible keys: largest score, sum of exp(score - max) */
    double weighted; /* sum of score exp(score - max) */
} summary;

/* The current job. */
typedef struct selection {
    const ba_attn_call *call;
    const ba_attn_job *job;
    size_t parts; /* tasks per KV head and row: more than one only if it has more query heads than a tile has rows */
    double *vote; /* [rows, heads, n_seg] block scores of a choice that all rows and heads share, else NULL */
    bool voted;   /* the first [n_seg] of vote are the sum of all */
} selection;

/* One query row and those of its heads, [head, head + heads), that are computed together. */
typedef struct task {
    size_t row, head, heads;
} task;

/* A worker's arrays, cut from one allocation. */
typedef struct desk {
    size_t heads;
    summary *sum;   /* [heads, n_seg] */
    double *top;    /* [heads, n_seg, select_top] largest scores, falling; -INFINITY where there are fewer */
    double *offset; /* [heads, n_seg] what to add to a score to get the logarithm of its probability */
    double *block;  /* [n_seg] */
    double *raw;    /* [n_groups + 1] log-sum-exp of a group */
    double *lse;    /* [n_groups + 1] the same, scaled */
    double *out;    /* [heads, dim] */
    bool *keep;     /* [heads, n_seg] */
} desk;

static bool desk_open(const selection *s, ba_attn_worker *w, size_t heads, desk *d) {
    const ba_attn_job *job = s->job;
    size_t each = heads * job->n_seg, groups = job->n_groups + 1, top = job->select_k ? job->select_top : 0, doubles;
    if (!ba_multiply_sizes(each, top + 5, &doubles)) { /* 3 of a summary, offset, keep */
        return false;
    }
    doubles += job->n_seg + 2 * groups + heads * s->call->dim;
    double *at = w->choice = ba_attn_grow(w->choice, &w->n_choice, doubles, sizeof *at);
    if (!at) {
        return false;
    }
    d->heads = heads;
    d->sum = (summary *)at;
    d->top = at + 3 * each;
    d->offset = d->top + each * top;
    d->block = d->offset + each;
    d->raw = d->block + job->n_seg;
    d->lse = d->raw + groups;
    d->out = d->lse + groups;
    d->keep = (bool *)(d->out + heads * s->call->dim);
    return true;
}

/* Called for every tile of a segment of which the row sees keys, with the scores; the visible keys are [lo, hi). */
typedef void visit_tile(const selection *s, desk *d, size_t seg, const float *score, const float *v, size_t lo,
                        size_t hi);

static visit_tile add_values;

static void walk(const selection *s, ba_attn_worker *w, desk *d, const task *t, size_t seg_index, visit_tile *visit) {
    const ba_attn_call *call = s->call;
    const ba_kv_segment *seg = &s->job->seg[seg_index];
    ba_range see = ba_segment_range(seg, t->row);
    if (see.lo >= see.hi) {
        return;
    }
    size_t kv_head = t->head / call->group;
    ba_attn_rotate(call, s->job, seg, t->row, t->head, t->heads, w->q);
    const char *v = ba_cpu_values(seg->kv, call->layer, kv_head);
    size_t tile_bytes = BA_KEYS * call->v_stride * seg->kv->size;
    ba_tile tile = {.k = ba_cpu_keys(seg->kv, call->layer, kv_head),
                    .dim = call->dim,
                    .rows = t->heads,
                    .q = w->q,
                    .bias = (float)(seg->score_bias * BA_LOG2E),
                    .s = w->s};
    size_t first = seg->first + see.lo, last = seg->first + see.hi;
    for (size_t i = first / BA_KEYS; i * BA_KEYS < last; i++) {
        size_t lo = first > i * BA_KEYS ? first - i * BA_KEYS : 0;
        size_t hi = last - i * BA_KEYS < BA_KEYS ? last - i * BA_KEYS : BA_KEYS;
        call->cpu->isa->scores(&tile, i);
        const float *values = (const float *)(v + i * tile_bytes);
        if (call->cpu->isa->values && visit == add_values) {
            call->cpu->isa->values(v + i * tile_bytes, call->v_stride,
                                   w->o); /* w->o is unused: there are no partial states */
            values = w->o;
        }
        visit(s, d, seg_index, w->s, values, lo, hi);
    }
}

static void insert_top(double *top, size_t n, double x) {
    if (n == 0 || !(x > top[n - 1])) {
        return;
    }
    size_t at = n - 1;
    for (; at > 0 && x > top[at - 1]; at--) {
        top[at] = top[at - 1];
    }
    top[at] = x;
}

static void summarise(const selection *s, desk *d, size_t seg, const float *score, const float *v, size_t lo,
                      size_t hi) {
    (void)v;
    size_t n_top = s->job->select_k ? s->job->select_top : 0;
    for (size_t h = 0; h < d->heads; h++) {
        size_t at = h * s->job->n_seg + seg;
        summary *sum = &d->sum[at];
        for (size_t j = lo; j < hi; j++) {
            double x = score[h * BA_KEYS + j] / BA_LOG2E;
            if (!(x <= sum->max)) {
                double factor = exp(sum->max - x); /* 0 at the first */
                sum->sum *= factor;
                sum->weighted *= factor;
                sum->max = x;
            }
            double p = exp(x - sum->max);
            sum->sum += p;
            sum->weighted += x * p;
            insert_top(d->top + at * n_top, n_top, x);
        }
    }
}

static double summary_lse(const summary *sum) {
    return sum->max == -INFINITY ? -INFINITY : sum->max + log(sum->sum);
}

/* The first walk. */
static void summarise_all(const selection *s, ba_attn_worker *w, desk *d, const task *t) {
    size_t n = d->heads * s->job->n_seg;
    for (size_t i = 0; i < n; i++) {
        d->sum[i] = (summary){.max = -INFINITY};
    }
    for (size_t i = 0; s->job->select_k && i < n * s->job->select_top; i++) {
        d->top[i] = -INFINITY;
    }
    for (size_t i = 0; i < s->job->n_seg; i++) {
        walk(s, w, d, t, i, summarise);
    }
}

/* log of the sum of exp(lse) over the kept segments of a group, or over all segments (keep NULL). */
static double join(const selection *s, const summary *sum, const bool *keep, size_t group) {
    double max = -INFINITY, total = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < s->job->n_seg; i++) {
            if (keep && (!keep[i] || (size_t)s->job->seg[i].group != group)) {
                continue;
            }
            double lse = summary_lse(&sum[i]);
            if (pass == 0) {
                max = lse > max ? lse : max;
            } else if (lse != -INFINITY) {
                total += exp(lse - max);
            }
        }
    }
    return max == -INFINITY ? max : max + log(total);
}

/* Block scores of one head: the sum of the largest probabilities of each segment. */
static void score_blocks(const selection *s, const desk *d, size_t h, double *block) {
    size_t n_seg = s->job->n_seg, n_top = s->job->select_top;
    double all = join(s, d->sum + h * n_seg, NULL, 0);
    for (size_t i = 0; i < n_seg; i++) {
        block[i] = 0;
        for (size_t t = 0; t < n_top; t++) {
            double x = d->top[(h * n_seg + i) * n_top + t];
            block[i] += x == -INFINITY ? 0 : exp(x - all);
        }
    }
}

static void choose(const ba_attn_job *job, const double *block, bool *keep) {
    for (size_t i = 0; i < job->n_seg; i++) {
        keep[i] = !job->select_k || !job->seg[i].selectable;
    }
    for (size_t k = 0; k < job->select_k; k++) {
        size_t best = job->n_seg;
        for (size_t i = 0; i < job->n_seg; i++) {
            if (!keep[i] && (best == job->n_seg || block[i] > block[best])) {
                best = i;
            }
        }
        if (best == job->n_seg) {
            return;
        }
        keep[best] = true;
    }
}

static void report(const selection *s, const desk *d, const task *t, size_t h) {
    const ba_attn_job *job = s->job;
    size_t at = (t->row * s->call->heads + t->head + h) * job->n_seg;
    for (size_t i = 0; i < job->n_seg; i++) {
        const summary *sum = &d->sum[h * job->n_seg + i];
        bool kept = d->keep[h * job->n_seg + i], there = kept && sum->max != -INFINITY;
        if (job->chosen) {
            job->chosen[at + i] = kept;
        }
        if (job->probe) {
            job->probe->lse[at + i] = there ? summary_lse(sum) : -INFINITY;
            job->probe->mean_score[at + i] = there ? sum->weighted / sum->sum : 0;
        }
    }
}

/* For one head: what is added to the scores of the kept segments to make them logarithms of probabilities. */
static void weigh(const selection *s, desk *d, size_t h) {
    const ba_attn_job *job = s->job;
    const bool *keep = d->keep + h * job->n_seg;
    double max = -INFINITY, total = 0;
    for (size_t g = 0; g <= job->n_groups; g++) {
        d->raw[g] = d->lse[g] = join(s, d->sum + h * job->n_seg, keep, g);
        if (g > 0 && d->raw[g] != -INFINITY) {
            d->lse[g] *= job->group_lse_scale[g - 1];
        }
        max = d->lse[g] > max ? d->lse[g] : max;
    }
    for (size_t g = 0; g <= job->n_groups; g++) {
        total += d->lse[g] == -INFINITY ? 0 : exp(d->lse[g] - max);
    }
    for (size_t i = 0; i < job->n_seg; i++) {
        size_t g = (size_t)job->seg[i].group;
        d->offset[h * job->n_seg + i] = keep[i] ? d->lse[g] - d->raw[g] - max - log(total) : -INFINITY;
    }
}

static void add_values(const selection *s, desk *d, size_t seg, const float *score, const float *v, size_t lo,
                       size_t hi) {
    const ba_attn_call *call = s->call;
    for (size_t h = 0; h < d->heads; h++) {
        if (!d->keep[h * s->job->n_seg + seg]) {
            continue;
        }
        double offset = d->offset[h * s->job->n_seg + seg], *restrict out = d->out + h * call->dim;
        for (size_t j = lo; j < hi; j++) {
            double p = exp(score[h * BA_KEYS + j] / BA_LOG2E + offset);
            const float *value = v + j * call->v_stride;
            for (size_t i = 0; i < call->dim; i++) {
                out[i] += p * value[i];
            }
        }
    }
}

static task task_at(const selection *s, size_t index) {
    size_t per_row = s->call->heads / s->call->group * s->parts, slot = index % per_row;
    size_t from = slot % s->parts * BA_TILE_ROWS, left = s->call->group - from;
    return (task){.row = index / per_row,
                  .head = slot / s->parts * s->call->group + from,
                  .heads = left < BA_TILE_ROWS ? left : BA_TILE_ROWS};
}

/* Element i of the task's heads. */
static void write_one(const selection *s, const task *t, size_t i, float x) {
    size_t row = s->job->row0 + t->row, col = t->head * s->call->dim + i;
    *ba_cpu_room(s->call->out, row, col, &x) = x;
    ba_cpu_put(s->call->cpu, s->call->out, row, col, 1, &x);
}

/* Without memory for its arrays a task writes NaN, which no check accepts. */
static void give_up(const selection *s, const task *t) {
    for (size_t i = 0; i < t->heads * s->call->dim; i++) {
        write_one(s, t, i, NAN);
    }
    s->call->cpu->base.no_memory = true;
}

static void vote_task(void *arg, size_t index, size_t worker) {
    const selection *s = arg;
    ba_attn_worker *w = &s->call->cpu->space->worker[worker];
    task t = task_at(s, index);
    desk d;
    double *vote = s->vote + (t.row * s->call->heads + t.head) * s->job->n_seg;
    bool open = desk_open(s, w, t.heads, &d);
    if (open) {
        summarise_all(s, w, &d, &t);
    }
    for (size_t h = 0; h < t.heads; h++) {
        if (open) {
            score_blocks(s, &d, h, vote + h * s->job->n_seg);
        } else {
            vote[h * s->job->n_seg] = NAN;
        }
    }
}

static void attend_task(void *arg, size_t index, size_t worker) {
    const selection *s = arg;
    const ba_attn_call *call = s->call;
    ba_attn_worker *w = &call->cpu->space->worker[worker];
    size_t n_seg = s->job->n_seg;
    task t = task_at(s, index);
    desk d;
    if (!desk_open(s, w, t.heads, &d)) {
        give_up(s, &t);
        return;
    }
    summarise_all(s, w, &d, &t);
    for (size_t h = 0; h < t.heads; h++) {
        if (s->job->select_k && !s->voted) {
            score_blocks(s, &d, h, d.block);
        }
        choose(s->job, s->voted ? s->vote : d.block, d.keep + h * n_seg);
        weigh(s, &d, h);
        report(s, &d, &t, h);
    }
    memset(d.out, 0, t.heads * call->dim * sizeof *d.out);
    for (size_t i = 0; i < n_seg; i++) {
        ba_range see = ba_segment_range(&s->job->seg[i], t.row);
        w->exact += t.heads * (see.hi - see.lo);
        w->dense += t.heads * s->job->seg[i].n;
        walk(s, w, &d, &t, i, add_values);
    }
    for (size_t i = 0; i < t.heads * call->dim; i++) {
        write_one(s, &t, i, (float)d.out[i]);
    }
}

/* Sums the block scores of all rows and heads into the first n_seg. */
static void count_votes(const selection *s) {
    size_t n_seg = s->job->n_seg;
    for (size_t voter = 1; voter < s->job->rows * s->call->heads; voter++) {
        for (size_t i = 0; i < n_seg; i++) {
            s->vote[i] += s->vote[voter * n_seg + i];
        }
    }
}

void ba_attn_select(const ba_attn_call *call, const ba_attn_job *job) {
    selection s = {.call = call, .job = job, .parts = (call->group + BA_TILE_ROWS - 1) / BA_TILE_ROWS};
    size_t n_tasks = job->rows * (call->heads / call->group) * s.parts;
    ba_pool *pool = call->cpu->pool;
    if (job->select_k && job->select_shared) {
        ba_attn_space *space = call->cpu->space;
        space->vote = ba_attn_grow(space->vote, &space->n_vote, job->rows * call->heads * job->n_seg, sizeof(double));
        s.vote = space->vote;
        if (!s.vote) {
            for (size_t i = 0; i < n_tasks; i++) {
                task t = task_at(&s, i);
                give_up(&s, &t);
            }
            return;
        }
        ba_pool_run(pool, n_tasks, vote_task, &s);
        count_votes(&s);
        s.voted = true;
    }
    ba_pool_run(pool, n_tasks, attend_task, &s);
}
