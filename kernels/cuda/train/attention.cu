/* The backward of training's attention; the forward is that of attention.cu. Formulas: train_ref_attention.c.
 *
 * Two kernels, each of which owns what it writes, so that sums need no atomics: a block per row tile walks over keys
 * and adds up dq; a block per step of keys walks over row tiles and adds up dk and dv. Both compute probabilities again
 * from the log-sum-exp. Operands of products are rounded to bf16, sums are fp32. */
#include "kernels/cuda/device_train.h"
#include "kernels/cuda/tile.cuh"

namespace {

using namespace ba;

__global__ void pack_kernel(ba_dev_kv kv, size_t rows, ba_dev_matrix k, ba_dev_matrix v) {
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x, dim = (size_t)kv.dim;
    size_t d = i % dim, head = i / dim % kv.kv_heads, row = i / dim / kv.kv_heads;
    if (row < rows) {
        size_t to = head * kv.head_step + row * kv.stride + d;
        kv.k[to] = round_bf16(k.at[row * k.stride + head * dim + d]);
        kv.v[to] = round_bf16(v.at[row * v.stride + head * dim + d]);
    }
}

/* A warp per row and head: <dout, out>, of dout as products see it. */
__global__ void mean_kernel(ba_dev_attention_back b) {
    size_t i = (size_t)blockIdx.x * WARPS + threadIdx.x / WARP, row = i / b.a.heads, head = i % b.a.heads;
    if (row >= b.rows) {
        return;
    }
    const float *dout = b.dout.at + row * b.dout.stride + head * b.a.dim;
    const float *out = b.a.out.at + row * b.a.out.stride + head * b.a.dim;
    float sum = 0;
    for (int d = (int)threadIdx.x % WARP; d < b.a.dim; d += WARP) {
        sum = fmaf(wide(round_bf16(dout[d])), out[d], sum);
    }
    for (int step = WARP / 2; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
    }
    if (threadIdx.x % WARP == 0) {
        b.mean[i] = sum;
    }
}

/* What both kernels need of a row tile. */
template <int dim> struct rows_room {
    uint16_t q[TILE][dim + 8], dout[TILE][dim + 8];
    int lo[TILE], hi[TILE];      /* tokens that a row sees; lo = hi where there is no row */
    float lse[TILE], mean[TILE]; /* lse in units of log 2 */
};

/* dout of a tile, rounded; zeros where there is no row or dimension. */
template <int dim>
__device__ void load_dout(rows_room<dim> &room, const ba_dev_attention_back &b, int row0, const tile &t) {
    for (int i = (int)threadIdx.x; i < TILE * dim; i += THREADS) {
        int r = i / dim, d = i % dim;
        bool there = r < t.rows * t.heads && d < b.a.dim;
        size_t row = (size_t)(row0 + t.row + r / t.heads), head = (size_t)(t.head + r % t.heads);
        room.dout[r][d] = there ? round_bf16(b.dout.at[row * b.dout.stride + head * b.a.dim + d]) : 0;
    }
}

/* What the rows of a tile see of a segment, and their log-sum-exps and means. */
template <int dim>
__device__ void load_rows(rows_room<dim> &room, const ba_dev_attention_back &b, int row0, const ba_dev_segment &seg,
                          const tile &t) {
    int r = (int)threadIdx.x;
    if (r >= TILE) {
        return;
    }
    room.lo[r] = room.hi[r] = 0;
    room.lse[r] = room.mean[r] = 0;
    if (r < t.rows * t.heads) {
        int lo, hi;
        see_range(b.a, seg, t.row + r / t.heads, lo, hi);
        size_t row = (size_t)(row0 + t.row + r / t.heads), head = (size_t)(t.head + r % t.heads);
        room.lo[r] = seg.first + lo;
        room.hi[r] = seg.first + hi;
        room.lse[r] = b.lse[row * b.lse_stride + head] * LOG2E;
        room.mean[r] = b.mean[row * b.a.heads + head];
    }
}

/* acc [16, dim] += x [16, TILE] y [TILE, dim]; x in fp32 as mma leaves it, rounded here. */
template <int dim>
__device__ void add_product(float (&acc)[dim / 8][4], const float (&x)[TILE / 8][4], const uint16_t (*y)[dim + 8],
                            int lane) {
#pragma unroll
    for (int n = 0; n < TILE / 8; n += 2) {
        uint32_t a[4] = {round_pair(x[n][0], x[n][1]), round_pair(x[n][2], x[n][3]),
                         round_pair(x[n + 1][0], x[n + 1][1]), round_pair(x[n + 1][2], x[n + 1][3])};
#pragma unroll
        for (int d = 0; d < dim / 8; d += 2) {
            uint32_t b[4];
            load_tiles_transposed(b, &y[n * 8 + lane % 16][d * 8 + lane / 16 * 8]);
            mma(acc[d], a, b[0], b[1]);
            mma(acc[d + 1], a, b[2], b[3]);
        }
    }
}

template <int dim> __device__ void clear(float (&acc)[dim / 8][4]) {
#pragma unroll
    for (int d = 0; d < dim / 8; d++) {
        acc[d][0] = acc[d][1] = acc[d][2] = acc[d][3] = 0;
    }
}

/* ---- dq ---- */

template <int dim> struct dq_room {
    rows_room<dim> rows;
    uint16_t k[2][TILE][dim + 8], v[2][TILE][dim + 8];
};

/* Turns the sum of a segment back and adds it to dq. Pairs of dimensions lie in one lane, as half of them are a
 * multiple of 8. */
template <int dim>
__device__ void add_turned(const float (&acc)[dim / 8][4], const ba_dev_attention_back &b, int row0,
                           const ba_dev_segment &seg, const tile &t, int row, int lane) {
    int half = b.a.dim / 2;
    float factor = seg.factor / LOG2E;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int at = row + lane / 4 + 8 * r;
        if (at >= t.rows * t.heads) {
            continue;
        }
        int query = t.row + at / t.heads, head = t.head + at % t.heads;
        float *dq = b.dq.at + (size_t)(row0 + query) * b.dq.stride + (size_t)head * b.a.dim;
        const float *rot = b.a.rot + (size_t)(seg.rot_row + query) * b.a.dim;
#pragma unroll
        for (int pair = 0; pair < dim / 16; pair++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                int d = pair * 8 + lane % 4 * 2 + i;
                if (d >= half) {
                    continue;
                }
                float x = acc[pair][2 * r + i] * factor, y = 0;
#pragma unroll
                for (int other = 0; other < dim / 8; other++) { /* a constant index: acc stays in registers */
                    y = other == pair + half / 8 ? acc[other][2 * r + i] * factor : y;
                }
                dq[d] += x * rot[d] + y * rot[half + d];
                dq[d + half] += y * rot[d] - x * rot[half + d];
            }
        }
    }
}

