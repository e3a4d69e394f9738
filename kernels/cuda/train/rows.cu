/* Training's operations on rows, the loss, and the optimiser. Sums go in a fixed order: the same calls give the same
 * bits. */
#include "kernels/cuda/bf16.cuh"
#include "kernels/cuda/device_train.h"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/row.cuh"

namespace {

using namespace ba;

enum { WARP = 32, LOSS_THREADS = 1024, STRIPE = 32 };

__global__ void copy_kernel(ba_dev_matrix src, size_t cols, ba_dev_matrix dst) {
    size_t c = 4 * column();
    if (c < cols) {
        ba::store_quad(row_of(dst, blockIdx.x) + c, cols - c, ba::load_quad(row_of(src, blockIdx.x) + c, cols - c));
    }
}

__global__ void scatter_kernel(ba_dev_matrix src, const size_t *row, size_t cols, ba_dev_matrix dst) {
    size_t c = column();
    if (c < cols) {
        row_of(dst, row[blockIdx.x])[c] += row_of(src, blockIdx.x)[c];
    }
}

__global__ void embed_kernel(const float *p, const int32_t *ids, size_t cols, float scale, ba_dev_matrix out) {
    size_t c = column();
    if (c < cols) {
        row_of(out, blockIdx.x)[c] = p[(size_t)ids[blockIdx.x] * cols + c] * scale;
    }
}

/* The first row of an id adds up all rows of it, in their order. */
__global__ void embed_back_kernel(float *grad, const int32_t *ids, size_t n, size_t cols, float scale,
                                  ba_dev_matrix dout) {
    size_t c = column(), first = blockIdx.x;
    int32_t id = ids[first];
    int before = 0;
    for (size_t r = threadIdx.x; r < first; r += THREADS) {
        before |= ids[r] == id;
    }
    if (__syncthreads_or(before) || c >= cols) {
        return;
    }
    float sum = 0;
    for (size_t r = first; r < n; r++) {
        if (ids[r] == id) {
            sum += row_of(dout, r)[c];
        }
    }
    grad[(size_t)id * cols + c] += scale * sum;
}

__global__ void add_row_kernel(const float *x, size_t cols, ba_dev_matrix out) {
    size_t c = column();
    if (c < cols) {
        row_of(out, blockIdx.x)[c] += x[c];
    }
}

/* A block per 32 columns: thread (y, x) adds up rows y, y + 32, .. of column x. */
__global__ void sum_rows_kernel(ba_dev_matrix x, bool weighted, ba_dev_matrix other, const float *factor, size_t rows,
                                size_t groups, size_t cols, float *sum) {
    __shared__ float part[STRIPE][STRIPE + 1];
    size_t c = (size_t)blockIdx.x * STRIPE + threadIdx.x;
    float mine = 0;
    for (size_t r = threadIdx.y; c < cols && r < rows * groups; r += STRIPE) {
        size_t at = r % groups * cols + c;
        float value = row_of(x, r / groups)[at];
        mine += weighted ? factor[r] * value * row_of(other, r / groups)[at] : value;
    }
    part[threadIdx.y][threadIdx.x] = mine;
    __syncthreads();
    if (threadIdx.y == 0 && c < cols) {
        float total = 0;
        for (int i = 0; i < STRIPE; i++) {
            total += part[i][threadIdx.x];
        }
        sum[c] += total;
    }
}

/* Sum over the block's threads; all get it. */
template <int threads> __device__ float block_sum(float x) {
    __shared__ float part[threads / WARP];
    for (int step = WARP / 2; step > 0; step /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, step);
    }
    __syncthreads();
    if (threadIdx.x % WARP == 0) {
        part[threadIdx.x / WARP] = x;
    }
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < threads / WARP; i++) {
        sum += part[i];
    }
    return sum;
}

