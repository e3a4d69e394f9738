/* What query rows attend to each key. A block has a chunk of a segment's keys and one KV head, and multiplies a tile of
 * keys with a tile of queries at a time; a score is one chain of fp32 over the dimensions, from the left. Two passes over
 * the keys: the first leaves for each query and chunk the largest score and the sum of 2^(score - largest), which are
 * joined in a fixed order; the second sums probabilities over the queries. */
#include "bf16.cuh"
#include "device.h"
#include "segments.cuh"

namespace {

using namespace ba;

enum {
    TILE = 64,  /* queries, and keys, of a tile */
    SLICE = 32, /* dimensions that are in shared memory at a time */
    EACH = 4,   /* queries, and keys, of a thread */
    SIDE = TILE / EACH,
    THREADS = SIDE * SIDE,
    PITCH = TILE + 4,
    WARP = 32
};

/* Queries of a KV head: rows x heads of its group, row by row; or one, their mean. */
__device__ int queries_of(const ba_dev_mass &m) {
    return m.mean ? 1 : m.rows * (m.a.heads / m.a.kv_heads);
}

/* The row whose mask a query has. */
__device__ int row_of(const ba_dev_mass &m, int query) {
    return m.mean ? m.rows - 1 : query / (m.a.heads / m.a.kv_heads);
}

/* Element d of a head's query, rotated and scaled for the segment. */
__device__ float rotated(const ba_dev_mass &m, const ba_dev_segment &seg, int row, int head, int d) {
    int half = m.a.dim / 2, i = d < half ? d : d - half;
    const float *q = m.a.q.at + (size_t)(m.a.job[0].row0 + row) * m.a.q.stride + (size_t)head * m.a.dim;
    const float *rot = m.a.rot + (size_t)(seg.rot_row + row) * m.a.dim;
    return (d < half ? q[i] * rot[i] - q[i + half] * rot[half + i] : q[i + half] * rot[i] + q[i] * rot[half + i]) *
           seg.factor;
}

/* The mean of a KV head's queries as a segment sees them. A block per segment and KV head. */
__global__ void __launch_bounds__(THREADS) mean_kernel(ba_dev_mass m) {
    const ba_dev_segment seg = m.a.seg[m.a.job[0].seg0 + (int)blockIdx.x];
    int kv_head = (int)blockIdx.y, group = m.a.heads / m.a.kv_heads;
    for (int d = (int)threadIdx.x; d < m.a.dim; d += THREADS) {
        float sum = 0;
        for (int p = 0; p < m.rows * group; p++) {
            sum += rotated(m, seg, p / group, kv_head * group + p % group, d);
        }
        m.mean_query[((size_t)blockIdx.x * m.a.kv_heads + kv_head) * m.a.dim + d] = sum / (float)(m.rows * group);
    }
}

struct room {
    float q[SLICE][PITCH], k[SLICE][PITCH];
    int2 see[TILE]; /* keys [x, y) of the segment that a query sees */
};

/* A block's keys and KV head. */
struct desk {
    ba_dev_chunk chunk;
    ba_dev_segment seg;
    int kv_head, seg_index, x, y; /* x: keys EACH x .. of a tile are the thread's; y: queries */
};

__device__ desk desk_at(const ba_dev_mass &m) {
    desk d;
    d.chunk = m.a.chunk[m.a.job[0].chunk0 + (int)blockIdx.x];
    d.seg = m.a.seg[d.chunk.seg];
    d.seg_index = d.chunk.seg - m.a.job[0].seg0;
    d.kv_head = (int)blockIdx.y;
    d.x = (int)threadIdx.x % SIDE;
    d.y = (int)threadIdx.x / SIDE;
    return d;
}

__device__ void load_ranges(const ba_dev_mass &m, const desk &d, int query0, room &r) {
    __syncthreads();
    for (int i = (int)threadIdx.x; i < TILE; i += THREADS) {
        int lo = 0, hi = 0;
        if (query0 + i < queries_of(m)) {
            see_range(m.a, d.seg, row_of(m, query0 + i), lo, hi);
        }
        r.see[i] = make_int2(lo, hi);
    }
    __syncthreads();
}

__device__ void load_slices(const ba_dev_mass &m, const desk &d, int query0, int key0, int dim0, room &r) {
    int group = m.a.heads / m.a.kv_heads;
    for (int e = (int)threadIdx.x; e < TILE * SLICE; e += THREADS) {
        int i = e / SLICE, dim = dim0 + e % SLICE, query = query0 + i;
        float value = 0;
        if (dim < m.a.dim && query < queries_of(m)) {
            value = m.mean ? m.mean_query[((size_t)d.seg_index * m.a.kv_heads + d.kv_head) * m.a.dim + dim]
                           : rotated(m, d.seg, query / group, d.kv_head * group + query % group, dim);
        }
        r.q[e % SLICE][i] = value;
    }
    for (int e = (int)threadIdx.x; e < TILE * SLICE / 8; e += THREADS) { /* 8 dimensions, 16 bytes, of a key */
        int i = e / (SLICE / 8), part = e % (SLICE / 8) * 8;
        uint4 eight = make_uint4(0, 0, 0, 0);
        if (key0 + i < d.chunk.key1 && dim0 + part < m.a.dim) {
            eight = *reinterpret_cast<const uint4 *>(d.seg.kv.k + m.a.layer * d.seg.kv.layer_step +
                                                     d.kv_head * d.seg.kv.head_step +
                                                     (size_t)(d.seg.first + key0 + i) * d.seg.kv.stride + dim0 + part);
        }
        const uint32_t pair[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
        for (int j = 0; j < 4; j++) {
            r.k[part + 2 * j][i] = wide_low(pair[j]);
            r.k[part + 2 * j + 1][i] = wide_high(pair[j]);
        }
    }
}

/* Scores of the thread's queries and keys, in units of log 2. */
__device__ void score_tile(const ba_dev_mass &m, const desk &d, int query0, int key0, room &r,
                           float (&score)[EACH][EACH]) {
    for (int i = 0; i < EACH * EACH; i++) {
        score[i / EACH][i % EACH] = 0;
    }
    for (int dim0 = 0; dim0 < m.a.dim; dim0 += SLICE) {
        __syncthreads();
        load_slices(m, d, query0, key0, dim0, r);
        __syncthreads();
        int dims = min((int)SLICE, m.a.dim - dim0);
        for (int dim = 0; dim < dims; dim++) {
            float4 q = *reinterpret_cast<const float4 *>(&r.q[dim][EACH * d.y]);
            float4 k = *reinterpret_cast<const float4 *>(&r.k[dim][EACH * d.x]);
            const float of_query[EACH] = {q.x, q.y, q.z, q.w}, of_key[EACH] = {k.x, k.y, k.z, k.w};
#pragma unroll
            for (int i = 0; i < EACH * EACH; i++) {
                score[i / EACH][i % EACH] = fmaf(of_query[i / EACH], of_key[i % EACH], score[i / EACH][i % EACH]);
            }
        }
    }
    for (int i = 0; i < EACH * EACH; i++) {
        score[i / EACH][i % EACH] += d.seg.bias;
    }
}

/* Whether the thread's query i sees its key j of the tile at key0. */
__device__ bool sees(const desk &d, const room &r, int key0, int i, int j) {
    int key = key0 + EACH * d.x + j;
    int2 see = r.see[EACH * d.y + i];
    return key >= see.x && key < see.y && key < d.chunk.key1;
}

/* Adds a tile to the largest score and the sum of one query; all threads of its row of SIDE get the result. */
__device__ void add_tile(const desk &d, const room &r, int key0, int i, const float (&score)[EACH], float2 &state) {
    float top = state.x, sum = 0;
    for (int j = 0; j < EACH; j++) {
        top = sees(d, r, key0, i, j) ? fmaxf(top, score[j]) : top;
    }
    for (int step = SIDE / 2; step > 0; step /= 2) {
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, step));
    }
    for (int j = 0; j < EACH; j++) {
        sum += sees(d, r, key0, i, j) ? exp2f(score[j] - top) : 0;
    }
    for (int step = SIDE / 2; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
    }
    state = make_float2(top, state.y * exp2f(state.x - top) + sum);
}