template <int dim> __global__ void __launch_bounds__(THREADS) dq_kernel(ba_dev_attention_back b) {
    extern __shared__ __align__(16) unsigned char memory[];
    auto &room = *reinterpret_cast<dq_room<dim> *>(memory);
    int index = (int)blockIdx.x, lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP * 16;
    const ba_dev_job job = b.a.job[find_job(b.a.job, b.a.n_jobs, index, &ba_dev_job::tile0)];
    tile t = tile_at(b.a, job, index - job.tile0, (int)blockIdx.y);
    load_dout<dim>(room.rows, b, job.row0, t);
    for (int s = job.seg0; s < job.seg0 + job.n_seg; s++) {
        const ba_dev_span span = b.span[b.span0[s] + index - job.tile0];
        if (span.lo >= span.hi) {
            continue;
        }
        const ba_dev_segment seg = b.a.seg[s];
        const uint16_t *keys = b.kv.k + t.kv_head * b.kv.head_step, *values = b.kv.v + t.kv_head * b.kv.head_step;
        int first = (seg.first + span.lo) / TILE * TILE, last = seg.first + span.hi;
        auto fetch = [&](int token, int which) {
            if (token < last) {
                fetch_tokens<dim>(room.k[which], keys, b.kv.stride, token, seg.first, last);
                fetch_tokens<dim>(room.v[which], values, b.kv.stride, token, seg.first, last);
            }
            copies_commit();
        };
        fetch(first, 0);
        load_queries<dim>(room.rows.q, b.a, job, seg, t);
        load_rows<dim>(room.rows, b, job.row0, seg, t);
        float acc[dim / 8][4];
        clear<dim>(acc);
        for (int token = first, which = 0; token < last; token += TILE, which ^= 1) {
            fetch(token + TILE, which ^ 1);
            copies_wait<1>();
            __syncthreads();
            float p[TILE / 8][4], dp[TILE / 8][4];
            score<dim>(p, room.rows.q + row, room.k[which], lane);
            score<dim>(dp, room.rows.dout + row, room.v[which], lane);
#pragma unroll
            for (int n = 0; n < TILE / 8; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int r = row + lane / 4 + i / 2 * 8, key = token + n * 8 + lane % 4 * 2 + i % 2;
                    bool seen = key >= room.rows.lo[r] && key < room.rows.hi[r];
                    float weight = seen ? exp2f(p[n][i] + seg.bias - room.rows.lse[r]) : 0;
                    p[n][i] = weight * (dp[n][i] - room.rows.mean[r]);
                }
            }
            add_product<dim>(acc, p, room.k[which], lane);
            __syncthreads();
        }
        add_turned<dim>(acc, b, job.row0, seg, t, row, lane);
    }
}

