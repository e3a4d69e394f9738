/* Inside of the backends on the CPU: the contents of the handles, and the operations in fp32. The tables are in table.c
 * and openblas.c; bf16/ and train/ build on this header. All arrays are aligned to 64 bytes. */
#ifndef BA_CPU_H
#define BA_CPU_H

#include "attention.h"
#include "kernels/backend.h"
#include "kernels/base/pool.h"

enum {
    BA_PAD_ROWS = 48,  /* rows after the last one of a buffer that a matrix product may read, and ignores */
    BA_SUM_ROWS = 240, /* rows of a tile of a product */
    BA_PART = 512,     /* elements of a row that are computed together before they are rounded */
};

typedef struct ba_cpu {
    ba_backend base;
    ba_pool *pool;
    const ba_isa *isa;
    ba_attn_space *space;
    float *sum; /* [threads, BA_SUM_ROWS, BA_KEYS] tiles of a product before they are added to out */
    void (*round)(const float *x, size_t n, uint16_t *out); /* to bf16; NULL in a backend without bf16 buffers */
    struct ba_train_cpu *train;                             /* what training adds; NULL before the first use */
    void (*train_close)(struct ba_train_cpu *train);        /* set with it */
} ba_cpu;

/* One of the three pointers is set: fp32; or bf16, for operands of products (bf16/operand.c); or both packings of an
 * operand of training (train/bf16_operand.c). */
struct ba_buf {
    size_t cols;
    float *at;         /* [rows + BA_PAD_ROWS, cols]; never uninitialised */
    uint16_t *half;    /* the same */
    uint16_t *packing; /* the two packings that products read in training, one after the other */
};

/* Packed: rows of the weight (columns of the result) are in tiles of BA_KEYS, transposed and padded with zeros, as the
 * tile code reads them: [tiles, in, BA_KEYS]. Not packed: [out, in]. */
struct ba_weight {
    size_t in, out;
    bool packed;
    float *at;
    float *bias; /* [out] or NULL */
};

/* Rotations of the positions 0, 1, .., n - 1, which are needed again and again. */
typedef struct ba_rot_cache {
    float *at; /* [n, 2, half] */
    size_t n;
} ba_rot_cache;

struct ba_freqs {
    size_t half;
    double magnitude;
    double *freq;        /* [half] */
    ba_rot_cache *cache; /* grows with the largest position that was asked for */
};

struct ba_rot {
    size_t half;
    float *at; /* [rows, 2, half]: cosines, then sines */
};

/* Tokens of one layer and head are in tiles of BA_KEYS, from token 0. Keys are transposed inside a tile, so that one
 * vector holds one dimension of neighbouring keys; values are row-major. Places without a token are zero. */
struct ba_kv {
    size_t slices; /* layers * kv_heads */
    size_t kv_heads, dim, tiles;
    size_t v_stride; /* dim, rounded up to whole vectors */
    size_t size;     /* bytes of an element: 4; 2 in the layout of bf16.h, which has the same number of elements */
    void *k;         /* [layers, kv_heads, tiles, dim, BA_KEYS] */
    void *v;         /* [layers, kv_heads, tiles * BA_KEYS, v_stride] */
    bool borrowed;   /* k and v are the caller's */
};

static inline size_t ba_cpu_v_stride(size_t dim) {
    return (dim + 15) / 16 * 16;
}

static inline float *ba_cpu_row(ba_view view, size_t r) {
    return view.buf->at + (view.row0 + r) * view.buf->cols + view.col0;
}

static inline uint16_t *ba_cpu_half_row(ba_view view, size_t r) {
    return view.buf->half + (view.row0 + r) * view.buf->cols + view.col0;
}

/* Writing elements [col, col + n) of a row of a result: ba_cpu_room returns where to write them in fp32, either their
 * place in the buffer or `part` [n], and ba_cpu_put rounds them into a bf16 buffer in the second case. */
static inline float *ba_cpu_room(ba_view out, size_t r, size_t col, float *part) {
    return out.buf->half ? part : ba_cpu_row(out, r) + col;
}

static inline void ba_cpu_put(const ba_cpu *cpu, ba_view out, size_t r, size_t col, size_t n, const float *part) {
    if (out.buf->half) {
        cpu->round(part, n, ba_cpu_half_row(out, r) + col);
    }
}

