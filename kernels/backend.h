/* The one boundary between the engine and arithmetic: a table of operations per backend.
 *
 * A backend keeps activations, weights and KV in its own element type and memory; the engine holds opaque handles and
 * never looks inside. All matrices are row-major. The backend that made a handle also frees it, before it is closed.
 * Operations do not fail (except through `no_memory` below) and return when their results are ready to be used by the
 * next operation. A backend may use all its threads in each of them, and only one operation may run at a time.
 *
 * Batch invariance. Every operation computes a row of its result from that row's own inputs by a sequence of
 * floating-point operations that depends neither on the other rows in the call, nor on their number, nor on the number
 * of threads. `linear` promises this only where `stable` is set (a single decoded row may take a faster way).
 * This is what makes "cached == computed" an equality of bits. */
#ifndef BA_BACKEND_H
#define BA_BACKEND_H

#include "kernels/base/dtype.h"
#include "kernels/base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_backend ba_backend;
typedef struct ba_buf ba_buf;       /* a matrix of reals, [rows, cols] */
typedef struct ba_weight ba_weight; /* a weight matrix [out, in], with an optional bias [out] */
typedef struct ba_freqs ba_freqs;   /* rotary frequencies of one rope, [head_dim / 2] */
typedef struct ba_rot ba_rot;       /* rotations (cos, sin), [rows, head_dim / 2] */
typedef struct ba_kv ba_kv;         /* keys and values of one node in all layers, in the backend's layout */

/* Exact counts, kept by the kernels. A multiply-add counts as two FLOPs. Only matrix products and query-key pairs count
 * (as in the paper's Table 3); norms, activations, softmax and rotations do not.
 *   flops_exact   matrix products, and visible query-key pairs only
 *   flops_dense   matrix products, and every pair of a segment's keys and a job's rows, visible or masked
 * Bytes are the compulsory traffic of linear, embed, kv_write, kv_copy and attention: each operand once per call, in
 * the element type that it is stored in. */
typedef struct ba_counters {
    uint64_t flops_exact, flops_dense, bytes_read, bytes_written;
} ba_counters;

/* Rows from row0 and columns from col0 of a buffer. The numbers of both are arguments of the operation. */
typedef struct ba_view {
    ba_buf *buf;
    size_t row0, col0;
} ba_view;

/* The source of a weight: rows x cols elements of `type`. Borrowed, and read during weight_new only. */
typedef struct ba_weight_src {
    ba_dtype type;
    size_t rows, cols;
    const void *data;          /* NULL: element i is ba_random_weight (random_weight.h) of `seed`, in bf16 */
    const float *bias;         /* [rows] or NULL */
    const uint32_t *row_order; /* [rows] or NULL: row r of the weight is row row_order[r] of data (and of bias) */
    uint64_t seed;
} ba_weight_src;

/* A weight in the backend's own layout, without its bias. `layout` is a number that differs between the layouts that
 * the backend uses on different machines. */
typedef struct ba_packed_view {
    const void *data; /* [size] bytes, at a multiple of 64 */
    size_t size;
    uint64_t layout;
} ba_packed_view;

enum { BA_MOST_DIM = 1024 }; /* largest dimension of a head */

typedef enum ba_act { BA_ACT_SILU, BA_ACT_GELU_TANH } ba_act;

/* The part of one KV that the query rows of a job may see: keys [first, first + n).
 * Row r, counted from the job's first row, sees the keys lo[r] <= j < hi[r], counted from `first`. */
typedef struct ba_kv_segment {
    const ba_kv *kv;
    size_t first, n;
    size_t rot_row;         /* row of the rot table that rotates the job's first query row for this segment */
    const int32_t *lo, *hi; /* [job rows], or NULL: lo = 0, hi = n */
    double score_scale;     /* multiplies the score (1 / temperature); 1 = none */
    double score_bias;      /* added to the scaled score; 0 = none */
    int group;              /* 0: ordinary. g > 0: log-sum-exp of all segments of group g together is multiplied by
                               job.group_lse_scale[g - 1] before the final merge */
    bool selectable;        /* may be dropped by job.select_k */
} ba_kv_segment;

