/* The rows of the table in backend.c, each defined in the file of its name, and what they share. */
#ifndef BA_BACKENDS_H
#define BA_BACKENDS_H

#include "backend.h"
#include "train.h"

extern const ba_backend_ops ba_ref;
extern const ba_backend_ops ba_native;
extern const ba_backend_ops ba_openblas;
extern const ba_backend_ops ba_native_bf16;
extern const ba_backend_ops ba_onednn; /* if built with it: BA_HAVE_DNNL */
extern const ba_backend_ops ba_bf16_plain;
extern const ba_backend_ops ba_cuda; /* if built with it: BA_HAVE_CUDA */

extern const ba_train_ops ba_train_ref, ba_train_cpu_ops, ba_train_bf16_ops;

/* Shape of the weight that the sources make when stacked; 0, or -1 and err if they do not fit together. */
int ba_weight_shape(const ba_weight_src *src, size_t n_src, size_t *out, size_t *in, char err[BA_ERR_LEN]);

#endif
