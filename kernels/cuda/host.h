/* Backend "cuda": weights, keys and values in bf16, activations in fp32, all in the memory of one NVIDIA GPU. Products
 * by its tensor cores, sums in fp32; rounding as in bf16.h.
 *
 * The host side (host*.c) keeps the handles, counts, and enqueues; the device side (*.cu) is called through device.h.
 * Everything goes through one stream in order, and only what returns numbers to the host waits for it. What an
 * operation needs from the host (ids, positions, lists of segments) travels through a staging area that is used from
 * front to back, and waited for when it begins anew. */
#ifndef BA_CUDA_HOST_H
#define BA_CUDA_HOST_H

#include "device_map.h"
#include "device_train.h"
#include "kernels/backend.h"
#include "kernels/base/pool.h"
#include "kernels/train.h"

/* The lists of an attention call, as they were staged; calls of one walk through the layers have the same. */
typedef struct ba_cuda_lists {
    char *at; /* grow-only */
    size_t n, capacity;
    size_t job, seg, chunk, run, map, bound, scale; /* where each begins */
} ba_cuda_lists;

/* A buffer's rows in bf16, for the products of training that take them one after the other. */
typedef struct ba_cuda_rounded {
    ba_dev_matrix of; /* of.at NULL: of nothing */
    size_t rows, cols;
    uint16_t *at;
    size_t size;
} ba_cuda_rounded;

enum { BA_CUDA_ROUNDED = 6 };

/* KV on its way from the machine's memory (card/load.c). Loads [first, n) make up the batch whose layers arrive one
 * after the other; those before it are under way in full. */
typedef struct ba_cuda_loads {
    cudaStream_t down, up; /* to the card; back from it, for other threads */
    struct ba_cuda_load {
        ba_kv *kv;
        const char *from;
    } * at; /* [room] */
    size_t n, first, room;
    size_t layers, sent;  /* of the batch: how many it has, and how many are under way */
    cudaEvent_t *arrived; /* [n_event] a layer of the batch */
    size_t n_event;
    cudaEvent_t ready, begin, end;
    bool timing; /* begin was recorded since kv_loaded */
} ba_cuda_loads;

typedef struct ba_gpu {
    ba_backend base;
    char describe[512];
    ba_pool *pool;
    int device;
    cudaStream_t stream;
    cudaError_t fault; /* the first error of a call; from there on downloads are NaN */
    char *stage_host, *stage_device;
    size_t stage_size, stage_used;
    char *landing; /* pinned: what comes from the device */
    size_t landing_size;
    bool hopper;       /* the card has the kernels of compute capability 9.0 */
    uint16_t *rounded; /* operand of a product, as large as the largest that was needed */
    size_t rounded_size;
    float *gates; /* gates and units before they are multiplied, where a product does not do it; grow-only */
    size_t gates_size;
    float *partial; /* states of attention */
    size_t partial_size;
    ba_cuda_lists lists, staged;
    const char *staged_at;                    /* address of `staged` on the device; NULL: no longer */
    ba_cuda_rounded operand[BA_CUDA_ROUNDED]; /* of training */
    size_t next_operand;
    float *scratch; /* of training, grow-only */
    size_t scratch_size;
    ba_cuda_loads loads;
} ba_gpu;

/* Of reals, or an operand of products. */
struct ba_buf {
    size_t rows, cols;
    size_t stride; /* cols, rounded up to whole 16 bytes */
    float *at;
    uint16_t *half;
};

struct ba_weight {
    size_t in, out, stride; /* stride: in, rounded up to whole 16 bytes */
    uint16_t *at;           /* [out, stride] */
    float *bias;            /* [out] or NULL */
};

struct ba_freqs {
    size_t half;
    double magnitude, *freq;
};

struct ba_rot {
    size_t half;
    float *at; /* [rows, 2, half] */
};

struct ba_kv {
    ba_dev_kv on;
    size_t layers, part;                    /* part: elements of all keys, and of all values */
    unsigned char map[sizeof(CUtensorMap)]; /* of keys and values, for Hopper's copy engine */
};

static inline ba_dev_matrix ba_cuda_matrix(ba_view view) {
    return (ba_dev_matrix){view.buf->at + view.row0 * view.buf->stride + view.col0, view.buf->stride};
}

static inline ba_dev_out ba_cuda_out(ba_view view) {
    const ba_buf *b = view.buf;
    size_t first = view.row0 * b->stride + view.col0;
    return (ba_dev_out){b->at ? b->at + first : NULL, b->half ? b->half + first : NULL, b->stride};
}

/* Notes a failed call, and that results are not to be trusted; true if there was none. */
bool ba_cuda_ok(ba_gpu *be, cudaError_t status);
/* The same for the kernels launched so far, which may have written to any buffer. */
void ba_cuda_launched(ba_gpu *be);
/* Buffers have changed: what was rounded of them is out of date. */
void ba_cuda_forget(ba_gpu *be);

/* a * b * c elements of device memory, in the stream's order; NULL if that overflows or there is none. */
void *ba_cuda_alloc(ba_gpu *be, size_t a, size_t b, size_t c, size_t size);
void ba_cuda_free(ba_gpu *be, void *at);
/* At least `bytes` in a grow-only array that need not keep what it holds; NULL: out of memory. */
void *ba_cuda_grow(ba_gpu *be, void *at, size_t *have, size_t bytes);

/* Copies n bytes to the device, where they lie until the staging area begins anew: use them at once. NULL: out of
 * memory. */
