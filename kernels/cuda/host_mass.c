/* What query rows attend to each key: the job is flattened as for attention, and the sums of the KV heads are added up
 * here, in order. */
#include "host.h"

#include "kernels/count.h"

#include <math.h>

/* The job's lists on the device; NULL: out of memory. */
static const char *stage(ba_gpu *be, const ba_attn_job *job, double scale, const ba_dev_attention *on) {
    ba_cuda_lists *l = &be->lists; /* those of the last call of attention stay in `staged` */
    return ba_cuda_flatten(l, job, 1, scale, on, false) ? ba_cuda_stage(be, l->at, l->n) : NULL;
}

/* [kv_heads, keys] on the host until the next call; NULL: out of memory. */
static const double *sums_of(ba_gpu *be, const ba_attn_job *job, double scale, ba_dev_mass *m) {
    const char *lists = stage(be, job, scale, &m->a);
    if (!lists) {
        return NULL;
    }
    m->n_chunk = ((const ba_dev_job *)(be->lists.at + be->lists.job))->n_chunk;
    size_t kv_heads = (size_t)m->a.kv_heads, chunks = (size_t)m->n_chunk;
    size_t queries = m->mean ? kv_heads : job->rows * (size_t)m->a.heads;
    double *out = ba_cuda_alloc(be, kv_heads, (size_t)m->keys, 1, sizeof *out);
    double *room = ba_cuda_alloc(be, queries, chunks + 1, 1, sizeof *room); /* a float2 is as large as a double */
    float *mean = m->mean ? ba_cuda_alloc(be, job->n_seg, kv_heads, (size_t)m->a.dim, sizeof *mean) : NULL;
    const double *landed = NULL;
    if (out && room && (mean || !m->mean)) {
        ba_cuda_point(&m->a, &be->lists, lists);
        m->lse = room;
        m->partial = (float2 *)(room + queries);
        m->mean_query = mean;
        m->out = out;
        ba_cuda_await(be, m->a.layer);
        ba_dev_key_mass(be->stream, m);
        ba_cuda_launched(be);
        landed = ba_cuda_land(be, out, kv_heads * (size_t)m->keys * sizeof *landed);
    }
    ba_cuda_free(be, mean);
    ba_cuda_free(be, room);
    ba_cuda_free(be, out);
    return landed;
}

void ba_cuda_key_mass(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                      const ba_attn_job *job, ba_view q, bool mean_query, double *out) {
    size_t keys = 0, kv_heads = job->n_seg ? (size_t)job->seg[0].kv->on.kv_heads : heads;
    for (size_t s = 0; s < job->n_seg; s++) {
        keys += job->seg[s].n;
    }
    ba_dev_mass m = {.a = {.n_jobs = 1,
                           .heads = (int)heads,
                           .kv_heads = (int)kv_heads,
                           .dim = (int)(2 * rot->half),
                           .layer = layer,
                           .rot = rot->at,
                           .q = ba_cuda_matrix(q)},
                     .rows = (int)job->rows,
                     .n_seg = (int)job->n_seg,
                     .keys = (int)keys,
                     .mean = mean_query};
    const double *sum = keys ? sums_of((ba_gpu *)be, job, scale, &m) : NULL;
    be->no_memory = be->no_memory || (keys && !sum);
    for (size_t i = 0; i < keys; i++) {
        out[i] = sum ? 0 : NAN;
        for (size_t h = 0; sum && h < kv_heads; h++) {
            out[i] += sum[h * keys + i];
        }
    }
    ba_count_key_mass(be, job, heads, kv_heads, (size_t)(2 * rot->half), mean_query);
}