/* Keys and values of one layer and head. */
static inline void *ba_cpu_keys(const ba_kv *kv, size_t layer, size_t head) {
    return (char *)kv->k + (layer * kv->kv_heads + head) * kv->tiles * kv->dim * BA_KEYS * kv->size;
}

static inline void *ba_cpu_values(const ba_kv *kv, size_t layer, size_t head) {
    return (char *)kv->v + (layer * kv->kv_heads + head) * kv->tiles * BA_KEYS * kv->v_stride * kv->size;
}

/* Starts the pool and the work space and chooses the instruction set. cpu must be zeroed. On failure the caller still
 * calls ba_cpu_close. */
int ba_cpu_open(ba_cpu *cpu, const ba_backend_config *cfg, char err[BA_ERR_LEN]);
void ba_cpu_close(ba_cpu *cpu);

/* A buffer of fp32 or of bf16; NULL: too large, or out of memory. */
ba_buf *ba_cpu_buf_as(size_t rows, size_t cols, bool half);

/* a * b * c zeroed elements of `size` bytes; NULL if that overflows or there is no memory. Freed with free. */
void *ba_cpu_alloc(size_t a, size_t b, size_t c, size_t size);

/* Runs body(arg, first, last) over pieces of [0, n), in parallel if n * cost, in elements, is large enough. */
void ba_cpu_for(ba_cpu *cpu, size_t n, size_t cost, void (*body)(const void *arg, size_t first, size_t last),
                const void *arg);

/* As weight_new in backend.h; packed or not. */
ba_weight *ba_cpu_weight_as(ba_cpu *cpu, const ba_weight_src *src, size_t n_src, bool packed, char err[BA_ERR_LEN]);
/* Copies the biases of the sources into a weight whose sizes are set. 0, or -1: out of memory. */
int ba_cpu_weight_bias(ba_weight *w, const ba_weight_src *src, size_t n_src);

/* As embed in backend.h; `row` writes one row of the weight, times scale: out [w->in]. */
typedef void (*ba_embed_row)(const ba_weight *w, size_t id, float scale, float *restrict out);
void ba_cpu_embed_by(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out,
                     ba_embed_row row);

/* Prepares `rows` x `cols` results, from column `col` of the weight on, for a product: to = bias, if there is one, +
 * old, if `add` is set. to may be old. Returns whether the product must be added to `to` rather than overwrite it. */
bool ba_cpu_prepare(const ba_weight *w, bool add, const float *old, size_t old_stride, float *to, size_t to_stride,
                    size_t rows, size_t col, size_t cols);

/* Operations of the table, as documented in backend.h. weight_new packs, and linear needs a packed weight. */
ba_buf *ba_cpu_buf_new(ba_backend *be, size_t rows, size_t cols);
void ba_cpu_buf_free(ba_backend *be, ba_buf *buf);
void ba_cpu_upload(ba_backend *be, ba_view dst, size_t rows, size_t cols, const double *src);
void ba_cpu_download(ba_backend *be, ba_view src, size_t rows, size_t cols, double *dst);
ba_weight *ba_cpu_weight_new(ba_backend *be, const ba_weight_src *src, size_t n_src, char err[BA_ERR_LEN]);
void ba_cpu_weight_free(ba_backend *be, ba_weight *w);
size_t ba_cpu_weight_bytes(const ba_weight *w);
ba_freqs *ba_cpu_freqs_new(ba_backend *be, const double *freq, size_t half_dim, double magnitude);
void ba_cpu_freqs_free(ba_backend *be, ba_freqs *f);
ba_rot *ba_cpu_rot_new(ba_backend *be, size_t rows, size_t half_dim);
void ba_cpu_rot_free(ba_backend *be, ba_rot *rot);
void ba_cpu_rot_fill(ba_backend *be, ba_rot *rot, size_t row0, size_t n, const double *pos, const ba_freqs *f);
ba_kv *ba_cpu_kv_new(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity);
void ba_cpu_kv_free(ba_backend *be, ba_kv *kv);
size_t ba_cpu_kv_bytes(const ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity);
void ba_cpu_kv_parts(ba_backend *be, ba_kv *kv, void *part[2], size_t bytes[2]);
ba_kv *ba_cpu_kv_view(ba_backend *be, size_t layers, size_t kv_heads, size_t head_dim, size_t capacity,
                      const void *bytes);
