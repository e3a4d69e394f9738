/* What query rows attend to each key, by the definition: all scores of a row and head, their softmax, and the sum. */
#include "kernels/count.h"
#include "ref.h"

#include <math.h>
#include <string.h>

typedef struct call {
    const ba_attn_job *job;
    const ba_rot *rot;
    size_t layer, dim, heads, kv_heads;
    double scale;
    ba_view q;
    double *query; /* [2, dim] the query for the current segment; one rotated row */
    double *score; /* [keys] */
} call;

/* The query of a head, rotated for a segment; or the mean over all rows and the heads of its group. */
static void make_query(const call *c, const ba_kv_segment *seg, size_t row, size_t head, bool mean) {
    const ba_attn_job *job = c->job;
    size_t group = c->heads / c->kv_heads;
    if (!mean) {
        ba_ref_rotate(ba_ref_row(c->q, job->row0 + row) + head * c->dim, c->dim, c->rot, seg->rot_row + row, c->query);
        return;
    }
    double *one = c->query + c->dim;
    memset(c->query, 0, c->dim * sizeof *c->query);
    for (size_t r = 0; r < job->rows; r++) {
        for (size_t h = head * group; h < (head + 1) * group; h++) {
            ba_ref_rotate(ba_ref_row(c->q, job->row0 + r) + h * c->dim, c->dim, c->rot, seg->rot_row + r, one);
            for (size_t d = 0; d < c->dim; d++) {
                c->query[d] += one[d] / (double)(job->rows * group);
            }
        }
    }
}

/* Adds the probabilities of one query to out. head: of queries; with `mean`, of keys. */
static void add_query(const call *c, size_t row, size_t head, bool mean, double *out) {
    const ba_attn_job *job = c->job;
    size_t kv_head = mean ? head : head / (c->heads / c->kv_heads), key0 = 0;
    double max = -INFINITY, sum = 0;
    for (size_t s = 0; s < job->n_seg; key0 += job->seg[s++].n) {
        const ba_kv_segment *seg = &job->seg[s];
        ba_range see = ba_segment_range(seg, row);
        make_query(c, seg, row, head, mean);
        for (size_t j = 0; j < seg->n; j++) {
            const double *key = seg->kv->k + ba_ref_token(seg->kv, c->layer, kv_head, seg->first + j);
            double dot = 0;
            for (size_t d = 0; d < c->dim; d++) {
                dot += c->query[d] * key[d];
            }
            bool seen = j >= see.lo && j < see.hi;
            c->score[key0 + j] = seen ? dot * c->scale * seg->score_scale + seg->score_bias : -INFINITY;
            max = fmax(max, c->score[key0 + j]);
        }
    }
    for (size_t i = 0; i < key0; i++) {
        sum += max > -INFINITY ? exp(c->score[i] - max) : 0;
    }
    for (size_t i = 0; i < key0 && sum > 0; i++) {
        out[i] += exp(c->score[i] - max) / sum;
    }
}

void ba_ref_key_mass(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                     const ba_attn_job *job, ba_view q, bool mean_query, double *out) {
    size_t keys = 0, dim = 2 * rot->half, kv_heads = job->n_seg ? job->seg[0].kv->kv_heads : heads;
    for (size_t s = 0; s < job->n_seg; s++) {
        keys += job->seg[s].n;
    }
    double *room = ba_ref_scratch((ba_ref_backend *)be, 2 * dim + keys);
    for (size_t i = 0; i < keys; i++) {
        out[i] = room ? 0 : NAN;
    }
    if (!room) {
        be->no_memory = true;
        return;
    }
    call c = {job, rot, layer, dim, heads, kv_heads, scale, q, room, room + 2 * dim};
    for (size_t r = mean_query ? job->rows - 1 : 0; r < job->rows; r++) {
        for (size_t h = 0; h < (mean_query ? kv_heads : heads); h++) {
            add_query(&c, r, h, mean_query, out);
        }
    }
    ba_count_key_mass(be, job, heads, kv_heads, dim, mean_query);
}
