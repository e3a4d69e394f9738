/* What the host side of the backend (C) asks of its device side (CUDA C++): one function a kernel or a few, each
 * enqueued on `stream` and not waited for. All pointers are to device memory unless they say otherwise; matrices are
 * row-major with `stride` elements from row to row; bf16 is held in uint16_t. Launch errors are left to
 * cudaGetLastError. */
#ifndef BA_CUDA_DEVICE_H
#define BA_CUDA_DEVICE_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A view's first element and the distance between its rows. */
typedef struct ba_dev_matrix {
    float *at;
    size_t stride;
} ba_dev_matrix;

/* Where results go: reals at `at`, or, if `half` is not NULL, what products take, rounded. */
typedef struct ba_dev_out {
    float *at;
    uint16_t *half;
    size_t stride; /* of half a multiple of 8 */
} ba_dev_out;

typedef enum ba_dev_glu { BA_DEV_NO_GLU, BA_DEV_SILU, BA_DEV_GELU } ba_dev_glu; /* GELU: tanh */

/* ---- rows.cu: every row by itself; nothing happens for rows == 0 ---- */

void ba_dev_embed(cudaStream_t stream, const uint16_t *w, size_t w_stride, const int32_t *ids, size_t n, size_t cols,
                  float scale, ba_dev_matrix out);
void ba_dev_rmsnorm(cudaStream_t stream, ba_dev_matrix x, size_t rows, size_t groups, size_t cols, const float *gain,
                    float eps, ba_dev_out out);
void ba_dev_add(cudaStream_t stream, ba_dev_matrix x, ba_dev_matrix y, size_t rows, size_t cols);
void ba_dev_gate(cudaStream_t stream, ba_dev_glu glu, ba_dev_matrix x, size_t rows, size_t cols, ba_dev_out out);
void ba_dev_gather(cudaStream_t stream, ba_dev_matrix src, const size_t *row, size_t n, size_t cols, ba_dev_matrix dst);
void ba_dev_round(cudaStream_t stream, ba_dev_matrix x, size_t rows, size_t cols, uint16_t *out, size_t out_stride);
/* w[i][c] = ba_random_weight(seed, i * cols + c, scale), rounded. */
void ba_dev_make_weight(cudaStream_t stream, uint16_t *w, size_t rows, size_t cols, size_t stride, uint64_t seed,
                        float scale);
void ba_dev_fill(cudaStream_t stream, ba_dev_out out, size_t rows, size_t cols, float value);

/* ---- linear.cu and hopper/linear*.cu ---- */

/* y (+)= x w^T (+ bias). With glu, w has 2 out rows, of gates and then of units: y = act(gate) unit. */
typedef struct ba_dev_linear {
    const uint16_t *w; /* [out, w_stride], zero after column `in` */
    size_t w_stride;   /* a multiple of 8 */
    const float *bias; /* one a row of w, or NULL */
    size_t in, out, rows;
    const uint16_t *x; /* [rows, in] */
    size_t x_stride;   /* a multiple of 8 */
    ba_dev_out y;      /* [rows, out]; reals without glu */
    bool add;
    ba_dev_glu glu;
} ba_dev_linear;

/* Products of bf16, summed in fp32 in steps of 16 columns from the left: the same bits of a row in any call on one
 * card. hopper: by its own kernels. false: glu is not for this card and shape, and nothing was done. */
bool ba_dev_linear_stable(cudaStream_t stream, const ba_dev_linear *op, bool hopper);
/* One row without glu, summed across a warp. */
void ba_dev_linear_row(cudaStream_t stream, const ba_dev_linear *op);

/* ---- card/peak.cu, hopper/peak.cu ---- */

/* Nothing but matrix products of registers, or for Hopper of shared memory; returns their FLOPs. out: room for 4,096
 * floats a multiprocessor. */
double ba_dev_peak(cudaStream_t stream, float *out);
double ba_dev_peak_hopper(cudaStream_t stream, float *out);
/* Reads `bytes`, a multiple of 16. */
void ba_dev_read(cudaStream_t stream, void *from, size_t bytes);