template <int threads> __device__ float block_max(float x) {
    __shared__ float part[threads / WARP];
    for (int step = WARP / 2; step > 0; step /= 2) {
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    }
    __syncthreads();
    if (threadIdx.x % WARP == 0) {
        part[threadIdx.x / WARP] = x;
    }
    __syncthreads();
    float most = part[0];
    for (int i = 1; i < threads / WARP; i++) {
        most = fmaxf(most, part[i]);
    }
    return most;
}

/* With f = 1 / rms(x) and y = dout gain:  dx = f y - x f^3 mean(x y). dx may be dout: a thread reads before it writes.
 */
__global__ void rmsnorm_back_kernel(ba_dev_matrix x, size_t cols, const float *gain, float eps, ba_dev_matrix dout,
                                    bool add, ba_dev_matrix dx, float *factor) {
    size_t at = blockIdx.y * cols;
    const float *from = row_of(x, blockIdx.x) + at, *d = row_of(dout, blockIdx.x) + at;
    float *to = row_of(dx, blockIdx.x) + at, square = 0, mean = 0;
    for (size_t c = threadIdx.x; c < cols; c += THREADS) {
        square = fmaf(from[c], from[c], square);
        mean = fmaf(from[c] * gain[c], d[c], mean);
    }
    square = block_sum<THREADS>(square);
    mean = block_sum<THREADS>(mean) / (float)cols;
    float f = 1 / sqrtf(square / (float)cols + eps), curve = f * f * f * mean;
    if (threadIdx.x == 0) {
        factor[blockIdx.x * gridDim.y + blockIdx.y] = f;
    }
    if (!dx.at) {
        return;
    }
    for (size_t c = threadIdx.x; c < cols; c += THREADS) {
        float y = f * gain[c] * d[c] - from[c] * curve;
        to[c] = add ? to[c] + y : y;
    }
}

/* A thread per row, head and pair; out may be x. */
__global__ void rotate_kernel(ba_dev_matrix x, size_t pairs, size_t dim, const float *rot, bool back,
                              ba_dev_matrix out) {
    size_t i = column(), half = dim / 2, d = i % half, at = i / half * dim + d;
    if (i >= pairs) {
        return;
    }
    float cosine = rot[blockIdx.x * dim + d], sine = rot[blockIdx.x * dim + half + d];
    float a = row_of(x, blockIdx.x)[at], b = row_of(x, blockIdx.x)[at + half];
    sine = back ? -sine : sine;
    row_of(out, blockIdx.x)[at] = a * cosine - b * sine;
    row_of(out, blockIdx.x)[at + half] = b * cosine + a * sine;
}

__device__ void act(bool gelu, float x, float &value, float &slope) {
    if (gelu) {
        const float root = 0.79788456080286535588f;
        float t = tanhf(root * (x + 0.044715f * x * x * x));
        value = 0.5f * x * (1 + t);
        slope = 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * root * (1 + 3 * 0.044715f * x * x);
    } else {
        float s = 1 / (1 + expf(-x));
        value = x * s;
        slope = s * (1 + x * (1 - s));
    }
}

/* dgate and dup may be x: a thread reads before it writes. */
__global__ void glu_back_kernel(bool gelu, ba_dev_matrix x, ba_dev_matrix dout, size_t cols, ba_dev_matrix dgate,
                                ba_dev_matrix dup) {
    size_t c = 4 * column();
    if (c >= cols) {
        return;
    }
    const float *from = row_of(x, blockIdx.x) + c;
    ba::quad gate = ba::load_quad(from, cols - c), up = ba::load_quad(from + cols, cols - c);
    ba::quad d = ba::load_quad(row_of(dout, blockIdx.x) + c, cols - c);
    for (int i = 0; i < 4; i++) {
        float value, slope;
        act(gelu, gate.at[i], value, slope);
        gate.at[i] = d.at[i] * up.at[i] * slope;
        up.at[i] = d.at[i] * value;
    }
    ba::store_quad(row_of(dgate, blockIdx.x) + c, cols - c, gate);
    ba::store_quad(row_of(dup, blockIdx.x) + c, cols - c, up);
}