/* A block per chunk, KV head and tile of queries. */
__global__ void __launch_bounds__(THREADS) partial_kernel(ba_dev_mass m) {
    __shared__ room r;
    desk d = desk_at(m);
    int query0 = (int)blockIdx.z * TILE;
    float score[EACH][EACH];
    float2 state[EACH];
    for (int i = 0; i < EACH; i++) {
        state[i] = make_float2(NO_SCORE, 0);
    }
    load_ranges(m, d, query0, r);
    for (int key0 = d.chunk.key0; key0 < d.chunk.key1; key0 += TILE) {
        score_tile(m, d, query0, key0, r, score);
        for (int i = 0; i < EACH; i++) {
            add_tile(d, r, key0, i, score[i], state[i]);
        }
    }
    for (int i = 0; i < EACH && d.x == 0; i++) {
        int query = query0 + EACH * d.y + i;
        if (query < queries_of(m)) {
            m.partial[((size_t)d.kv_head * queries_of(m) + query) * gridDim.x + blockIdx.x] = state[i];
        }
    }
}

__device__ double2 joined(double2 a, double2 b) {
    double top = a.x > b.x ? a.x : b.x;
    return make_double2(top, a.y * exp2(a.x - top) + b.y * exp2(b.x - top));
}

/* A warp per query and KV head joins the states of its chunks. */
__global__ void __launch_bounds__(WARP) join_kernel(ba_dev_mass m, int n_chunk) {
    size_t at = (size_t)blockIdx.y * gridDim.x + blockIdx.x;
    double2 state = make_double2((double)NO_SCORE, 0);
    for (int c = (int)threadIdx.x; c < n_chunk; c += WARP) {
        float2 s = m.partial[at * n_chunk + c];
        state = joined(state, make_double2((double)s.x, (double)s.y));
    }
    for (int step = WARP / 2; step > 0; step /= 2) {
        double2 other =
            make_double2(__shfl_xor_sync(0xffffffffu, state.x, step), __shfl_xor_sync(0xffffffffu, state.y, step));
        state = joined(state, other);
    }
    if (threadIdx.x == 0) {
        m.lse[at] = state.y > 0 ? state.x + log2(state.y) : HUGE_VAL; /* nothing seen: no probability */
    }
}