/* ---- kv.cu ---- */

/* Keys (or values) of a KV: element d of a token of a layer and head is at[layer * layer_step + head * head_step +
 * token * stride + d]; elements after `dim` are zero. */
typedef struct ba_dev_kv {
    uint16_t *k, *v;
    size_t layer_step, head_step;
    int kv_heads, dim, stride; /* stride: dim, rounded up to a multiple of 8 */
} ba_dev_kv;

/* rot: [rows, 2, half] cosines, then sines. pos, freq: [n], [half]. */
void ba_dev_rot_fill(cudaStream_t stream, float *rot, size_t n, size_t half, const double *pos, const double *freq,
                     double magnitude);
/* token, rot: or NULL. rot begins at the first row's rotation. */
void ba_dev_kv_write(cudaStream_t stream, const ba_dev_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n,
                     ba_dev_matrix k, ba_dev_matrix v, const float *rot);
void ba_dev_kv_copy(cudaStream_t stream, const ba_dev_kv *to, size_t at, const ba_dev_kv *from, size_t first, size_t n,
                    size_t layer, const float *rot);
void ba_dev_kv_distance(cudaStream_t stream, bool keys, const ba_dev_kv *a, size_t first_a, const ba_dev_kv *b,
                        size_t first_b, size_t n, size_t layer, double *out);

/* n tokens of a KV from `first` on, with factors at `at`, and the same tokens of another, old; see kv_shift. */
typedef struct ba_dev_kv_span {
    ba_dev_kv kv, old;
    size_t first, n, at;
} ba_dev_kv_span;

void ba_dev_kv_shift(cudaStream_t stream, bool keys, const ba_dev_kv_span *span, size_t n_span, int kv_heads,
                     size_t layer, const double *from, const double *to);

/* ---- attention.cu, select.cu ---- */

enum {
    BA_DEV_TILE = 64,   /* rows (query row x head) that share a pass over keys, and keys of a step */
    BA_DEV_CHUNK = 256, /* keys of a partial state, cut at tokens that are multiples of it */
    BA_DEV_HOPPER_TILE = 128,
    BA_DEV_HOPPER_CHUNK = 1024, /* keys of a chunk, and of a run of them but for its last chunk */
    BA_DEV_DIM_MAX = 256,
    BA_DEV_TOP_MAX = 16, /* largest probabilities summed for a choice */
};

/* ba_kv_segment, as the device wants it. */
typedef struct ba_dev_segment {
    ba_dev_kv kv;
    int first, n, rot_row;
    int before;         /* keys of the job's segments before it */
    int lo, hi;         /* where the job's bounds begin, or -1 */
    float factor, bias; /* of the score, in units of log 2 */
    int group;
    int selectable;
} ba_dev_segment;

/* Keys [key0, key1) of a segment, counted from its first. A job's chunks are in order of groups. */
typedef struct ba_dev_chunk {
    int seg, key0, key1, group;
} ba_dev_chunk;

/* Chunks that follow each other, of one group, for which there is one partial state (on Hopper). A run ends with the
 * chunk that makes it BA_DEV_HOPPER_CHUNK keys long: what comes later does not move its cuts. */
typedef struct ba_dev_run {
    int chunk0, n_chunk, group;
} ba_dev_run;

/* Items are (row tile, chunk) pairs, or (row tile, run) pairs where there are runs, tile by tile; indices count over
 * all jobs. */
typedef struct ba_dev_job {
    int row0, rows;
    int seg0, n_seg;
    int chunk0, n_chunk;
    int run0, n_run;
    int tile0, tiles, item0;
    int scale0, n_groups; /* its factors of log-sum-exps */
} ba_dev_job;

typedef struct ba_dev_attention {
    const ba_dev_job *job;
    const ba_dev_segment *seg;
    const ba_dev_chunk *chunk;
    const ba_dev_run *run;
    const struct CUtensorMap_st *map; /* [segments] of a segment's keys and values, where there are runs */
    const int32_t *bound;
    const float *lse_scale;
    int n_jobs;
    int heads, kv_heads, dim;
    size_t layer;
    const float *rot; /* [.., 2, dim / 2] */
    ba_dev_matrix q;
    ba_dev_out out;
    float *lse; /* [rows, lse_stride] log-sum-exp of every row and head that has a job, or NULL */
    size_t lse_stride;
} ba_dev_attention;