/* ---- dk, dv ---- */

template <int dim> struct dkv_room {
    rows_room<dim> rows;
    uint16_t k[TILE][dim + 8], v[TILE][dim + 8];
    uint32_t near[WARPS]; /* which of THREADS segments the keys belong to */
};

/* Adds what the rows of a tile give to a warp's 16 keys, which begin at token `key0`. */
template <int dim>
__device__ void add_rows(float (&dk)[dim / 8][4], float (&dv)[dim / 8][4], const dkv_room<dim> &room, float bias,
                         int key0, int warp_key, int lane) {
    float p[TILE / 8][4], dp[TILE / 8][4];
    score<dim>(p, room.k + warp_key, room.rows.q, lane);
    score<dim>(dp, room.v + warp_key, room.rows.dout, lane);
#pragma unroll
    for (int n = 0; n < TILE / 8; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int r = n * 8 + lane % 4 * 2 + i % 2, key = key0 + warp_key + lane / 4 + i / 2 * 8;
            bool seen = key >= room.rows.lo[r] && key < room.rows.hi[r];
            p[n][i] = seen ? exp2f(p[n][i] + bias - room.rows.lse[r]) : 0;
            dp[n][i] = p[n][i] * (dp[n][i] - room.rows.mean[r]);
        }
    }
    add_product<dim>(dv, p, room.rows.dout, lane);
    add_product<dim>(dk, dp, room.rows.q, lane);
}

/* Adds what all rows that look at a segment give to a warp's keys. */
template <int dim>
__device__ void add_segment(float (&dk)[dim / 8][4], float (&dv)[dim / 8][4], dkv_room<dim> &room,
                            const ba_dev_attention_back &b, int s, int key0, int kv_head) {
    int lane = (int)threadIdx.x % WARP, warp_key = (int)threadIdx.x / WARP * 16;
    int parts = (b.a.heads / b.a.kv_heads + TILE - 1) / TILE;
    const ba_dev_job job = b.a.job[find_job(b.a.job, b.a.n_jobs, s, &ba_dev_job::seg0)];
    const ba_dev_segment seg = b.a.seg[s];
    for (int i = 0; i < job.tiles * parts; i++) {
        const ba_dev_span span = b.span[b.span0[s] + i / parts];
        if (span.lo >= span.hi || seg.first + span.lo >= key0 + TILE || seg.first + span.hi <= key0) {
            continue;
        }
        tile t = tile_at(b.a, job, i / parts, kv_head * parts + i % parts);
        __syncthreads(); /* the last tile's rows are used up */
        load_queries<dim>(room.rows.q, b.a, job, seg, t);
        load_dout<dim>(room.rows, b, job.row0, t);
        load_rows<dim>(room.rows, b, job.row0, seg, t);
        __syncthreads();
        add_rows<dim>(dk, dv, room, seg.bias, key0, warp_key, lane);
    }
}

template <int dim>
__device__ void store_keys(const float (&acc)[dim / 8][4], const ba_dev_attention_back &b, float factor, int key0,
                           int kv_head, ba_dev_matrix to, int lane) {
#pragma unroll
    for (int d = 0; d < dim / 8; d++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int key = key0 + lane / 4 + i / 2 * 8, col = d * 8 + lane % 4 * 2 + i % 2;
            if (key < (int)b.rows && col < b.a.dim) {
                to.at[(size_t)key * to.stride + (size_t)kv_head * b.a.dim + col] = acc[d][i] * factor;
            }
        }
    }
}

