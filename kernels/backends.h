/* Inside of the kernels: the rows of the table in backend.c, each defined in the folder of its backend, and what their
 * operations share. */
#ifndef BA_BACKENDS_H
#define BA_BACKENDS_H

#include "backend.h"
#include "train.h"

extern const ba_backend_ops ba_cpu_f32;
extern const ba_backend_ops ba_cpu_bf16;
extern const ba_backend_ops ba_cpu_bf16_plain; /* cpu in bf16 under BLOCKATTN_ISA=plain: not a row of its own */
extern const ba_backend_ops ba_openblas;
extern const ba_backend_ops ba_ref;
extern const ba_backend_ops ba_cuda; /* only in a build with CUDA: BA_HAVE_CUDA */

extern const ba_train_ops ba_train_ref, ba_train_openblas, ba_train_bf16;

/* Shape of the weight that the sources make when stacked by rows; 0, or -1 and err if they do not fit together. */
int ba_weight_shape(const ba_weight_src *src, size_t n_src, size_t *out, size_t *in, char err[BA_ERR_LEN]);

#endif