/* Per query row, head and segment, filled if the job asks for it (row-major [rows, heads, n_seg]). */
typedef struct ba_attn_probe {
    double *lse;        /* log-sum-exp of the scores, scaled and biased; -INFINITY if no key is visible or the segment
                           was not selected */
    double *mean_score; /* mean of these scores, weighted by their probability within the segment; 0 where lse is
                           -INFINITY */
} ba_attn_probe;

/* Query rows that share one list of segments. Segments are summed in the order of the list. */
typedef struct ba_attn_job {
    size_t row0, rows; /* in the q and out views */
    const ba_kv_segment *seg;
    size_t n_seg;
    const double *group_lse_scale; /* [n_groups] or NULL */
    size_t n_groups;
    size_t select_k;      /* 0: none. Else per query head and row keep the select_k selectable segments with the largest
                             sum of their select_top largest probabilities (in the ordinary softmax over everything
                             visible), ties to the lower index; the others' probabilities become 0, all renormalised */
    size_t select_top;    /* 5 in the paper */
    bool select_shared;   /* sum block scores over heads and rows of the job: one choice for all */
    uint8_t *chosen;      /* out, [rows, heads, n_seg], 1 = kept; or NULL */
    ba_attn_probe *probe; /* or NULL */
} ba_attn_job;

/* The device that a backend computes on, as it is now. */
typedef struct ba_device {
    char name[96], driver[64];
    char state[128];   /* clocks, temperature, power; "": not known */
    char warning[256]; /* what makes timings unreliable: throttled clocks, other processes; "": nothing was found */
    uint64_t memory, free_memory; /* bytes; free: what this process may still take */
} ba_device;

typedef enum ba_kv_part { BA_KV_K, BA_KV_V } ba_kv_part;

/* n tokens of a KV, from `first` on, and the same tokens as they were; at: where their factors begin (kv_shift). */
typedef struct ba_kv_span {
    ba_kv *kv;
    const ba_kv *old;
    size_t first, n, at;
} ba_kv_span;

/* Version of the layout that kv_parts shows. Stored KV outlives the program, so whoever changes the order of the bytes
 * increases the number. */
enum { BA_KV_LAYOUT = 1, BA_KV_ALIGN = 64 };

typedef struct ba_backend_config {
    size_t threads;    /* >= 1 */
    const char *dtype; /* as in --dtype; NULL or "auto": any */
} ba_backend_config;

