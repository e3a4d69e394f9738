#include "train_mask.h"

#include <stdlib.h>
#include <string.h>

static int copy_limits(const int32_t *from, size_t n, const int32_t **to) {
    int32_t *copy = from ? malloc((n ? n : 1) * sizeof *copy) : NULL;
    if (copy) {
        memcpy(copy, from, n * sizeof *copy);
    }
    *to = copy;
    return from && !copy ? -1 : 0;
}

/* After a failure the job can still be freed. */
static int copy_job(ba_train_job *to, const ba_train_job *from) {
    ba_train_segment *seg = calloc(from->n_seg + 1, sizeof *seg);
    *to = (ba_train_job){from->row0, from->rows, seg, seg ? from->n_seg : 0};
    if (!seg) {
        return -1;
    }
    for (size_t s = 0; s < from->n_seg; s++) {
        seg[s] = from->seg[s];
        seg[s].lo = seg[s].hi = NULL;
    }
    for (size_t s = 0; s < from->n_seg; s++) {
        if (copy_limits(from->seg[s].lo, from->rows, &seg[s].lo) ||
            copy_limits(from->seg[s].hi, from->rows, &seg[s].hi)) {
            return -1;
        }
    }
    return 0;
}

ba_train_mask *ba_train_mask_new(ba_backend *be, const ba_train_job *job, size_t n_jobs, size_t rows, size_t rot_rows) {
    (void)rows;
    (void)rot_rows;
    ba_train_mask *mask = calloc(1, sizeof *mask);
    if (!mask || !(mask->job = calloc(n_jobs + 1, sizeof *mask->job))) {
        free(mask);
        return NULL;
    }
    for (size_t j = 0; j < n_jobs; j++) {
        mask->n_jobs = j + 1;
        if (copy_job(&mask->job[j], &job[j])) {
            ba_train_mask_free(be, mask);
            return NULL;
        }
    }
    return mask;
}

void ba_train_mask_free(ba_backend *be, ba_train_mask *mask) {
    (void)be;
    for (size_t j = 0; mask && j < mask->n_jobs; j++) {
        for (size_t s = 0; s < mask->job[j].n_seg; s++) {
            free((void *)mask->job[j].seg[s].lo);
            free((void *)mask->job[j].seg[s].hi);
        }
        free((void *)mask->job[j].seg);
    }
    if (mask) {
        free(mask->job);
        free(mask);
    }
}