/* ---- loss ---- */

struct softmax {
    float top, sum;
    double lse;
};

__device__ softmax soften(const float *x, size_t n) {
    float top = -INFINITY, sum = 0;
    for (size_t i = threadIdx.x; i < n; i += LOSS_THREADS) {
        top = fmaxf(top, x[i]);
    }
    top = block_max<LOSS_THREADS>(top);
    for (size_t i = threadIdx.x; i < n; i += LOSS_THREADS) {
        sum += expf(x[i] - top);
    }
    sum = block_sum<LOSS_THREADS>(sum);
    return {top, sum, (double)top + log((double)sum)};
}

/* A block per row. KL(t || p) = sum t (t_logit - logit) - lse_t + lse_p. */
__global__ void __launch_bounds__(LOSS_THREADS)
    cross_entropy_kernel(ba_dev_matrix logits, size_t vocab, const int32_t *target, float weight, ba_dev_matrix teacher,
                         float kl_weight, double *loss) {
    float *x = row_of(logits, blockIdx.x);
    const float *t = teacher.at ? row_of(teacher, blockIdx.x) : nullptr;
    size_t right = (size_t)target[blockIdx.x];
    softmax p = soften(x, vocab), q = {0, 1, 0};
    float right_logit = x[right], apart = 0;
    if (t) {
        q = soften(t, vocab);
        for (size_t i = threadIdx.x; i < vocab; i += LOSS_THREADS) {
            apart += expf(t[i] - q.top) / q.sum * (t[i] - x[i]);
        }
        apart = block_sum<LOSS_THREADS>(apart);
    }
    __syncthreads(); /* everyone has read the right one's logit */
    for (size_t i = threadIdx.x; i < vocab; i += LOSS_THREADS) {
        float prob = expf(x[i] - p.top) / p.sum, d = weight * prob;
        if (t) {
            d += kl_weight * (prob - expf(t[i] - q.top) / q.sum);
        }
        x[i] = i == right ? d - weight : d;
    }
    if (threadIdx.x == 0) {
        loss[2 * blockIdx.x] = p.lse - (double)right_logit;
        loss[2 * blockIdx.x + 1] = t ? (double)apart + p.lse - q.lse : 0;
    }
}

/* ---- optimiser ---- */

__global__ void square_sum_kernel(const float *x, size_t n, double *part) {
    __shared__ double room[THREADS];
    double sum = 0;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (size_t)gridDim.x * THREADS) {
        sum += (double)x[i] * (double)x[i];
    }
    room[threadIdx.x] = sum;
    for (int step = THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < step) {
            room[threadIdx.x] += room[threadIdx.x + step];
        }
    }
    if (threadIdx.x == 0) {
        part[blockIdx.x] = room[0];
    }
}

__global__ void adamw_kernel(ba_dev_adamw cfg, size_t n, const float *grad, float *mean, float *variance,
                             float *value) {
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) {
        return;
    }
    float g = grad[i] * cfg.grad_scale;
    float m = cfg.beta1 * mean[i] + cfg.rest1 * g, v = cfg.beta2 * variance[i] + cfg.rest2 * g * g;
    mean[i] = m;
    variance[i] = v;
    value[i] = value[i] * (1 - cfg.lr * cfg.weight_decay) - cfg.lr * (m / cfg.bias1) / (sqrtf(v / cfg.bias2) + cfg.eps);
}

} // namespace

void ba_dev_copy(cudaStream_t stream, ba_dev_matrix src, size_t rows, size_t cols, ba_dev_matrix dst) {
    if (rows && cols) {
        copy_kernel<<<quad_grid_of(rows, cols), THREADS, 0, stream>>>(src, cols, dst);
    }
}

void ba_dev_scatter(cudaStream_t stream, ba_dev_matrix src, const size_t *row, size_t n, size_t cols,
                    ba_dev_matrix dst) {
    if (n && cols) {
        scatter_kernel<<<grid_of(n, cols), THREADS, 0, stream>>>(src, row, cols, dst);
    }
}

