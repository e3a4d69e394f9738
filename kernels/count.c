#include "count.h"

void ba_count_linear(ba_backend *be, size_t rows, size_t in, size_t out, bool add) {
    uint64_t flops = 2 * (uint64_t)rows * in * out;
    be->count.flops_exact += flops;
    be->count.flops_dense += flops;
    be->count.bytes_read += (uint64_t)rows * in * be->real_size + (uint64_t)out * in * be->weight_size;
    be->count.bytes_read += add ? (uint64_t)rows * out * be->real_size : 0;
    be->count.bytes_written += (uint64_t)rows * out * be->real_size;
}

void ba_count_embed(ba_backend *be, size_t n, size_t cols) {
    be->count.bytes_read += (uint64_t)n * cols * be->weight_size;
    be->count.bytes_written += (uint64_t)n * cols * be->real_size;
}

void ba_count_kv_write(ba_backend *be, size_t values) {
    be->count.bytes_read += (uint64_t)values * be->real_size;
    be->count.bytes_written += (uint64_t)values * be->kv_size;
}

void ba_count_kv_copy(ba_backend *be, size_t values) {
    be->count.bytes_read += (uint64_t)values * be->kv_size;
    be->count.bytes_written += (uint64_t)values * be->kv_size;
}

static size_t span(const ba_kv_segment *seg, size_t rows) {
    if (!seg->lo && !seg->hi) {
        return rows ? seg->n : 0;
    }
    size_t first = seg->n, last = 0;
    for (size_t r = 0; r < rows; r++) {
        ba_range see = ba_segment_range(seg, r);
        if (see.lo < see.hi) {
            first = see.lo < first ? see.lo : first;
            last = see.hi > last ? see.hi : last;
        }
    }
    return last > first ? last - first : 0;
}

void ba_count_attention_bytes(ba_backend *be, const ba_attn_job *job, size_t n_jobs, size_t heads, size_t kv_heads,
                              size_t head_dim) {
    for (size_t j = 0; j < n_jobs; j++) {
        uint64_t keys = 0;
        for (size_t s = 0; s < job[j].n_seg; s++) {
            keys += span(&job[j].seg[s], job[j].rows);
        }
        uint64_t queries = (uint64_t)job[j].rows * heads * head_dim * be->real_size;
        be->count.bytes_read += queries + 2 * kv_heads * head_dim * be->kv_size * keys;
        be->count.bytes_written += queries;
    }
}

void ba_count_key_mass(ba_backend *be, const ba_attn_job *job, size_t heads, size_t kv_heads, size_t head_dim,
                       bool mean_query) {
    uint64_t pairs = 0, dense = 0, keys = 0, queries = mean_query ? kv_heads : heads;
    for (size_t s = 0; s < job->n_seg; s++) {
        const ba_kv_segment *seg = &job->seg[s];
        for (size_t r = mean_query ? job->rows - 1 : 0; r < job->rows; r++) {
            ba_range see = ba_segment_range(seg, r);
            pairs += see.hi - see.lo;
            dense += seg->n;
        }
        keys += span(seg, job->rows);
    }
    be->count.flops_exact += 2 * queries * head_dim * pairs;
    be->count.flops_dense += 2 * queries * head_dim * dense;
    be->count.bytes_read += (uint64_t)job->rows * heads * head_dim * be->real_size;
    be->count.bytes_read += kv_heads * head_dim * be->kv_size * keys;
}
