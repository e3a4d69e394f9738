/* What the kernels of attention share: tiles of rows (query row x head) against steps of keys, by blocks of 4 warps. */
#ifndef BA_CUDA_TILE_CUH
#define BA_CUDA_TILE_CUH

#include "bf16.cuh"
#include "segments.cuh"

namespace ba {

enum { WARP = 32, WARPS = 4, THREADS = WARP * WARPS, TILE = BA_DEV_TILE };

/* The last job that begins at or before an item or tile. */
__device__ inline int find_job(const ba_dev_job *job, int n, int at, int ba_dev_job::*begin) {
    int low = 0, high = n - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (job[middle].*begin <= at) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

/* A tile: rows row .. row + rows of a job, heads head .. head + heads, which share a KV head; row-major. */
struct tile {
    int row, rows, head, heads, kv_head;
};

/* most: rows of a tile. */
__device__ inline tile tile_at(const ba_dev_attention &a, const ba_dev_job &job, int index, int part, int most = TILE) {
    int group = a.heads / a.kv_heads, parts = (group + most - 1) / most, each = group < most ? most / group : 1;
    tile t;
    t.kv_head = part / parts;
    int skip = part % parts * most;
    t.heads = min(group - skip, most);
    t.head = t.kv_head * group + skip;
    t.row = index * each;
    t.rows = min(each, job.rows - t.row);
    return t;
}

/* Rotated, scaled, rounded queries of a tile; zeros where there is no row or dimension. */
template <int dim>
__device__ void load_queries(uint16_t (*q)[dim + 8], const ba_dev_attention &a, const ba_dev_job &job,
                             const ba_dev_segment &seg, const tile &t) {
    int half = a.dim / 2;
    for (int i = (int)threadIdx.x; i < TILE * (dim / 2); i += THREADS) {
        int r = i / (dim / 2), d = i % (dim / 2);
        if (r < t.rows * t.heads && d < half) {
            int row = t.row + r / t.heads, head = t.head + r % t.heads;
            const float *x = a.q.at + (size_t)(job.row0 + row) * a.q.stride + (size_t)head * a.dim;
            const float *rot = a.rot + (size_t)(seg.rot_row + row) * a.dim;
            q[r][d] = round_bf16((x[d] * rot[d] - x[d + half] * rot[half + d]) * seg.factor);
            q[r][d + half] = round_bf16((x[d + half] * rot[d] + x[d] * rot[half + d]) * seg.factor);
        }
        if (r >= t.rows * t.heads) {
            q[r][2 * d] = q[r][2 * d + 1] = 0;
        }
    }
    for (int i = (int)threadIdx.x; i < TILE * (dim - a.dim); i += THREADS) {
        q[i / (dim - a.dim)][a.dim + i % (dim - a.dim)] = 0;
    }
}

/* Starts to copy tokens [token, token + TILE) of a layer and head; zeros outside of [begin, end). */
template <int dim>
__device__ void fetch_tokens(uint16_t (*to)[dim + 8], const uint16_t *from, int stride, int token, int begin, int end) {
    constexpr int per_row = dim / 8;
    for (int i = (int)threadIdx.x; i < TILE * per_row; i += THREADS) {
        int r = i / per_row, d = i % per_row * 8;
        bool inside = token + r >= begin && token + r < end && d < stride;
        copy16(&to[r][d], inside ? from + (size_t)(token + r) * stride + d : from, inside ? 16 : 0);
    }
}

/* Scores of 16 rows against a step of keys, in units of log 2. */
template <int dim>
__device__ void score(float (&s)[TILE / 8][4], const uint16_t (*q)[dim + 8], const uint16_t (*k)[dim + 8], int lane) {
#pragma unroll
    for (int n = 0; n < TILE / 8; n++) {
        s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
    }
#pragma unroll
    for (int d = 0; d < dim; d += 16) {
        uint32_t a[4];
        load_tiles(a, &q[lane % 16][d + lane / 16 * 8]);
#pragma unroll
        for (int n = 0; n < TILE / 8; n += 2) {
            uint32_t b[4];
            load_tiles(b, &k[n * 8 + lane / 16 * 8 + lane % 8][d + lane / 8 % 2 * 8]);
            mma(s[n], a, b[0], b[1]);
            mma(s[n + 1], a, b[2], b[3]);
        }
    }
}

} // namespace ba

#endif
