/* Attention that chooses among segments, or reports about them. A choice needs all scores of a row (or of a job) before
 * its first value can be summed, so scores are multiplied by tiles as in attention.cu and kept. From them one kernel sums
 * up what the segments are worth, a block per query row and head and a warp per segment; another chooses, reports and
 * adds the values of what was kept. What is decided by scores is computed in double. */
#include "device.h"
#include "out.cuh"
#include "tile.cuh"

namespace {

using namespace ba;

enum { TOP = BA_DEV_TOP_MAX };

/* ---- scores ---- */

template <int dim> struct score_room { uint16_t q[TILE][dim + 8], k[2][TILE][dim + 8]; };

/* A block per tile of rows, part of the heads, and segment. */
template <int dim> __global__ void __launch_bounds__(THREADS) score_kernel(ba_dev_select s) {
    extern __shared__ __align__(16) unsigned char memory[];
    auto &room = *reinterpret_cast<score_room<dim> *>(memory);
    ba_dev_job job = s.a.job[s.job];
    const ba_dev_segment seg = s.a.seg[job.seg0 + (int)blockIdx.z];
    job.row0 += s.row0;
    job.rows = s.wave;
    tile t = tile_at(s.a, job, (int)blockIdx.x, (int)blockIdx.y);
    ba_dev_segment turned = seg;
    turned.rot_row += s.row0;
    size_t head_at = s.a.layer * seg.kv.layer_step + (size_t)t.kv_head * seg.kv.head_step;
    int end = seg.first + seg.n, lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP * 16;
    auto fetch = [&](int token, int which) {
        if (token < end) {
            fetch_tokens<dim>(room.k[which], seg.kv.k + head_at, seg.kv.stride, token, seg.first, end);
        }
        copies_commit();
    };
    fetch(seg.first, 0);
    load_queries<dim>(room.q, s.a, job, turned, t);
    for (int token = seg.first, which = 0; token < end; token += TILE, which ^= 1) {
        fetch(token + TILE, which ^ 1);
        copies_wait<1>();
        __syncthreads();
        float x[TILE / 8][4];
        score<dim>(x, room.q + row, room.k[which], lane);
        for (int n = 0; n < TILE / 8; n++) {
            for (int i = 0; i < 4; i++) {
                int r = row + lane / 4 + i / 2 * 8, key = token - seg.first + n * 8 + lane % 4 * 2 + i % 2;
                if (r < t.rows * t.heads && key < seg.n) {
                    size_t at = (size_t)(t.row + r / t.heads) * s.a.heads + t.head + r % t.heads;
                    s.score[at * s.keys + seg.before + key] = x[n][i] + seg.bias;
                }
            }
        }
        __syncthreads();
    }
}

template <int dim> void score_tiles(cudaStream_t stream, const ba_dev_select *s) {
    constexpr int room = (int)sizeof(score_room<dim>);
    if (room > 48 * 1024) {
        cudaFuncSetAttribute(score_kernel<dim>, cudaFuncAttributeMaxDynamicSharedMemorySize, room);
    }
    int each = ba_dev_tile_rows(s->a.heads, s->a.kv_heads, TILE);
    dim3 grid((unsigned)((s->wave + each - 1) / each), (unsigned)ba_dev_head_parts(s->a.heads, s->a.kv_heads, TILE),
              (unsigned)s->n_seg);
    score_kernel<dim><<<grid, THREADS, room, stream>>>(*s);
}

/* ---- what segments are worth ---- */

/* A block's query row and head. */
struct desk {
    int row, head, kv_head;
    size_t at;          /* in arrays [rows, heads, n_seg] */
    const float *score; /* [keys] */
};

__device__ desk desk_at(const ba_dev_select &s) {
    desk d;
    d.row = s.row0 + (int)blockIdx.x;
    d.head = (int)blockIdx.y;
    d.kv_head = d.head / (s.a.heads / s.a.kv_heads);
    d.at = ((size_t)d.row * s.a.heads + d.head) * s.n_seg;
    d.score = s.score + ((size_t)blockIdx.x * s.a.heads + d.head) * s.keys;
    return d;
}

/* Natural logarithm of an unnormalised probability. */
__device__ double score_of(const desk &d, const ba_dev_segment &seg, int key) {
    return (double)d.score[seg.before + key] / 1.44269504088896340736;
}

/* Combines a value of every lane in a fixed order; all get the result. */
template <typename F> __device__ double reduce(double x, F combine) {
    for (int step = WARP / 2; step > 0; step /= 2) {
        x = combine(x, __shfl_xor_sync(0xffffffffu, x, step));
    }
    return x;
}

__device__ void insert_top(double (&top)[TOP], int n, double x) {
    if (n == 0 || !(x > top[n - 1])) {
        return;
    }
    int at = n - 1;
    for (; at > 0 && x > top[at - 1]; at--) {
        top[at] = top[at - 1];
    }
    top[at] = x;
}

/* The warp's n largest, from every lane's own; into `out`. */
__device__ void merge_top(const double (&top)[TOP], int n, double *out) {
    int lane = (int)threadIdx.x % WARP, next = 0;
    for (int i = 0; i < n; i++) {
        double mine = -INFINITY;
#pragma unroll
        for (int k = 0; k < TOP; k++) {
            mine = k == next && k < n ? top[k] : mine;
        }
        double best = reduce(mine, [](double a, double b) { return a > b ? a : b; });
        unsigned who = __ballot_sync(0xffffffffu, mine == best);
        next += lane == __ffs((int)who) - 1;
        if (lane == 0) {
            out[i] = best;
        }
    }
}

/* Largest score, sum of exp(score - max), the same weighted by score, and the largest scores of a segment, by a warp. */
__device__ void sum_up(const ba_dev_select &s, const desk &d, int index) {
    const ba_dev_segment seg = s.a.seg[s.a.job[s.job].seg0 + index];
    int n_top = s.select_k ? s.select_top : 0, lane = (int)threadIdx.x % WARP, lo, hi;
    double top[TOP], max = -INFINITY, sum = 0, weighted = 0;
    for (int i = 0; i < TOP; i++) {
        top[i] = -INFINITY;
    }
    see_range(s.a, seg, d.row, lo, hi);
    for (int key = lo + lane; key < hi; key += WARP) {
        double x = score_of(d, seg, key);
        if (!(x <= max)) {
            double factor = exp(max - x); /* 0 at the first */
            sum *= factor;
            weighted *= factor;
            max = x;
        }
        double p = exp(x - max);
        sum += p;
        weighted += x * p;
        insert_top(top, n_top, x);
    }
    double most = reduce(max, [](double a, double b) { return a >= b ? a : b; });
    double factor = max == -INFINITY ? 0 : exp(max - most);
    auto add = [](double a, double b) { return a + b; };
    sum = reduce(sum * factor, add);
    weighted = reduce(weighted * factor, add);
    if (lane == 0) {
        s.max[d.at + index] = most;
        s.sum[d.at + index] = sum;
        s.weighted[d.at + index] = weighted;
    }
    merge_top(top, n_top, s.top + (d.at + index) * TOP);
}

__device__ double lse_of(const ba_dev_select &s, size_t at) {
    return s.max[at] == -INFINITY ? -INFINITY : s.max[at] + log(s.sum[at]);
}

/* log of the sum of exp(lse) over the kept segments of a group, or over all segments (keep NULL). */
__device__ double join(const ba_dev_select &s, size_t at, const uint8_t *keep, int group) {
    const ba_dev_segment *seg = s.a.seg + s.a.job[s.job].seg0;
    double max = -INFINITY, total = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < s.n_seg; i++) {
            if (keep && (!keep[i] || seg[i].group != group)) {
                continue;
            }
            double lse = lse_of(s, at + i);
            if (pass == 0) {
                max = lse > max ? lse : max;
            } else if (lse != -INFINITY) {
                total += exp(lse - max);
            }
        }
    }
    return max == -INFINITY ? max : max + log(total);
}