/* Query rows of a tile of `most` rows. */
static inline int ba_dev_tile_rows(int heads, int kv_heads, int most) {
    int group = heads / kv_heads;
    return group < most ? most / group : 1;
}

/* Parts into which a group of more heads than a tile has rows is cut, times the KV heads. */
static inline int ba_dev_head_parts(int heads, int kv_heads, int most) {
    return kv_heads * ((heads / kv_heads + most - 1) / most);
}

/* Floats of the partial states of n items. */
static inline size_t ba_dev_partial_floats(const ba_dev_attention *a, size_t items, int most) {
    return items * (size_t)ba_dev_head_parts(a->heads, a->kv_heads, most) * (size_t)most * (size_t)(a->dim + 2);
}

/* Items [item0, item0 + items), which are all of tiles [tile0, tile0 + tiles): partial states, then their merge. */
void ba_dev_attend(cudaStream_t stream, const ba_dev_attention *a, int item0, int items, int tile0, int tiles,
                   float *partial);

/* The same on Hopper, for heads of a dimension that fits (below). whole: a tile walks through all of its runs, without
 * partial states; for jobs without groups, and without log-sum-exps. Which way it goes does not matter to a bit. */
void ba_dev_attend_hopper(cudaStream_t stream, const ba_dev_attention *a, int item0, int items, int tile0, int tiles,
                          bool whole, float *partial);

/* Whether those kernels can read the queries, 16 bytes at a time. */
static inline bool ba_dev_hopper_fits(const ba_dev_attention *a) {
    return a->dim <= 128 && a->dim % 16 == 0 && a->q.stride % 4 == 0 && (uintptr_t)a->q.at % 16 == 0;
}

/* One job that chooses or reports; arrays [rows, heads, n_seg] unless they say otherwise. Scores of all keys are there for
 * `wave` rows at a time, of which row0 is the first. */
typedef struct ba_dev_select {
    ba_dev_attention a;
    int job;
    int rows, n_seg, keys; /* of the job */
    int row0, wave;
    float *score; /* scratch: [wave, heads, keys], in units of log 2 */
    int select_k, select_top, shared;
    double *max, *sum, *weighted; /* scratch: of exp(score - max) and score exp(score - max) */
    double *top;                  /* scratch: [rows, heads, n_seg, BA_DEV_TOP_MAX] */
    double *vote;                 /* scratch: block scores; if shared, their sum ends up in the first [n_seg] */
    uint8_t *chosen;
    double *lse, *mean;
} ba_dev_select;

/* In this order: sums of every wave, the votes of all rows if they choose together, and the choice and values of every
 * wave. */
void ba_dev_select_score(cudaStream_t stream, const ba_dev_select *s);
void ba_dev_select_sums(cudaStream_t stream, const ba_dev_select *s);
void ba_dev_select_votes(cudaStream_t stream, const ba_dev_select *s);
void ba_dev_select_attend(cudaStream_t stream, const ba_dev_select *s);

/* ---- mass.cu ---- */

/* What the rows of the first job attend to each key. */
typedef struct ba_dev_mass {
    ba_dev_attention a;
    int rows, n_seg, n_chunk, keys; /* keys: of all segments */
    bool mean;                      /* one query for each KV head, the mean of all rows and heads */
    float *mean_query;              /* scratch: [n_seg, kv_heads, dim] if mean */
    float2 *partial; /* scratch: [kv_heads, queries, n_chunk]; queries: rows x heads of a group, or 1 if mean */
    double *lse;     /* scratch: [kv_heads, queries], in units of log 2 */
    double *out;     /* [kv_heads, keys] */
} ba_dev_mass;

void ba_dev_key_mass(cudaStream_t stream, const ba_dev_mass *m);

#ifdef __cplusplus
}
#endif

#endif