/* The table: one row per backend and element type. `be` is always the opened backend. */
typedef struct ba_backend_ops {
    const char *name;    /* as in --backend: "cpu", "openblas", "cuda", "ref" */
    const char *summary; /* one line: precision, library */
    const char *dtype;   /* as in --dtype: "f64", "f32", "bf16" */

    int (*open)(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]);
    void (*close)(ba_backend *be);
    /* Libraries, their versions, kernels and instruction sets, for the record: "OpenBLAS 0.3.21 Cooperlake; attention
     * avx512; 4 threads". The text before the last semicolon determines every bit of a result. Owned by the backend. */
    const char *(*describe)(const ba_backend *be);

    /* Memory. NULL: out of memory. */
    ba_buf *(*buf_new)(ba_backend *be, size_t rows, size_t cols);
    /* A buffer in the element type that products read, where that saves a conversion. Valid as `out` of rmsnorm, glu,
     * gated and attention, and as `x` of linear and gated; whole rows only. */
    ba_buf *(*operand_new)(ba_backend *be, size_t rows, size_t cols);
    void (*buf_free)(ba_backend *be, ba_buf *buf);
    void (*upload)(ba_backend *be, ba_view dst, size_t rows, size_t cols, const double *src);
    void (*download)(ba_backend *be, ba_view src, size_t rows, size_t cols, double *dst);

    bool makes_weights; /* weight_new makes sources without data by itself; else it is not given any */
    /* A weight from one or more sources stacked by rows (same cols). NULL and err: out of memory, or unusable. */
    ba_weight *(*weight_new)(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]);
    void (*weight_free)(ba_backend *be, ba_weight *w);
    size_t (*weight_bytes)(const ba_weight *w);
    /* Packed weights, so that a later start maps a file instead of converting the model. All three are NULL where
     * conversion is too fast to be worth a file. packing: the name of the layout. weight_packed: the bytes that
     * weight_new made, owned by the weight. weight_mapped: a weight over such bytes, which it borrows until it is
     * freed; src gives sizes and biases, and its data are not read. NULL if weight_new would not make these bytes of
     * src here. */
    const char *(*packing)(const ba_backend *be);
    ba_packed_view (*weight_packed)(const ba_weight *w);
    ba_weight *(*weight_mapped)(ba_backend *be, const ba_weight_src *src, size_t n_src, ba_packed_view packed);

    /* Rotary tables. freq[i]: radians per position of pair (i, i + head_dim / 2); magnitude multiplies cos and sin. */
    ba_freqs *(*freqs_new)(ba_backend *be, const double *freq, size_t half_dim, double magnitude);
    void (*freqs_free)(ba_backend *be, ba_freqs *f);
    ba_rot *(*rot_new)(ba_backend *be, size_t rows, size_t half_dim);
    void (*rot_free)(ba_backend *be, ba_rot *rot);
    /* Angles are computed in double. Positions may be negative or fractional. */
    void (*rot_fill)(ba_backend *be, ba_rot *rot, size_t row0, size_t n, const double *pos, const ba_freqs *f);

    /* Keys and values of `capacity` tokens. */
    ba_kv *(*kv_new)(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity);
    void (*kv_free)(ba_backend *be, ba_kv *kv);
    size_t (*kv_bytes)(const ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity);
    /* The bytes themselves, to be stored or filled: keys, then values. This and kv_view are NULL for a backend whose KV
     * is in the memory of a device; it has kv_save and what follows instead. */
    void (*kv_parts)(ba_backend *be, ba_kv *kv, void *part[2], size_t bytes[2]);
    /* A KV over such bytes (keys, then values) in memory of the caller, which must be aligned to BA_KV_ALIGN and must
     * stay until kv_free. The bytes are only read. */
    ba_kv *(*kv_view)(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity,
                      const void *bytes);
    /* The same bytes between the memory of a device and the machine's. These five are NULL for a backend with kv_parts.
     * host_new: memory that the device reaches by itself (page-locked); NULL: there is none. host_free takes NULL, too.
     * Both and kv_save may run on another thread at the same time as other operations.
     * kv_save: copies a KV that no operation still writes to `to`, [kv_bytes] of any memory. 0, or -1: the device failed.
     * kv_load: fills a new KV from `from`, [kv_bytes] of any memory that stays as it is until kv_loaded. The copies run
     * beside other operations, layer by layer over all KV being loaded; an operation on a layer waits for that layer, and
     * kv_free for all. 0, or -1: out of memory.
     * kv_loaded: waits for all loads; the seconds between the first copy's begin and the last one's end since it was
     * called last, 0 without any. */
    void *(*host_new)(ba_backend *be, size_t bytes);
    void (*host_free)(ba_backend *be, void *at);
    int (*kv_save)(ba_backend *be, const ba_kv *kv, void *to);
    int (*kv_load)(ba_backend *be, ba_kv *kv, const void *from);
    double (*kv_loaded)(ba_backend *be);
    /* Stores rows of k and v (views [n, kv_heads * head_dim]) as tokens [at, at + n), or as token[i] if given. Key i is
     * rotated by row rot_row + i of rot (NULL: not rotated). */
    void (*kv_write)(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                     ba_view v, const ba_rot *rot, size_t rot_row);
    /* Copies n tokens of one layer; key i is rotated by row rot_row + i of rot (NULL: not rotated). */
    void (*kv_copy)(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                    const ba_rot *rot, size_t rot_row);
    /* K and V of n tokens of one layer as [n, kv_heads, head_dim]; either may be NULL. In a backend with kv_parts, this
     * may run at the same time as other operations. */
    void (*kv_read)(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v);
    /* out[i] = sum over heads and dims of (a - b)^2 of token first_a + i of a and first_b + i of b. */
    void (*kv_distance)(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                        size_t first_b, size_t n, double *out);
    /* Moves keys or values of one layer, in each of some spans (which share no token) by the mean change of some of its
     * tokens: with m = sum over i < n of from[at + i] (kv - old) of token first + i, adds to[at + i] m to token first + i
     * of kv for every i with to[at + i] != 0. m in fp32 or better. */
    void (*kv_shift)(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                     const double *from, const double *to);

    /* out[r] = row ids[r] of the weight, times scale. */
    void (*embed)(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out);
    /* out = x w^T (+ bias), or out += x w^T (+ bias) if `add` is set. x [rows, in], out [rows, out]; no overlap. */
    void (*linear)(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add, bool stable);
    /* Divides every group of `cols` neighbouring columns (a row has `groups` groups) by its root mean square and
     * multiplies it by gain [1, cols]: out = x / sqrt(mean(x^2) + eps) * gain. out may be x. */
    void (*rmsnorm)(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_buf *gain, double eps,
                    ba_view out);
    /* x += y, [rows, cols]. */
    void (*add)(ba_backend *be, ba_view x, ba_view y, size_t rows, size_t cols);
    /* out = act(x[:, 0:cols]) * x[:, cols:2 cols]. out may be x itself. */
    void (*glu)(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out);
    /* linear followed by glu: out [rows, n] of a weight [2 n, in]. The same bits, without writing the product to
     * memory. NULL if this would gain nothing. */
    void (*gated)(ba_backend *be, ba_act act, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool stable);
    /* dst[i] = src[row[i]]. */
    void (*gather)(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst);

    /* Attention of query rows over KV segments. Queries come without rotation, keys and values are used in place. q and
     * out: [rows, heads * head_dim]. Query head h uses KV head h / (heads / kv_heads). For each segment the query row r
     * is rotated by row rot_row + r of rot. Scores are multiplied by `scale` (1 / sqrt(head_dim)). A row that sees no
     * key yields zeros. Never holds more than a tile of scores. */
    void (*attention)(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                      const ba_attn_job *job, size_t n_jobs, ba_view q, ba_view out);
    /* What the rows of one job attend to each key: out[i] = the sum, over rows and query heads, of the probability of key
     * i in the softmax over all keys that the row sees; 0 for keys that no row sees. Keys are counted over the job's
     * segments, in order. mean_query: one query for each KV head instead, the mean of the rotated queries of all rows and
     * of the heads that share the KV head, which sees what the last row sees; the sum is over KV heads. Scores as in
     * attention; groups and selection play no part. In fp32 or better. Counts the products of queries and keys. */
    void (*key_mass)(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                     const ba_attn_job *job, ba_view q, bool mean_query, double *out);

    /* Waits until all operations so far are finished; called before a clock is read, because on a device an operation
     * returns when it is queued. NULL: operations return when they are finished. */
    void (*finish)(ba_backend *be);

    /* All three are NULL for a backend that computes on the processors of the machine.
     * device: what is known of the device. peak: rates of the device, measured now: products of bf16 in registers and
     * shared memory, FLOP/s, and memory traffic, bytes read and written, B/s; 0, or -1: no memory. fault: what went wrong
     * with the device, after which no result is to be trusted, or NULL. */
    void (*device)(ba_backend *be, ba_device *out);
    int (*peak)(ba_backend *be, double *flops, double *bytes);
    const char *(*fault)(const ba_backend *be);

    /* The operations of training (train.h); NULL if the backend cannot train. */
    const struct ba_train_ops *train;
} ba_backend_ops;

