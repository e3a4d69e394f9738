/* Attention of the fp32 CPU backends. Three layers:
 *   attention_plain.c, attention_avx2.c, attention_avx512.c   one run of keys against a tile of rows (attention_tile.h,
 *                       compiled for each instruction set): the only code that may assume it
 *   attention.c         cuts jobs into units of work, merges partial states
 *   attention_select.c  jobs that choose among segments or ask for a probe: two walks, simple instead of fast
 *
 * Scores are kept in units of log 2: the scale and log2(e) are multiplied into the rotated query. */
#ifndef BA_ATTENTION_H
#define BA_ATTENTION_H

#include "kernels/backend.h"

enum {
    BA_KEYS = 64,      /* keys of a tile */
    BA_TILE_ROWS = 96, /* rows (query row x head) that walk over the keys together: they share one pass over K and V */
};

/* Stands for a maximum over nothing: finite, so that differences never are NaN. */
#define BA_NO_SCORE (-1e30f)

/* A tile of rows against keys [key0, key1) of one segment, tokens of its KV. Row r sees lo[r] <= key < hi[r], inside of
 * [key0, key1). m, l and o are the running maximum, sum and (not yet divided) output. */
typedef struct ba_tile {
    const void *k, *v; /* of one layer and head, laid out as in cpu.h or bf16.h */
    size_t dim, v_stride;
    size_t key0, key1;
    size_t rows;
    const int32_t *lo, *hi; /* [rows] */
    const float *q;         /* [rows, dim], each row as rotate left it */
    float bias;
    float *m, *l;   /* [rows] */
    float *o;       /* [rows, v_stride] */
    float *s;       /* [rows, BA_KEYS] scratch */
    float *rescale; /* [rows] scratch */
    uint64_t pairs; /* out: visible pairs are added */
} ba_tile;

/* What is compiled per instruction set: more than attention, since they share vectors and tiles. NULL pointers: not for
 * this processor family. */
typedef struct ba_isa {
    const char *name;
    void (*attend)(ba_tile *t);
    /* s = scores of keys [64 t, 64 t + 64), masked or not: of a ba_tile it reads k, dim, rows, q and bias. */
    void (*scores)(const ba_tile *t, size_t key_tile);
    /* c[rows, 64] = x[rows, depth] w[depth, 64], or += if `more`. w and c aligned and without gaps. */
    void (*product)(size_t rows, size_t depth, const float *x, size_t x_stride, const float *w, float *c, bool more);
    /* out = (x rotated by rot [2, dim / 2]) * factor, in the form that attend and scores like best */
    void (*rotate)(const float *x, size_t dim, const float *rot, float factor, float *out);
    /* out = act(gate) * up, [n]; out may be gate */
    void (*glu)(ba_act act, const float *gate, const float *up, size_t n, float *out);
    /* 1 / sqrt(mean(x^2) + eps) */
    float (*rms_factor)(const float *x, size_t cols, float eps);
    /* out = x * factor * gain, [n]; out may be x */
    void (*scale)(const float *x, size_t n, float factor, const float *gain, float *out);
    /* Values [64, v_stride] of a key tile in fp32; NULL: that is what they are. */
    void (*values)(const void *v, size_t v_stride, float *out);
} ba_isa;

extern const ba_isa ba_isa_plain, ba_isa_avx2, ba_isa_avx512;

/* The best one that this processor has, or the one that the environment variable BLOCKATTN_ISA names. NULL and err if
 * it has none such. */
const ba_isa *ba_isa_choose(char err[BA_ERR_LEN]);

/* Work space: one part per thread, one shared. Grows when a KV of a larger head or a call with more segments comes. */
typedef struct ba_attn_space ba_attn_space;
ba_attn_space *ba_attn_space_new(size_t threads);
void ba_attn_space_free(ba_attn_space *space);
/* Room for heads of `dim`: 0, or -1. */
int ba_attn_space_reserve(ba_attn_space *space, size_t dim);

#endif