const void *ba_cuda_stage(ba_gpu *be, const void *from, size_t n);
/* Room for n bytes in the staging area, and the address of its twin on the device; nothing is copied. */
void *ba_cuda_stage_room(ba_gpu *be, size_t n, void **twin);
/* Makes the first staging and landing areas. false: no memory. */
bool ba_cuda_reserve(ba_gpu *be);
/* Waits for everything and copies n bytes from the device; the host's copy is good until the next call. NULL: fault. */
const void *ba_cuda_land(ba_gpu *be, const void *from, size_t n);

/* Decodes the sources' rows to fp32, or rounds them to bf16, whichever is not NULL; rows `stride` elements apart. */
void ba_cuda_decode(ba_gpu *be, const ba_weight_src *src, size_t n_src, size_t stride, float *wide, uint16_t *half);

/* Flattens jobs; on: heads, kv_heads and dim are read. hopper: for its kernels. false: out of memory. */
bool ba_cuda_flatten(ba_cuda_lists *l, const ba_attn_job *job, size_t n_jobs, double scale, const ba_dev_attention *on,
                     bool hopper);
/* Points `on` into lists that lie at `at` on the device. */
void ba_cuda_point(ba_dev_attention *on, const ba_cuda_lists *l, const char *at);
/* Attention of flattened jobs, in waves that fit the work space; host: the lists' copy here. false: out of memory. */
bool ba_cuda_attend(ba_gpu *be, const ba_dev_attention *on, const ba_dev_job *host);

/* card/load.c. Makes the streams and events. false: fault. */
bool ba_cuda_loads_open(ba_gpu *be);
void ba_cuda_loads_close(ba_gpu *be);
/* What is enqueued next reads this layer of KV, which may still be on its way. */
void ba_cuda_await(ba_gpu *be, size_t layer);
/* All that reads this layer is enqueued: the next layer may set out. */
void ba_cuda_send_next(ba_gpu *be, size_t layer);
/* A KV is going to be freed. */
void ba_cuda_loads_forget(ba_gpu *be, const ba_kv *kv);

extern const ba_train_ops ba_cuda_train;

/* Training's attention (train/host_attention.c), as documented in train.h. */
ba_train_mask *ba_cuda_mask_new(ba_backend *be, const ba_train_job *job, size_t n_jobs, size_t rows, size_t rot_rows);
void ba_cuda_mask_free(ba_backend *be, ba_train_mask *mask);
void ba_cuda_train_attention(ba_backend *be, const ba_train_attention *a);
void ba_cuda_train_attention_back(ba_backend *be, const ba_train_attention *a, ba_view dout, ba_view dq, ba_view dk,
                                  ba_view dv);

/* Rows of the table, as documented in backend.h. Those of card/ first. */
void ba_cuda_device(ba_backend *be, ba_device *out);
int ba_cuda_peak(ba_backend *be, double *flops, double *bytes);
const char *ba_cuda_fault(const ba_backend *be);
ba_buf *ba_cuda_buf_new(ba_backend *be, size_t rows, size_t cols);
ba_buf *ba_cuda_operand_new(ba_backend *be, size_t rows, size_t cols);
void ba_cuda_buf_free(ba_backend *be, ba_buf *buf);
void ba_cuda_upload(ba_backend *be, ba_view dst, size_t rows, size_t cols, const double *src);
void ba_cuda_download(ba_backend *be, ba_view src, size_t rows, size_t cols, double *dst);
ba_weight *ba_cuda_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]);
void ba_cuda_weight_free(ba_backend *be, ba_weight *w);
size_t ba_cuda_weight_bytes(const ba_weight *w);
ba_freqs *ba_cuda_freqs_new(ba_backend *be, const double *freq, size_t half_dim, double magnitude);
void ba_cuda_freqs_free(ba_backend *be, ba_freqs *f);
ba_rot *ba_cuda_rot_new(ba_backend *be, size_t rows, size_t half_dim);
void ba_cuda_rot_free(ba_backend *be, ba_rot *rot);
void ba_cuda_rot_fill(ba_backend *be, ba_rot *rot, size_t row0, size_t n, const double *pos, const ba_freqs *f);
ba_kv *ba_cuda_kv_new(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity);
void ba_cuda_kv_free(ba_backend *be, ba_kv *kv);
size_t ba_cuda_kv_bytes(const ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity);
void *ba_cuda_host_new(ba_backend *be, size_t bytes);
void ba_cuda_host_free(ba_backend *be, void *at);
int ba_cuda_kv_save(ba_backend *be, const ba_kv *kv, void *to);
int ba_cuda_kv_load(ba_backend *be, ba_kv *kv, const void *from);
double ba_cuda_kv_loaded(ba_backend *be);
void ba_cuda_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                      ba_view v, const ba_rot *rot, size_t rot_row);
void ba_cuda_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                     const ba_rot *rot, size_t rot_row);
void ba_cuda_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v);
void ba_cuda_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                         size_t first_b, size_t n, double *out);
void ba_cuda_kv_shift(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                      const double *from, const double *to);
void ba_cuda_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out);
void ba_cuda_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add, bool stable);
void ba_cuda_gated(ba_backend *be, ba_act act, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool stable);
void ba_cuda_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_buf *gain, double eps,
                     ba_view out);
void ba_cuda_add(ba_backend *be, ba_view x, ba_view y, size_t rows, size_t cols);
void ba_cuda_glu(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out);
void ba_cuda_gather(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst);
void ba_cuda_attention(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                       const ba_attn_job *job, size_t n_jobs, ba_view q, ba_view out);
void ba_cuda_key_mass(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                      const ba_attn_job *job, ba_view q, bool mean_query, double *out);

#endif