/* The first member of every backend's struct. */
struct ba_backend {
    const ba_backend_ops *ops;
    atomic_bool no_memory; /* an operation had no work space and wrote NaN; the owner of the backend clears it */
    ba_counters count;     /* since open; the owner may zero it */
    size_t real_size;      /* bytes of an activation element */
    size_t weight_size;    /* bytes of a weight element in memory */
    size_t kv_size;        /* bytes of a K or V element in memory */
};

/* Row i of the table of this build; NULL past the last. */
const ba_backend_ops *ba_backend_at(size_t i);

/* The first row with this name and element type; NULL or "auto" fits every row. NULL and err, which lists what there
 * is, if there is none. remark: one line for the user if the name has been replaced by another spelling, else "". */
const ba_backend_ops *ba_backend_find(const char *name, const char *dtype, char remark[BA_ERR_LEN],
                                      char err[BA_ERR_LEN]);

/* Opens the row that `name` and cfg->dtype find; if both are "auto", the first that opens. 0, or -1 and err. */
int ba_backend_open(const char *name, const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]);
/* Opens the first row that fits and trains: bf16 before f32 before f64. 0, or -1 and err. */
int ba_backend_open_to_train(const char *name, const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]);
void ba_backend_close(ba_backend *be);

/* The monotonic clock, in seconds, after all operations so far are finished: the end of a stage on a device, too. */
double ba_backend_now(ba_backend *be);

#endif
