/* Attention of one query row and head at a time, over all scores of that row: the definition, written out.
 *
 *   s_j  = (R q) . k_j scale score_scale + score_bias     for every visible key j of every segment
 *   L_s  = log sum_j exp(s_j)                             over the keys of segment s
 *   keep = the segments that select_k leaves
 *   L_g  = log sum_s exp(L_s)                             over the kept segments of group g
 *   Z    = log sum_g exp(c_g L_g)                         c_0 = 1, c_g = group_lse_scale[g - 1]
 *   out  = sum_j exp(s_j - L_g + c_g L_g - Z) v_j         over the keys of kept segments */
#include "kernels/count.h"
#include "ref.h"

#include <math.h>
#include <string.h>

/* One query row and head; arrays live in the backend's scratch. */
typedef struct row_state {
    ba_ref_backend *be;
    const ba_attn_job *job;
    const ba_rot *rot;
    size_t layer, heads, kv_head;
    double scale;
    double *query; /* [dim], rotated for the current segment */
    double *score; /* visible keys of all segments, one segment after the other */
    double *lse;   /* [n_seg] L_s */
    double *block; /* [n_seg] block scores of select_k */
    double *group; /* [n_groups + 1] c_g L_g */
    double *raw;   /* [n_groups + 1] L_g */
    bool *keep;    /* [n_seg] */
} row_state;

static double log_sum_exp(const double *x, size_t n) {
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) {
            return NAN;
        }
        max = fmax(max, x[i]);
    }
    if (max == -INFINITY) {
        return max;
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp(x[i] - max);
    }
    return max + log(sum);
}

static void compute_scores(row_state *s, size_t row, const double *q) {
    double *score = s->score;
    for (size_t i = 0; i < s->job->n_seg; i++) {
        const ba_kv_segment *seg = &s->job->seg[i];
        ba_range see = ba_segment_range(seg, row);
        size_t dim = seg->kv->dim, n = see.hi - see.lo;
        ba_ref_rotate(q, dim, s->rot, seg->rot_row + row, s->query);
        for (size_t j = 0; j < n; j++) {
            const double *key = seg->kv->k + ba_ref_token(seg->kv, s->layer, s->kv_head, seg->first + see.lo + j);
            double dot = 0;
            for (size_t d = 0; d < dim; d++) {
                dot += s->query[d] * key[d];
            }
            score[j] = dot * s->scale * seg->score_scale + seg->score_bias;
        }
        s->lse[i] = log_sum_exp(score, n);
        s->be->base.count.flops_exact += 4 * (uint64_t)n * dim;
        s->be->base.count.flops_dense += 4 * (uint64_t)seg->n * dim;
        score += n;
    }
}

/* Adds each segment's sum of its select_top largest probabilities to block. The largest are found one after the other:
 * the next one is the largest that is smaller than the last one, or equal to it and at a higher index. */
static void add_block_scores(const row_state *s, size_t row) {
    double all = log_sum_exp(s->lse, s->job->n_seg);
    const double *score = s->score;
    for (size_t i = 0; i < s->job->n_seg; i++) {
        ba_range see = ba_segment_range(&s->job->seg[i], row);
        size_t n = see.hi - see.lo, last = 0;
        for (size_t t = 0; t < s->job->select_top && t < n; t++) {
            size_t best = n;
            for (size_t j = 0; j < n; j++) {
                bool taken = t > 0 && (score[j] > score[last] || (score[j] == score[last] && j <= last));
                if (!taken && (best == n || score[j] > score[best])) {
                    best = j;
                }
            }
            if (best == n) {
                break; /* NaN scores */
            }
            s->block[i] += exp(score[best] - all);
            last = best;
        }
        score += n;
    }
}

static void choose(const row_state *s) {
    const ba_attn_job *job = s->job;
    for (size_t i = 0; i < job->n_seg; i++) {
        s->keep[i] = !job->seg[i].selectable || !job->select_k;
    }
    for (size_t k = 0; k < job->select_k; k++) {
        size_t best = job->n_seg;
        for (size_t i = 0; i < job->n_seg; i++) {
            if (!s->keep[i] && (best == job->n_seg || s->block[i] > s->block[best])) {
                best = i;
            }
        }
        if (best == job->n_seg) {
            return;
        }
        s->keep[best] = true;
    }
}

/* Fills raw (L_g) and group (c_g L_g); returns Z. */
static double merge_groups(const row_state *s) {
    size_t n_group = s->job->n_groups + 1;
    for (size_t g = 0; g < n_group; g++) {
        double max = -INFINITY, sum = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (size_t i = 0; i < s->job->n_seg; i++) {
                if ((size_t)s->job->seg[i].group == g && s->keep[i] && s->lse[i] > -INFINITY) {
                    max = pass ? max : fmax(max, s->lse[i]);
                    sum += pass ? exp(s->lse[i] - max) : 0;
                }
            }
        }
        s->raw[g] = s->group[g] = max > -INFINITY ? max + log(sum) : max;
        if (g > 0 && max > -INFINITY) {
            s->group[g] *= s->job->group_lse_scale[g - 1];
        }
    }
    return log_sum_exp(s->group, n_group);
}