void ba_cpu_kv_write(ba_backend *be, ba_kv *kv, size_t layer, size_t at, const int32_t *token, size_t n, ba_view k,
                     ba_view v, const ba_rot *rot, size_t rot_row);
void ba_cpu_kv_copy(ba_backend *be, ba_kv *dst, size_t at, const ba_kv *src, size_t first, size_t n, size_t layer,
                    const ba_rot *rot, size_t rot_row);
void ba_cpu_kv_read(ba_backend *be, const ba_kv *kv, size_t layer, size_t first, size_t n, double *k, double *v);
void ba_cpu_kv_distance(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv *a, size_t first_a, const ba_kv *b,
                        size_t first_b, size_t n, double *out);
void ba_cpu_embed(ba_backend *be, const ba_weight *w, const int32_t *ids, size_t n, double scale, ba_view out);
void ba_cpu_linear(ba_backend *be, const ba_weight *w, ba_view x, size_t rows, ba_view out, bool add, bool stable);
void ba_cpu_rmsnorm(ba_backend *be, ba_view x, size_t rows, size_t groups, size_t cols, const ba_buf *gain, double eps,
                    ba_view out);
void ba_cpu_add(ba_backend *be, ba_view x, ba_view y, size_t rows, size_t cols);
void ba_cpu_glu(ba_backend *be, ba_act act, ba_view x, size_t rows, size_t cols, ba_view out);
void ba_cpu_gather(ba_backend *be, ba_view src, const size_t *row, size_t n, size_t cols, ba_view dst);
void ba_cpu_attention(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                      const ba_attn_job *job, size_t n_jobs, ba_view q, ba_view out);
/* A call of kv_shift. A task of it is one KV head of one span: head index % kv_heads of span index / kv_heads. */
typedef struct ba_cpu_shift {
    ba_kv_part part;
    size_t layer, kv_heads;
    const ba_kv_span *span;
    const double *from, *to;
} ba_cpu_shift;
/* Spreads the call over the threads; arg of the task: the ba_cpu_shift. */
void ba_cpu_shift_run(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                      const double *from, const double *to, void (*task)(void *arg, size_t index, size_t worker));
void ba_cpu_kv_shift(ba_backend *be, ba_kv_part part, size_t layer, const ba_kv_span *span, size_t n_span,
                     const double *from, const double *to);
void ba_cpu_key_mass(ba_backend *be, size_t layer, size_t heads, double scale, const ba_rot *rot,
                     const ba_attn_job *job, ba_view q, bool mean_query, double *out);

/* Rows that the tables of all CPU backends share, and those that all tables of fp32 share. */
#define BA_CPU_ROWS                                                                                                    \
    .buf_free = ba_cpu_buf_free, .upload = ba_cpu_upload, .download = ba_cpu_download, .freqs_new = ba_cpu_freqs_new,  \
    .freqs_free = ba_cpu_freqs_free, .rot_new = ba_cpu_rot_new, .rot_free = ba_cpu_rot_free,                           \
    .rot_fill = ba_cpu_rot_fill, .kv_new = ba_cpu_kv_new, .kv_free = ba_cpu_kv_free, .kv_bytes = ba_cpu_kv_bytes,      \
    .kv_parts = ba_cpu_kv_parts, .kv_view = ba_cpu_kv_view, .rmsnorm = ba_cpu_rmsnorm, .add = ba_cpu_add,              \
    .glu = ba_cpu_glu, .gather = ba_cpu_gather, .attention = ba_cpu_attention, .key_mass = ba_cpu_key_mass
#define BA_F32_ROWS                                                                                                    \
    BA_CPU_ROWS, .buf_new = ba_cpu_buf_new, .operand_new = ba_cpu_buf_new, .weight_free = ba_cpu_weight_free,          \
                 .weight_bytes = ba_cpu_weight_bytes, .kv_write = ba_cpu_kv_write, .kv_copy = ba_cpu_kv_copy,          \
                 .kv_read = ba_cpu_kv_read, .kv_distance = ba_cpu_kv_distance, .kv_shift = ba_cpu_kv_shift,            \
                 .embed = ba_cpu_embed

#endif
