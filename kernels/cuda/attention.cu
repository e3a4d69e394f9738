/* Attention over segments in place, in two kernels: partial states of (row tile, chunk of keys) pairs, and their merge
 * in order. A chunk's cuts depend on tokens alone, so a row's bits depend neither on the rows beside it nor on the keys
 * after the last one that it sees.
 *
 * Queries are rotated and scaled in fp32, then rounded; probabilities are rounded before they weigh the values, and
 * their sum is that of the rounded ones. */
#include "bf16.cuh"
#include "device.h"
#include "merge.cuh"
#include "out.cuh"
#include "tile.cuh"

namespace {

using namespace ba;

/* Of one item and part of the heads. */
struct partial_state {
    float *m, *l, *o; /* [TILE], [TILE], [TILE, dim]; m and o mean nothing where l is 0 */
};

__device__ partial_state partial_at(float *partial, size_t slot, int dim) {
    float *at = partial + slot * TILE * (size_t)(dim + 2);
    return {at, at + TILE, at + 2 * TILE};
}

template <int dim> struct attend_room {
    uint16_t q[TILE][dim + 8], k[2][TILE][dim + 8], v[2][TILE][dim + 8];
    int lo[TILE], hi[TILE];
};

/* A warp's 16 rows: lane 4 g + t has rows g and g + 8. */
template <int dim> struct row_state { float m[2], l[2], o[dim / 8][4]; };

/* Masks, softens, and adds the values of a step of keys that begins at `token`; lo, hi: of the lane's two rows. */
template <int dim>
__device__ void add_step(row_state<dim> &state, float (&s)[TILE / 8][4], const uint16_t (*v)[dim + 8], int token,
                         const int (&lo)[2], const int (&hi)[2], float bias, int lane) {
    float most[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int n = 0; n < TILE / 8; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int key = token + n * 8 + lane % 4 * 2 + i % 2;
            s[n][i] = key >= lo[i / 2] && key < hi[i / 2] ? s[n][i] + bias : -INFINITY;
            most[i / 2] = fmaxf(most[i / 2], s[n][i]);
        }
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        most[r] = fmaxf(most[r], __shfl_xor_sync(0xffffffffu, most[r], 1));
        most[r] = fmaxf(most[r], __shfl_xor_sync(0xffffffffu, most[r], 2));
        float m = fmaxf(state.m[r], most[r]), factor = exp2f(state.m[r] - m);
        state.m[r] = m;
        state.l[r] *= factor;
#pragma unroll
        for (int d = 0; d < dim / 8; d++) {
            state.o[d][2 * r] *= factor;
            state.o[d][2 * r + 1] *= factor;
        }
    }
    uint32_t p[TILE / 8][2]; /* probabilities of the two rows, as pairs of keys */
#pragma unroll
    for (int n = 0; n < TILE / 8; n++) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            p[n][r] = round_pair(exp2f(s[n][2 * r] - state.m[r]), exp2f(s[n][2 * r + 1] - state.m[r]));
            state.l[r] += wide_low(p[n][r]) + wide_high(p[n][r]);
        }
    }
#pragma unroll
    for (int n = 0; n < TILE / 8; n += 2) {
        uint32_t a[4] = {p[n][0], p[n][1], p[n + 1][0], p[n + 1][1]};
#pragma unroll
        for (int d = 0; d < dim / 8; d += 2) {
            uint32_t b[4];
            load_tiles_transposed(b, &v[n * 8 + lane % 16][d * 8 + lane / 16 * 8]);
            mma(state.o[d], a, b[0], b[1]);
            mma(state.o[d + 1], a, b[2], b[3]);
        }
    }
}

template <int dim>
__device__ void store_state(const row_state<dim> &state, partial_state to, int row, int rows, int real_dim, int lane) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float l = state.l[r];
        l += __shfl_xor_sync(0xffffffffu, l, 1);
        l += __shfl_xor_sync(0xffffffffu, l, 2);
        int at = row + lane / 4 + 8 * r;
        if (at >= rows) {
            continue;
        }
        if (lane % 4 == 0) {
            to.m[at] = state.m[r];
            to.l[at] = l;
        }
#pragma unroll
        for (int d = 0; d < dim / 8; d++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                int col = d * 8 + lane % 4 * 2 + i;
                if (col < real_dim) {
                    to.o[(size_t)at * real_dim + col] = state.o[d][2 * r + i];
                }
            }
        }
    }
}