/* A block per chunk and KV head. */
__global__ void __launch_bounds__(THREADS) sum_kernel(ba_dev_mass m) {
    __shared__ room r;
    __shared__ double sums[SIDE][TILE];
    desk d = desk_at(m);
    float score[EACH][EACH];
    double *out = m.out + (size_t)d.kv_head * m.keys + d.seg.before;
    for (int key0 = d.chunk.key0; key0 < d.chunk.key1; key0 += TILE) {
        double sum[EACH] = {};
        for (int query0 = 0; query0 < queries_of(m); query0 += TILE) {
            load_ranges(m, d, query0, r);
            score_tile(m, d, query0, key0, r, score);
            for (int i = 0; i < EACH; i++) {
                int query = min(query0 + EACH * d.y + i, queries_of(m) - 1); /* beyond the last none sees anything */
                double lse = m.lse[(size_t)d.kv_head * queries_of(m) + query];
                for (int j = 0; j < EACH; j++) {
                    sum[j] += sees(d, r, key0, i, j) ? (double)exp2f((float)((double)score[i][j] - lse)) : 0;
                }
            }
        }
        __syncthreads();
        for (int j = 0; j < EACH; j++) {
            sums[d.y][EACH * d.x + j] = sum[j];
        }
        __syncthreads();
        int key = (int)threadIdx.x;
        if (key < TILE && key0 + key < d.chunk.key1) {
            double all = 0;
            for (int y = 0; y < SIDE; y++) {
                all += sums[y][key];
            }
            out[key0 + key] = all;
        }
    }
}

} // namespace

void ba_dev_key_mass(cudaStream_t stream, const ba_dev_mass *m) {
    unsigned queries = m->mean ? 1 : (unsigned)(m->rows * (m->a.heads / m->a.kv_heads));
    unsigned chunks = (unsigned)m->n_chunk, kv_heads = (unsigned)m->a.kv_heads;
    if (!chunks || !queries) {
        return;
    }
    if (m->mean) {
        mean_kernel<<<dim3((unsigned)m->n_seg, kv_heads), THREADS, 0, stream>>>(*m);
    }
    partial_kernel<<<dim3(chunks, kv_heads, (queries + TILE - 1) / TILE), THREADS, 0, stream>>>(*m);
    join_kernel<<<dim3(queries, kv_heads), WARP, 0, stream>>>(*m, m->n_chunk);
    sum_kernel<<<dim3(chunks, kv_heads), THREADS, 0, stream>>>(*m);
}