__global__ void __launch_bounds__(THREADS) sum_up_kernel(ba_dev_select s) {
    __shared__ double all;
    desk d = desk_at(s);
    for (int i = (int)threadIdx.x / WARP; i < s.n_seg; i += WARPS) {
        sum_up(s, d, i);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        all = join(s, d.at, nullptr, 0);
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; s.select_k && i < s.n_seg; i += THREADS) {
        double vote = 0;
        for (int t = 0; t < s.select_top; t++) {
            double x = s.top[(d.at + i) * TOP + t];
            vote += x == -INFINITY ? 0 : exp(x - all);
        }
        s.vote[d.at + i] = vote;
    }
}

/* The votes of all rows and heads, summed into the first. */
__global__ void count_kernel(ba_dev_select s) {
    for (int i = (int)threadIdx.x; i < s.n_seg; i += THREADS) {
        double sum = s.vote[i];
        for (size_t voter = 1; voter < (size_t)s.rows * s.a.heads; voter++) {
            sum += s.vote[voter * s.n_seg + i];
        }
        s.vote[i] = sum;
    }
}

__device__ void choose(const ba_dev_select &s, const double *vote, uint8_t *keep) {
    const ba_dev_segment *seg = s.a.seg + s.a.job[s.job].seg0;
    for (int i = 0; i < s.n_seg; i++) {
        keep[i] = !s.select_k || !seg[i].selectable;
    }
    for (int k = 0; k < s.select_k; k++) {
        int best = s.n_seg;
        for (int i = 0; i < s.n_seg; i++) {
            if (!keep[i] && (best == s.n_seg || vote[i] > vote[best])) {
                best = i;
            }
        }
        if (best == s.n_seg) {
            return;
        }
        keep[best] = 1;
    }
}