void ba_dev_embed_wide(cudaStream_t stream, const float *p, const int32_t *ids, size_t n, size_t cols, float scale,
                       ba_dev_matrix out) {
    if (n && cols) {
        embed_kernel<<<grid_of(n, cols), THREADS, 0, stream>>>(p, ids, cols, scale, out);
    }
}

void ba_dev_embed_back(cudaStream_t stream, float *grad, const int32_t *ids, size_t n, size_t cols, float scale,
                       ba_dev_matrix dout) {
    if (n && cols) {
        embed_back_kernel<<<grid_of(n, cols), THREADS, 0, stream>>>(grad, ids, n, cols, scale, dout);
    }
}

void ba_dev_add_row(cudaStream_t stream, const float *x, size_t rows, size_t cols, ba_dev_matrix out) {
    if (rows && cols) {
        add_row_kernel<<<grid_of(rows, cols), THREADS, 0, stream>>>(x, cols, out);
    }
}

void ba_dev_sum_rows(cudaStream_t stream, ba_dev_matrix x, const ba_dev_matrix *other, const float *factor, size_t rows,
                     size_t groups, size_t cols, float *sum) {
    if (cols) {
        sum_rows_kernel<<<(unsigned)((cols + STRIPE - 1) / STRIPE), dim3(STRIPE, STRIPE), 0, stream>>>(
            x, other != nullptr, other ? *other : x, factor, rows, groups, cols, sum);
    }
}

void ba_dev_rmsnorm_back(cudaStream_t stream, ba_dev_matrix x, size_t rows, size_t groups, size_t cols,
                         const float *gain, float eps, ba_dev_matrix dout, bool add, ba_dev_matrix dx, float *factor) {
    if (rows && groups) {
        dim3 grid((unsigned)rows, (unsigned)groups);
        rmsnorm_back_kernel<<<grid, THREADS, 0, stream>>>(x, cols, gain, eps, dout, add, dx, factor);
    }
}

void ba_dev_rotate(cudaStream_t stream, ba_dev_matrix x, size_t rows, size_t heads, size_t dim, const float *rot,
                   bool back, ba_dev_matrix out) {
    size_t pairs = heads * dim / 2;
    if (rows && pairs) {
        rotate_kernel<<<grid_of(rows, pairs), THREADS, 0, stream>>>(x, pairs, dim, rot, back, out);
    }
}

void ba_dev_glu_back(cudaStream_t stream, bool gelu, ba_dev_matrix x, ba_dev_matrix dout, size_t rows, size_t cols,
                     ba_dev_matrix dgate, ba_dev_matrix dup) {
    if (rows && cols) {
        glu_back_kernel<<<quad_grid_of(rows, cols), THREADS, 0, stream>>>(gelu, x, dout, cols, dgate, dup);
    }
}

void ba_dev_cross_entropy(cudaStream_t stream, ba_dev_matrix logits, size_t n, size_t vocab, const int32_t *target,
                          float weight, ba_dev_matrix teacher, float kl_weight, double *loss) {
    if (n) {
        cross_entropy_kernel<<<(unsigned)n, LOSS_THREADS, 0, stream>>>(logits, vocab, target, weight, teacher,
                                                                       kl_weight, loss);
    }
}

void ba_dev_square_sum(cudaStream_t stream, const float *x, size_t n, double *part) {
    square_sum_kernel<<<BA_DEV_PARTS, THREADS, 0, stream>>>(x, n, part);
}

void ba_dev_adamw_step(cudaStream_t stream, const ba_dev_adamw *cfg, size_t n, const float *grad, float *mean,
                       float *variance, float *value) {
    if (n) {
        adamw_kernel<<<(unsigned)((n + THREADS - 1) / THREADS), THREADS, 0, stream>>>(*cfg, n, grad, mean, variance,
                                                                                      value);
    }
}
