/* The mask of training in the CPU backends: a copy of the jobs. */
#ifndef BA_TRAIN_MASK_H
#define BA_TRAIN_MASK_H

#include "count.h"
#include "train.h"

struct ba_train_mask {
    ba_train_job *job; /* [n_jobs], owned together with everything they point to */
    size_t n_jobs;
};

ba_train_mask *ba_train_mask_new(ba_backend *be, const ba_train_job *job, size_t n_jobs, size_t rows, size_t rot_rows);
void ba_train_mask_free(ba_backend *be, ba_train_mask *mask);

/* Keys of a segment that the job's row sees. */
static inline ba_range ba_train_sees(const ba_train_segment *seg, size_t row) {
    size_t lo = seg->lo && seg->lo[row] > 0 ? (size_t)seg->lo[row] : 0;
    size_t hi = !seg->hi ? seg->n : seg->hi[row] < 0 ? 0 : (size_t)seg->hi[row];
    hi = hi < seg->n ? hi : seg->n;
    return (ba_range){lo < hi ? lo : hi, hi};
}

#endif
