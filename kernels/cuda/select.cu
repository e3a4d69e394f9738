/* Attention that chooses among segments, or reports about them: simple instead of fast. A block per query row and
 * head, in two kernels, since a choice needs all scores of a row (or of a job) before its first value can be summed:
 * one sums up what the segments are worth, one chooses, reports and adds the values of what was kept. Scores are those
 * of attention.cu, products of rounded queries and keys; what is decided by them is computed in double. */
#include "bf16.cuh"
#include "device.h"
#include "out.cuh"
#include "segments.cuh"

namespace {

using namespace ba;

enum { WARP = 32, THREADS = 128, TOP = BA_DEV_TOP_MAX };

/* A block's query row and head. */
struct desk {
    int row, head, kv_head;
    size_t at; /* in arrays [rows, heads, n_seg] */
};

__device__ desk desk_at(const ba_dev_select &s) {
    desk d;
    d.row = (int)blockIdx.x;
    d.head = (int)blockIdx.y;
    d.kv_head = d.head / (s.a.heads / s.a.kv_heads);
    d.at = ((size_t)d.row * s.a.heads + d.head) * s.n_seg;
    return d;
}

/* The query as the segment sees it: rotated, scaled, rounded. */
__device__ void load_query(float *q, const ba_dev_select &s, const ba_dev_segment &seg, const desk &d) {
    int half = s.a.dim / 2;
    const float *x = s.a.q.at + (size_t)(s.a.job[s.job].row0 + d.row) * s.a.q.stride + (size_t)d.head * s.a.dim;
    const float *rot = s.a.rot + (size_t)(seg.rot_row + d.row) * s.a.dim;
    __syncthreads();
    for (int i = (int)threadIdx.x; i < half; i += THREADS) {
        q[i] = wide(round_bf16((x[i] * rot[i] - x[i + half] * rot[half + i]) * seg.factor));
        q[i + half] = wide(round_bf16((x[i + half] * rot[i] + x[i] * rot[half + i]) * seg.factor));
    }
    __syncthreads();
}

/* First element of a key or value; key counted from the segment's first. */
__device__ const uint16_t *token_at(const uint16_t *of, const ba_dev_select &s, const ba_dev_segment &seg,
                                    const desk &d, int key) {
    return of + s.a.layer * seg.kv.layer_step + d.kv_head * seg.kv.head_step +
           (size_t)(seg.first + key) * seg.kv.stride;
}

/* Natural logarithm of an unnormalised probability. */
__device__ double score_of(const float *q, const ba_dev_select &s, const ba_dev_segment &seg, const desk &d, int key) {
    const uint16_t *k = token_at(seg.kv.k, s, seg, d, key);
    float sum = 0;
    int i = 0;
    for (; i + 8 <= s.a.dim; i += 8) { /* 16 bytes at once: the stride of tokens is a multiple of them */
        uint4 eight = *reinterpret_cast<const uint4 *>(k + i);
        const uint32_t pair[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
        for (int j = 0; j < 4; j++) {
            sum = fmaf(q[i + 2 * j], wide_low(pair[j]), sum);
            sum = fmaf(q[i + 2 * j + 1], wide_high(pair[j]), sum);
        }
    }
    for (; i < s.a.dim; i++) {
        sum = fmaf(q[i], wide(k[i]), sum);
    }
    return (double)(sum + seg.bias) / 1.44269504088896340736;
}

/* Combines a value of every thread in a fixed order; all get the result. */
template <typename T, typename F> __device__ T reduce(T *room, T x, F combine) {
    for (int step = WARP / 2; step > 0; step /= 2) {
        x = combine(x, __shfl_xor_sync(0xffffffffu, x, step));
    }
    __syncthreads();
    if (threadIdx.x % WARP == 0) {
        room[threadIdx.x / WARP] = x;
    }
    __syncthreads();
    x = room[0];
    for (int warp = 1; warp < THREADS / WARP; warp++) {
        x = combine(x, room[warp]);
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

/* The block's n largest, from every thread's own; into `out`. */
__device__ void merge_top(double (&top)[TOP], int n, double *room, double *out) {
    __shared__ int taken;
    int next = 0;
    for (int i = 0; i < n; i++) {
        double mine = next < n ? top[next] : -INFINITY;
        double best = reduce(room, mine, [](double a, double b) { return a > b ? a : b; });
        if (threadIdx.x == 0) {
            taken = THREADS;
            out[i] = best;
        }
        __syncthreads();
        if (mine == best) {
            atomicMin(&taken, (int)threadIdx.x);
        }
        __syncthreads();
        next += taken == (int)threadIdx.x;
    }
}

/* Largest score, sum of exp(score - max), the same weighted by score, and the largest scores of a segment. */
__device__ void sum_up(const ba_dev_select &s, const desk &d, int index, float *q, double *room) {
    const ba_dev_segment seg = s.a.seg[s.a.job[s.job].seg0 + index];
    int n_top = s.select_k ? s.select_top : 0, lo, hi;
    double top[TOP], max = -INFINITY, sum = 0, weighted = 0;
    for (int i = 0; i < TOP; i++) {
        top[i] = -INFINITY;
    }
    see_range(s.a, seg, d.row, lo, hi);
    load_query(q, s, seg, d);
    for (int key = lo + (int)threadIdx.x; key < hi; key += THREADS) {
        double x = score_of(q, s, seg, d, key);
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
    double most = reduce(room, max, [](double a, double b) { return a >= b ? a : b; });
    double factor = max == -INFINITY ? 0 : exp(max - most);
    auto add = [](double a, double b) { return a + b; };
    sum = reduce(room, sum * factor, add);
    weighted = reduce(room, weighted * factor, add);
    if (threadIdx.x == 0) {
        s.max[d.at + index] = most;
        s.sum[d.at + index] = sum;
        s.weighted[d.at + index] = weighted;
    }
    merge_top(top, n_top, room, s.top + (d.at + index) * TOP);
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
    __shared__ float q[BA_DEV_DIM_MAX];
    __shared__ double room[THREADS], all;
    desk d = desk_at(s);
    for (int i = 0; i < s.n_seg; i++) {
        sum_up(s, d, i, q, room);
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
__device__ void add_values(const ba_dev_select &s, const desk &d, const ba_dev_segment &seg, double offset,
                           const float *q, float *p, double (&out)[BA_DEV_DIM_MAX / THREADS]) {
    int lo, hi;
    see_range(s.a, seg, d.row, lo, hi);
    for (int key0 = lo; key0 < hi; key0 += THREADS) {
        int key = key0 + (int)threadIdx.x, n = min((int)THREADS, hi - key0);
        __syncthreads();
        p[threadIdx.x] = key < hi ? (float)exp(score_of(q, s, seg, d, key) + offset) : 0;
        __syncthreads();
        for (int i = 0; i < BA_DEV_DIM_MAX / THREADS; i++) {
            int at = (int)threadIdx.x + i * THREADS;
            for (int k = 0; at < s.a.dim && k < n; k++) {
                out[i] += (double)p[k] * (double)wide(token_at(seg.kv.v, s, seg, d, key0 + k)[at]);
            }
        }
    }
}

__global__ void __launch_bounds__(THREADS) attend_select_kernel(ba_dev_select s) {
    __shared__ float q[BA_DEV_DIM_MAX], p[THREADS];
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
            load_query(q, s, seg, d);
            add_values(s, d, seg, scaled - raw - total, q, p, out);
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

void ba_dev_attend_select(cudaStream_t stream, const ba_dev_select *s) {
    if (!s->rows) {
        return;
    }
    dim3 grid((unsigned)s->rows, (unsigned)s->a.heads);
    sum_up_kernel<<<grid, THREADS, 0, stream>>>(*s);
    if (s->select_k && s->shared) {
        count_kernel<<<1, THREADS, 0, stream>>>(*s);
    }
    attend_select_kernel<<<grid, THREADS, 0, stream>>>(*s);
}