/* Total of everything kept, after the groups' log-sum-exps are scaled. */
__device__ double total_of(const ba_dev_select &s, const desk &d, const uint8_t *keep) {
    const ba_dev_job &job = s.a.job[s.job];
    double max = -INFINITY, total = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int g = 0; g <= job.n_groups; g++) {
            double lse = join(s, d.at, keep, g);
            if (g > 0 && lse != -INFINITY) {
                lse *= (double)s.a.lse_scale[job.scale0 + g - 1];
            }
            if (pass == 0) {
                max = lse > max ? lse : max;
            } else if (lse != -INFINITY) {
                total += exp(lse - max);
            }
        }
    }
    return max + log(total);
}

/* Adds the values of a kept segment, shares of dimensions threadIdx.x, + THREADS, ..; offset: what to add to a score
 * to get the logarithm of its probability. */
__device__ void add_values(const ba_dev_select &s, const desk &d, const ba_dev_segment &seg, double offset, float *p,
                           double (&out)[BA_DEV_DIM_MAX / THREADS]) {
    const uint16_t *v = seg.kv.v + s.a.layer * seg.kv.layer_step + (size_t)d.kv_head * seg.kv.head_step;
    int lo, hi;
    see_range(s.a, seg, d.row, lo, hi);
    for (int key0 = lo; key0 < hi; key0 += THREADS) {
        int key = key0 + (int)threadIdx.x, n = min((int)THREADS, hi - key0);
        __syncthreads();
        p[threadIdx.x] = key < hi ? (float)exp(score_of(d, seg, key) + offset) : 0;
        __syncthreads();
        for (int i = 0; i < BA_DEV_DIM_MAX / THREADS; i++) {
            int at = (int)threadIdx.x + i * THREADS;
            for (int k = 0; at < s.a.dim && k < n; k++) {
                out[i] += (double)p[k] * (double)wide(v[(size_t)(seg.first + key0 + k) * seg.kv.stride + at]);
            }
        }
    }
}

__global__ void __launch_bounds__(THREADS) attend_select_kernel(ba_dev_select s) {
    __shared__ float p[THREADS];
    __shared__ double total;
    const ba_dev_job job = s.a.job[s.job];
    desk d = desk_at(s);
    uint8_t *keep = s.chosen + d.at;
    double out[BA_DEV_DIM_MAX / THREADS] = {};
    if (threadIdx.x == 0) {
        choose(s, s.shared ? s.vote : s.vote + d.at, keep);
        total = total_of(s, d, keep);
    }
    __syncthreads();
    for (int i = 0; i < s.n_seg; i++) {
        const ba_dev_segment seg = s.a.seg[job.seg0 + i];
        bool there = keep[i] && s.max[d.at + i] != -INFINITY;
        if (threadIdx.x == 0) {
            s.lse[d.at + i] = there ? lse_of(s, d.at + i) : -INFINITY;
            s.mean[d.at + i] = there ? s.weighted[d.at + i] / s.sum[d.at + i] : 0;
        }
        if (there) {
            double raw = join(s, d.at, keep, seg.group), scaled = raw;
            if (seg.group > 0) {
                scaled *= (double)s.a.lse_scale[job.scale0 + seg.group - 1];
            }
            add_values(s, d, seg, scaled - raw - total, p, out);
        }
    }
    for (int i = 0; i < BA_DEV_DIM_MAX / THREADS; i++) {
        int at = (int)threadIdx.x + i * THREADS;
        if (at < s.a.dim) {
            put(s.a.out, (size_t)(job.row0 + d.row), (size_t)d.head * s.a.dim + at, (float)out[i]);
        }
    }
}

} // namespace

void ba_dev_select_score(cudaStream_t stream, const ba_dev_select *s) {
    if (s->wave && s->keys) {
        (s->a.dim <= 64    ? score_tiles<64>
         : s->a.dim <= 128 ? score_tiles<128>
                           : score_tiles<BA_DEV_DIM_MAX>)(stream, s);
    }
}

void ba_dev_select_sums(cudaStream_t stream, const ba_dev_select *s) {
    if (s->wave) {
        sum_up_kernel<<<dim3((unsigned)s->wave, (unsigned)s->a.heads), THREADS, 0, stream>>>(*s);
    }
}

void ba_dev_select_votes(cudaStream_t stream, const ba_dev_select *s) {
    if (s->rows) {
        count_kernel<<<1, THREADS, 0, stream>>>(*s);
    }
}

void ba_dev_select_attend(cudaStream_t stream, const ba_dev_select *s) {
    if (s->wave) {
        attend_select_kernel<<<dim3((unsigned)s->wave, (unsigned)s->a.heads), THREADS, 0, stream>>>(*s);
    }
}