/* A block per TILE keys and KV head. */
template <int dim> __global__ void __launch_bounds__(THREADS) dkv_kernel(ba_dev_attention_back b) {
    extern __shared__ __align__(16) unsigned char memory[];
    auto &room = *reinterpret_cast<dkv_room<dim> *>(memory);
    int key0 = (int)blockIdx.x * TILE, kv_head = (int)blockIdx.y;
    int lane = (int)threadIdx.x % WARP, warp_key = (int)threadIdx.x / WARP * 16;
    fetch_tokens<dim>(room.k, b.kv.k + kv_head * b.kv.head_step, b.kv.stride, key0, 0, (int)b.rows);
    fetch_tokens<dim>(room.v, b.kv.v + kv_head * b.kv.head_step, b.kv.stride, key0, 0, (int)b.rows);
    copies_commit();
    copies_wait<0>();
    float dk[dim / 8][4], dv[dim / 8][4];
    clear<dim>(dk);
    clear<dim>(dv);
    for (int s0 = 0; s0 < b.n_seg; s0 += THREADS) {
        int mine = s0 + (int)threadIdx.x;
        bool near = mine < b.n_seg && b.a.seg[mine].first < key0 + TILE && b.a.seg[mine].first + b.a.seg[mine].n > key0;
        uint32_t found = __ballot_sync(0xffffffffu, near);
        __syncthreads();
        if (lane == 0) {
            room.near[threadIdx.x / WARP] = found;
        }
        __syncthreads();
        for (int i = 0; i < THREADS; i++) {
            if (room.near[i / WARP] >> i % WARP & 1) {
                add_segment<dim>(dk, dv, room, b, s0 + i, key0, kv_head);
            }
        }
    }
    store_keys<dim>(dk, b, 1 / LOG2E, key0 + warp_key, kv_head, b.dk, lane);
    store_keys<dim>(dv, b, 1, key0 + warp_key, kv_head, b.dv, lane);
}

template <int dim> void back(cudaStream_t stream, const ba_dev_attention_back *b) {
    constexpr int dq_bytes = (int)sizeof(dq_room<dim>), dkv_bytes = (int)sizeof(dkv_room<dim>);
    cudaFuncSetAttribute(dq_kernel<dim>, cudaFuncAttributeMaxDynamicSharedMemorySize, dq_bytes);
    cudaFuncSetAttribute(dkv_kernel<dim>, cudaFuncAttributeMaxDynamicSharedMemorySize, dkv_bytes);
    if (b->n_tiles) {
        dim3 grid((unsigned)b->n_tiles, (unsigned)ba_dev_head_parts(b->a.heads, b->a.kv_heads, BA_DEV_TILE));
        dq_kernel<dim><<<grid, THREADS, dq_bytes, stream>>>(*b);
    }
    dim3 grid((unsigned)((b->rows + TILE - 1) / TILE), (unsigned)b->a.kv_heads);
    dkv_kernel<dim><<<grid, THREADS, dkv_bytes, stream>>>(*b);
}

} // namespace

void ba_dev_train_pack(cudaStream_t stream, const ba_dev_kv *kv, size_t rows, ba_dev_matrix k, ba_dev_matrix v) {
    size_t n = rows * (size_t)kv->kv_heads * (size_t)kv->dim;
    if (n) {
        pack_kernel<<<(unsigned)((n + THREADS - 1) / THREADS), THREADS, 0, stream>>>(*kv, rows, k, v);
    }
}

void ba_dev_attend_back(cudaStream_t stream, const ba_dev_attention_back *b) {
    size_t means = b->rows * (size_t)b->a.heads;
    if (!means) {
        return;
    }
    mean_kernel<<<(unsigned)((means + WARPS - 1) / WARPS), THREADS, 0, stream>>>(*b);
    if (b->a.dim <= 64) {
        back<64>(stream, b);
    } else if (b->a.dim <= 128) {
        back<128>(stream, b);
    } else {
        back<BA_DEV_DIM_MAX>(stream, b);
    }
}