/* A block per item and part of the heads. */
template <int dim>
__global__ void __launch_bounds__(THREADS) attend_kernel(ba_dev_attention a, int item0, float *partial) {
    extern __shared__ __align__(16) unsigned char memory[];
    auto &room = *reinterpret_cast<attend_room<dim> *>(memory);
    const ba_dev_job job = a.job[find_job(a.job, a.n_jobs, item0 + (int)blockIdx.x, &ba_dev_job::item0)];
    int local = item0 + (int)blockIdx.x - job.item0;
    const ba_dev_chunk chunk = a.chunk[job.chunk0 + local % job.n_chunk];
    const ba_dev_segment seg = a.seg[chunk.seg];
    tile t = tile_at(a, job, local / job.n_chunk, (int)blockIdx.y);
    int rows = t.rows * t.heads, begin = seg.first + chunk.key0, end = seg.first + chunk.key1;
    partial_state to = partial_at(partial, (size_t)blockIdx.x * gridDim.y + blockIdx.y, a.dim);
    __shared__ int first_seen, last_seen;
    if (threadIdx.x == 0) {
        first_seen = end;
        last_seen = begin;
    }
    __syncthreads();
    if (threadIdx.x < TILE) {
        int r = (int)threadIdx.x, lo = 0, hi = 0;
        if (r < rows) {
            see_range(a, seg, t.row + r / t.heads, lo, hi);
            lo = max(seg.first + lo, begin);
            hi = min(seg.first + hi, end);
            if (lo < hi) {
                atomicMin(&first_seen, lo);
                atomicMax(&last_seen, hi);
            }
        }
        room.lo[r] = lo;
        room.hi[r] = hi;
    }
    __syncthreads();
    int first = first_seen / TILE * TILE, last = last_seen;
    if (first_seen >= last_seen) {
        if ((int)threadIdx.x < rows) {
            to.l[threadIdx.x] = 0;
        }
        return;
    }
    size_t head_at = a.layer * seg.kv.layer_step + (size_t)t.kv_head * seg.kv.head_step;
    const uint16_t *keys = seg.kv.k + head_at, *values = seg.kv.v + head_at;
    auto fetch = [&](int token, int which) {
        if (token < last) {
            fetch_tokens<dim>(room.k[which], keys, seg.kv.stride, token, begin, end);
            fetch_tokens<dim>(room.v[which], values, seg.kv.stride, token, begin, end);
        }
        copies_commit();
    };
    fetch(first, 0);
    load_queries<dim>(room.q, a, job, seg, t);
    int lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP * 16;
    int lo[2] = {room.lo[row + lane / 4], room.lo[row + lane / 4 + 8]};
    int hi[2] = {room.hi[row + lane / 4], room.hi[row + lane / 4 + 8]};
    row_state<dim> state;
    state.m[0] = state.m[1] = NO_SCORE;
    state.l[0] = state.l[1] = 0;
#pragma unroll
    for (int d = 0; d < dim / 8; d++) {
        state.o[d][0] = state.o[d][1] = state.o[d][2] = state.o[d][3] = 0;
    }
    for (int token = first, which = 0; token < last; token += TILE, which ^= 1) {
        fetch(token + TILE, which ^ 1);
        copies_wait<1>();
        __syncthreads();
        if (row < rows) {
            float s[TILE / 8][4];
            score<dim>(s, room.q + row, room.k[which], lane);
            add_step<dim>(state, s, room.v[which], token, lo, hi, seg.bias, lane);
        }
        __syncthreads();
    }
    if (row < rows) {
        store_state<dim>(state, to, row, rows, a.dim, lane);
    }
}

/* A warp per row of a tile and part of the heads. */
__global__ void __launch_bounds__(THREADS) merge_kernel(ba_dev_attention a, int item0, int tile0, float *partial) {
    int index = tile0 + (int)blockIdx.x / (TILE / WARPS);
    int r = (int)blockIdx.x % (TILE / WARPS) * WARPS + (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    const ba_dev_job job = a.job[find_job(a.job, a.n_jobs, index, &ba_dev_job::tile0)];
    tile t = tile_at(a, job, index - job.tile0, (int)blockIdx.y);
    if (r >= t.rows * t.heads) {
        return;
    }
    size_t item = (size_t)(job.item0 - item0) + (size_t)(index - job.tile0) * job.n_chunk;
    merged<BA_DEV_DIM_MAX / LANES> all, group;
    clear(all);
    clear(group);
    int in_hand = 0;
    for (int c = 0; c < job.n_chunk; c++) {
        int of = a.chunk[job.chunk0 + c].group;
        if (of != in_hand) {
            merge_group(all, group, in_hand, a.lse_scale + job.scale0, a.dim, lane);
            in_hand = of;
        }
        partial_state from = partial_at(partial, (item + c) * gridDim.y + blockIdx.y, a.dim);
        float l = from.l[r], o[BA_DEV_DIM_MAX / WARP];
        if (l == 0) {
            continue;
        }
#pragma unroll
        for (int i = 0; i < BA_DEV_DIM_MAX / WARP; i++) {
            o[i] = i * WARP + lane < a.dim ? from.o[(size_t)r * a.dim + i * WARP + lane] : 0;
        }
        merge(group, from.m[r], l, o, a.dim, lane);
    }
    merge_group(all, group, in_hand, a.lse_scale + job.scale0, a.dim, lane);
    int row = job.row0 + t.row + r / t.heads, head = t.head + r % t.heads;
    if (a.lse && lane == 0) {
        a.lse[(size_t)row * a.lse_stride + head] = all.l == 0 ? -INFINITY : (all.m + log2f(all.l)) / LOG2E;
    }
    put_merged(a, all, row, head, lane);
}

template <int dim> void attend(cudaStream_t stream, const ba_dev_attention *a, int item0, int items, float *partial) {
    constexpr int room = (int)sizeof(attend_room<dim>);
    if (room > 48 * 1024) {
        cudaFuncSetAttribute(attend_kernel<dim>, cudaFuncAttributeMaxDynamicSharedMemorySize, room);
    }
    dim3 grid((unsigned)items, (unsigned)ba_dev_head_parts(a->heads, a->kv_heads, BA_DEV_TILE));
    attend_kernel<dim><<<grid, THREADS, room, stream>>>(*a, item0, partial);
}

} // namespace

void ba_dev_attend(cudaStream_t stream, const ba_dev_attention *a, int item0, int items, int tile0, int tiles,
                   float *partial) {
    if (items && a->dim <= 64) {
        attend<64>(stream, a, item0, items, partial);
    } else if (items && a->dim <= 128) {
        attend<128>(stream, a, item0, items, partial);
    } else if (items) {
        attend<BA_DEV_DIM_MAX>(stream, a, item0, items, partial);
    }
    if (tiles) {
        dim3 grid((unsigned)tiles * (TILE / WARPS), (unsigned)ba_dev_head_parts(a->heads, a->kv_heads, BA_DEV_TILE));
        merge_kernel<<<grid, THREADS, 0, stream>>>(*a, item0, tile0, partial);
    }
}