static void sum_values(const row_state *s, size_t row, double z, size_t dim, double *out) {
    memset(out, 0, dim * sizeof *out);
    const double *score = s->score;
    for (size_t i = 0; i < s->job->n_seg; i++) {
        const ba_kv_segment *seg = &s->job->seg[i];
        ba_range see = ba_segment_range(seg, row);
        size_t n = see.hi - see.lo;
        for (size_t j = 0; j < n && s->keep[i]; j++) {
            const double *value = seg->kv->v + ba_ref_token(seg->kv, s->layer, s->kv_head, seg->first + see.lo + j);
            double p = exp(score[j] - s->raw[seg->group] + s->group[seg->group] - z);
            for (size_t d = 0; d < dim; d++) {
                out[d] += p * value[d];
            }
        }
        score += n;
    }
}

static void report(const row_state *s, size_t row, size_t head) {
    const ba_attn_job *job = s->job;
    size_t at = (row * s->heads + head) * job->n_seg;
    const double *score = s->score;
    for (size_t i = 0; i < job->n_seg; i++) {
        ba_range see = ba_segment_range(&job->seg[i], row);
        size_t n = see.hi - see.lo;
        if (job->chosen) {
            job->chosen[at + i] = s->keep[i];
        }
        if (job->probe) {
            bool there = s->keep[i] && n > 0;
            double mean = 0;
            for (size_t j = 0; j < n && there; j++) {
                mean += score[j] * exp(score[j] - s->lse[i]);
            }
            job->probe->lse[at + i] = there ? s->lse[i] : -INFINITY;
            job->probe->mean_score[at + i] = mean;
        }
        score += n;
    }
}

static void zero_blocks(const row_state *s) {
    for (size_t i = 0; i < s->job->n_seg; i++) {
        s->block[i] = 0;
    }
}

static void attend_job(row_state *s, size_t dim, size_t kv_heads, ba_view q, ba_view out) {
    const ba_attn_job *job = s->job;
    ba_counters before = s->be->base.count;
    if (job->select_k && job->select_shared) {
        /* A first pass over all rows and heads, for the one choice that they share. */
        zero_blocks(s);
        for (size_t r = 0; r < job->rows; r++) {
            for (size_t h = 0; h < s->heads; h++) {
                s->kv_head = h / (s->heads / kv_heads);
                compute_scores(s, r, ba_ref_row(q, job->row0 + r) + h * dim);
                add_block_scores(s, r);
            }
        }
        choose(s);
        s->be->base.count = before; /* only the second pass counts */
    }
    for (size_t r = 0; r < job->rows; r++) {
        for (size_t h = 0; h < s->heads; h++) {
            s->kv_head = h / (s->heads / kv_heads);
            compute_scores(s, r, ba_ref_row(q, job->row0 + r) + h * dim);
            if (!job->select_shared || !job->select_k) {
                zero_blocks(s);
                if (job->select_k) {
                    add_block_scores(s, r);
                }
                choose(s);
            }
            double z = merge_groups(s);
            sum_values(s, r, z, dim, ba_ref_row(out, job->row0 + r) + h * dim);
            report(s, r, h);
        }
    }
}

static void poison(const ba_attn_job *job, size_t cols, ba_view out) {
    for (size_t r = 0; r < job->rows; r++) {
        for (size_t i = 0; i < cols; i++) {
            ba_ref_row(out, job->row0 + r)[i] = NAN;
        }
    }
}

void ba_ref_attention(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                      const ba_attn_job *job, size_t n_jobs, ba_view q, ba_view out) {
    size_t dim = 2 * rot->half;
    for (size_t j = 0; j < n_jobs; j++) {
        size_t n_seg = job[j].n_seg, n_group = job[j].n_groups + 1, keys = 0;
        for (size_t i = 0; i < n_seg; i++) {
            keys += job[j].seg[i].n;
        }
        double *at = ba_ref_scratch((ba_ref_backend *)be, dim + keys + 3 * n_seg + 2 * n_group);
        if (!at) {
            poison(&job[j], heads * dim, out);
            be->no_memory = true;
            continue;
        }
        row_state s = {.be = (ba_ref_backend *)be,
                       .job = &job[j],
                       .rot = rot,
                       .layer = layer,
                       .heads = heads,
                       .scale = scale,
                       .query = at,
                       .score = at + dim};
        s.lse = s.score + keys;
        s.block = s.lse + n_seg;
        s.group = s.block + n_seg;
        s.raw = s.group + n_group;
        s.keep = (bool *)(s.raw + n_group);
        size_t kv_heads = n_seg ? job[j].seg[0].kv->kv_heads : heads;
        attend_job(&s, dim, kv_heads, q, out);
        ba_count_attention_bytes(be, &job[j], 1, heads, kv_heads, dim);
    }
}
