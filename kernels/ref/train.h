/* Inside of training in the backend "ref": shared by train.c and train_attention.c. */
#ifndef BA_TRAIN_REF_H
#define BA_TRAIN_REF_H

#include "kernels/backends.h"
#include "kernels/train_mask.h"
#include "ref.h"

struct ba_param {
    size_t rows, cols;
    double *value, *grad, *mean, *variance; /* [rows, cols]; the last three NULL if not trained */
};

/* The transpose of ba_ref_rotate. */
void ba_ref_rotate_back(const double *x, const ba_rot *rot, size_t row, double *out);

void ba_train_ref_attention(ba_backend *be, const ba_train_attention *a);
void ba_train_ref_attention_back(ba_backend *be, const ba_train_attention *a, ba_view dout, ba_view dq, ba_view dk,
                                 ba_view dv);

#endif
