/* Attention of the CPU backends. Three layers:
 *   simd_plain.c, simd_avx2.c, simd_avx512.c   a run of keys against a tile of rows. simd.h is compiled for each
 *                instruction set; only these files may use its instructions
 *   attention.c  cuts jobs into units of work and merges partial states
 *   select.c     jobs that choose among segments or ask for a probe: two passes, simple rather than fast
 *
 * Scores are in units of log 2: the scale and log2(e) are multiplied into the rotated query. */
#ifndef BA_ATTENTION_H
#define BA_ATTENTION_H

#include "kernels/backend.h"

enum {
    BA_KEYS = 64,      /* keys of a tile */
    BA_TILE_ROWS = 96, /* rows (query row x head) that share one pass over K and V */
};

/* The maximum over no score. It is finite, so that differences are never NaN. */
#define BA_NO_SCORE (-1e30f)

/* A tile of rows against keys [key0, key1) of one segment, tokens of its KV. Row r sees lo[r] <= key < hi[r], inside of
 * [key0, key1). m, l and o are the running maximum, the sum, and the output before it is divided by the sum. */
typedef struct ba_tile {
    const void *k, *v; /* of one layer and head, laid out as in cpu.h or bf16.h */
    size_t dim, v_stride;
    size_t key0, key1;
    size_t rows;
    const int32_t *lo, *hi; /* [rows] */
    const float *q;         /* [rows, dim], each row written by rotate */
    float bias;
    float *m, *l;   /* [rows] */
    float *o;       /* [rows, v_stride] */
    float *s;       /* [rows, BA_KEYS] work space */
    float *rescale; /* [rows] work space */
    uint64_t pairs; /* out: the number of visible pairs is added */
} ba_tile;

/* The functions that are compiled once per instruction set: attention, and what shares its vectors and tiles. They are
 * NULL if the compiler is not for that processor family. */
typedef struct ba_isa {
    const char *name;
    void (*attend)(ba_tile *t);
    /* s = scores of keys [64 t, 64 t + 64), masked or not: of a ba_tile it reads k, dim, rows, q and bias. */
    void (*scores)(const ba_tile *t, size_t key_tile);
    /* c[rows, 64] = x[rows, depth] w[depth, 64], or += if `more`. w and c aligned and without gaps. */
    void (*product)(size_t rows, size_t depth, const float *x, size_t x_stride, const float *w, float *c, bool more);
    /* out = (x rotated by rot [2, dim / 2]) * factor, in the layout that attend and scores read */
    void (*rotate)(const float *x, size_t dim, const float *rot, float factor, float *out);
    /* out = act(gate) * up, [n]; out may be gate */
    void (*glu)(ba_act act, const float *gate, const float *up, size_t n, float *out);
    /* 1 / sqrt(mean(x^2) + eps) */
    float (*rms_factor)(const float *x, size_t cols, float eps);
    /* out = x * factor * gain, [n]; out may be x */
    void (*scale)(const float *x, size_t n, float factor, const float *gain, float *out);
    /* Values [64, v_stride] of a key tile, converted to fp32; NULL if they are fp32 already. */
    void (*values)(const void *v, size_t v_stride, float *out);
} ba_isa;

extern const ba_isa ba_isa_plain, ba_isa_avx2, ba_isa_avx512;

/* The best instruction set of this processor, or the one that the environment variable BLOCKATTN_ISA names. NULL and
 * err if the processor does not have that one. */
const ba_isa *ba_isa_choose(char err[BA_ERR_LEN]);

/* Work space: one part for each thread and a shared one. Grows with head size and number of segments. */
typedef struct ba_attn_space ba_attn_space;
ba_attn_space *ba_attn_space_new(size_t threads);
void ba_attn_space_free(ba_attn_space *space);
/* Makes room for heads of `dim`. 0, or -1: out of memory. */
int ba_attn_space_reserve(ba_attn_space *space, size_t dim);

#endif
