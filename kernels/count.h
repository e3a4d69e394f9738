/* Counting that all backends share: the keys of a segment that a row sees, and the FLOPs and bytes of operations.
 * The attention kernels count their FLOPs themselves. */
#ifndef BA_COUNT_H
#define BA_COUNT_H

#include "backend.h"

/* Keys [lo, hi) of a segment that the job's row sees; hi == lo if none. */
typedef struct ba_range {
    size_t lo, hi;
} ba_range;

static inline ba_range ba_segment_range(const ba_kv_segment *seg, size_t row) {
    size_t lo = seg->lo && seg->lo[row] > 0 ? (size_t)seg->lo[row] : 0;
    size_t hi = seg->n;
    if (seg->hi) {
        hi = seg->hi[row] < 0 ? 0 : (size_t)seg->hi[row];
        hi = hi < seg->n ? hi : seg->n;
    }
    return (ba_range){lo < hi ? lo : hi, hi};
}

void ba_count_linear(ba_backend *be, size_t rows, size_t in, size_t out, bool add);
void ba_count_embed(ba_backend *be, size_t n, size_t cols);
/* values: elements of K and V together, 2 * n * kv_heads * head_dim. */
void ba_count_kv_write(ba_backend *be, size_t values);
void ba_count_kv_copy(ba_backend *be, size_t values);
/* Bytes only: of each segment, the keys and values from the first to the last that any row of the job sees. */
void ba_count_attention_bytes(ba_backend *be, const ba_attn_job *job, size_t n_jobs, size_t heads, size_t kv_heads,
                              size_t head_dim);
/* FLOPs and bytes of key_mass. */
void ba_count_key_mass(ba_backend *be, const ba_attn_job *job, size_t heads, size_t kv_heads, size_t head_dim,
                       bool mean_query);

#endif
