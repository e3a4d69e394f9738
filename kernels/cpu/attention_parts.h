/* Shared by attention.c and attention_select.c: one call, and a thread's work space. */
#ifndef BA_ATTENTION_INSIDE_H
#define BA_ATTENTION_INSIDE_H

#include "cpu.h"

#define BA_LOG2E 1.44269504088896340736

/* A call of the operation. */
typedef struct ba_attn_call {
    ba_cpu *cpu;
    size_t layer, heads, group; /* group: query heads per KV head */
    size_t dim, v_stride;
    double scale; /* times log2(e) */
    const ba_rot *rot;
    ba_view q, out;
} ba_attn_call;

/* What one thread works in. */
typedef struct ba_attn_worker {
    float *q;              /* [BA_TILE_ROWS, dim] rotated, scaled queries */
    float *s;              /* [BA_TILE_ROWS, BA_KEYS] */
    float *o;              /* [3, BA_TILE_ROWS, v_stride]: of a chunk, a group, everything */
    float *ml;             /* [3, 2, BA_TILE_ROWS] running maxima and sums of the same three */
    float *rescale;        /* [BA_TILE_ROWS] */
    int32_t *lo, *hi;      /* [BA_TILE_ROWS] */
    double *choice;        /* grow-only, of attention_select.c */
    size_t n_choice;       /* doubles */
    uint64_t exact, dense; /* query-key pairs */
} ba_attn_worker;

struct ba_attn_space {
    size_t threads, dim;
    ba_attn_worker *worker; /* [threads] */
    float *partial;         /* grow-only, shared: states of chunks that are computed apart */
    size_t n_partial;
    double *vote; /* grow-only, shared: block scores of a choice that all rows make together */
    size_t n_vote;
};

/* Rotates the query row `row` of heads [head0, head0 + n) of the job for a segment: out [n, dim]. */
static inline void ba_attn_rotate(const ba_attn_call *call, const ba_attn_job *job, const ba_kv_segment *seg,
                                  size_t row, size_t head0, size_t n, float *out) {
    const float *rot = call->rot->at + (seg->rot_row + row) * call->dim;
    float factor = (float)(call->scale * seg->score_scale);
    const float *x = ba_cpu_row(call->q, job->row0 + row) + head0 * call->dim;
    for (size_t h = 0; h < n; h++) {
        call->cpu->isa->rotate(x + h * call->dim, call->dim, rot, factor, out + h * call->dim);
    }
}

/* At least n elements in a grow-only array that need not keep what it holds; NULL if out of memory. */
void *ba_attn_grow(void *at, size_t *have, size_t n, size_t size);

/* A job that chooses or probes. */
void ba_attn_select(const ba_attn_call *call, const ba_attn_job *job);

#endif
