/* What query rows attend to each key, in two kernels: the log-sum-exp of every query, and for each key of a KV head the
 * sum of its probabilities over the queries. A thread has a key, or every THREADS-th of them; queries are in fp32. */
#include "bf16.cuh"
#include "device.h"
#include "segments.cuh"

namespace {

using namespace ba;

enum { THREADS = 128 };

/* Queries of a KV head: rows x heads of its group, row by row; or one, their mean. */
__device__ int queries_of(const ba_dev_mass &m) {
    return m.mean ? 1 : m.rows * (m.a.heads / m.a.kv_heads);
}

/* The row whose mask a query has. */
__device__ int row_of(const ba_dev_mass &m, int query) {
    return m.mean ? m.rows - 1 : query / (m.a.heads / m.a.kv_heads);
}

/* Element i and its partner of one head's query, rotated and scaled for the segment. */
__device__ void rotate(const ba_dev_mass &m, const ba_dev_segment &seg, int row, int head, int i, float &x, float &y) {
    int half = m.a.dim / 2;
    const float *q = m.a.q.at + (size_t)(m.a.job[0].row0 + row) * m.a.q.stride + (size_t)head * m.a.dim;
    const float *rot = m.a.rot + (size_t)(seg.rot_row + row) * m.a.dim;
    x = (q[i] * rot[i] - q[i + half] * rot[half + i]) * seg.factor;
    y = (q[i + half] * rot[i] + q[i] * rot[half + i]) * seg.factor;
}

__device__ void load_query(const ba_dev_mass &m, const ba_dev_segment &seg, int kv_head, int query, float *out) {
    int group = m.a.heads / m.a.kv_heads, half = m.a.dim / 2;
    int first = m.mean ? 0 : query, last = m.mean ? m.rows * group : query + 1;
    __syncthreads();
    for (int i = (int)threadIdx.x; i < half; i += THREADS) {
        float sum_x = 0, sum_y = 0, x, y;
        for (int p = first; p < last; p++) {
            rotate(m, seg, p / group, kv_head * group + p % group, i, x, y);
            sum_x += x;
            sum_y += y;
        }
        out[i] = sum_x / (float)(last - first);
        out[i + half] = sum_y / (float)(last - first);
    }
    __syncthreads();
}

/* In units of log 2; key counted from the segment's first. */
__device__ float score_of(const ba_dev_mass &m, const ba_dev_segment &seg, int kv_head, int key, const float *q) {
    const uint16_t *k = seg.kv.k + m.a.layer * seg.kv.layer_step + kv_head * seg.kv.head_step +
                        (size_t)(seg.first + key) * seg.kv.stride;
    float sum = 0;
    for (int i = 0; i < m.a.dim; i++) {
        sum = fmaf(q[i], wide(k[i]), sum);
    }
    return sum + seg.bias;
}

/* A block per query and KV head. */
__global__ void __launch_bounds__(THREADS) lse_kernel(ba_dev_mass m) {
    __shared__ float q[BA_DEV_DIM_MAX];
    __shared__ double room_max[THREADS], room_sum[THREADS];
    int query = (int)blockIdx.x, kv_head = (int)blockIdx.y, t = (int)threadIdx.x;
    double max = -INFINITY, sum = 0;
    for (int s = 0; s < m.n_seg; s++) {
        const ba_dev_segment seg = m.a.seg[m.a.job[0].seg0 + s];
        int lo, hi;
        see_range(m.a, seg, row_of(m, query), lo, hi);
        load_query(m, seg, kv_head, query, q);
        for (int key = lo + t; key < hi; key += THREADS) {
            double x = (double)score_of(m, seg, kv_head, key, q);
            if (!(x <= max)) {
                sum *= exp2(max - x); /* 0 at the first */
                max = x;
            }
            sum += exp2(x - max);
        }
    }
    room_max[t] = max;
    room_sum[t] = sum;
    __syncthreads();
    if (t == 0) { /* in a fixed order */
        for (int i = 1; i < THREADS; i++) {
            max = room_max[i] > max ? room_max[i] : max;
        }
        sum = 0;
        for (int i = 0; i < THREADS && max != -INFINITY; i++) {
            sum += room_max[i] == -INFINITY ? 0 : room_sum[i] * exp2(room_max[i] - max);
        }
        m.lse[(size_t)kv_head * queries_of(m) + query] = max == -INFINITY ? max : max + log2(sum);
    }
}

/* A block per THREADS keys (counted over all segments) and KV head; it goes through the segments that they are in. */
__global__ void __launch_bounds__(THREADS) sum_kernel(ba_dev_mass m) {
    __shared__ float q[BA_DEV_DIM_MAX];
    int block0 = (int)blockIdx.x * THREADS, key = block0 + (int)threadIdx.x, kv_head = (int)blockIdx.y;
    double sum = 0;
    for (int s = 0, seg0 = 0; s < m.n_seg; s++) {
        const ba_dev_segment seg = m.a.seg[m.a.job[0].seg0 + s];
        bool here = seg0 < block0 + THREADS && seg0 + seg.n > block0; /* the same for the whole block */
        for (int query = 0; here && query < queries_of(m); query++) {
            double lse = m.lse[(size_t)kv_head * queries_of(m) + query];
            int lo, hi;
            see_range(m.a, seg, row_of(m, query), lo, hi);
            load_query(m, seg, kv_head, query, q);
            if (key - seg0 >= lo && key - seg0 < hi) {
                sum += exp2((double)score_of(m, seg, kv_head, key - seg0, q) - lse);
            }
        }
        seg0 += seg.n;
    }
    if (key < m.keys) {
        m.out[(size_t)kv_head * m.keys + key] = sum;
    }
}

} // namespace

void ba_dev_key_mass(cudaStream_t stream, const ba_dev_mass *m) {
    int queries = m->mean ? 1 : m->rows * (m->a.heads / m->a.kv_heads);
    if (!m->keys) {
        return;
    }
    lse_kernel<<<dim3((unsigned)queries, (unsigned)m->a.kv_heads), THREADS, 0, stream>>>(*m);
    unsigned blocks = (unsigned)((m->keys + THREADS - 1) / THREADS);
    sum_kernel<<<dim3(blocks, (unsigned)m->a.kv_heads), THREADS, 0, stream>>>(*m);
}
