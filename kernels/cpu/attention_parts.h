/* Shared by attention.c, select.c and space.c: one call, and the work space. */
#ifndef BA_ATTENTION_PARTS_H
#define BA_ATTENTION_PARTS_H

#include "cpu.h"

#define BA_LOG2E 1.44269504088896340736

/* The arguments of a call of the operation. */
typedef struct ba_attn_call {
    ba_cpu *cpu;
    size_t layer, heads, group; /* group: query heads per KV head */
    size_t dim, v_stride;
    double scale; /* times log2(e) */
    const ba_rot *rot;
    ba_view q, out;
} ba_attn_call;

/* The work space of one thread. */
typedef struct ba_attn_worker {
    float *q;         /* [BA_TILE_ROWS, dim] rotated, scaled queries */
    float *s;         /* [BA_TILE_ROWS, BA_KEYS] */
    float *o;         /* [3, BA_TILE_ROWS, v_stride] outputs of a chunk, a group, all segments */
    float *ml;        /* [3, 2, BA_TILE_ROWS] running maxima and sums of the same three */
    float *rescale;   /* [BA_TILE_ROWS] */
    int32_t *lo, *hi; /* [BA_TILE_ROWS] */
    double *choice;   /* [n_choice] of select.c; grow-only */
    size_t n_choice;
    uint64_t exact, dense; /* query-key pairs */
} ba_attn_worker;

struct ba_attn_space {
    size_t threads, dim;
    ba_attn_worker *worker; /* [threads] */
    float *partial;         /* [n_partial] states of chunks that threads compute separately; grow-only */
    size_t n_partial;
    double *vote; /* [n_vote] block scores of a choice that all rows make together; grow-only */
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

/* At least n elements in a grow-only array; its contents are lost when it grows. NULL if out of memory. */
void *ba_attn_grow(void *at, size_t *have, size_t n, size_t size);

/* A job that chooses or probes. */
void ba_attn_select(const ba_attn_call *call, const ba_attn_job *job);

#endif
