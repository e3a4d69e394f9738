/* Products on cards of compute capability 9.0. */
#ifndef BA_CUDA_DEVICE_HOPPER_H
#define BA_CUDA_DEVICE_HOPPER_H

#include "device.h"

enum { BA_DEV_HOPPER_FEW = 128 }; /* rows at most of the kernel whose time is that of reading the weights */

/* false: not launched, the shapes are not for the copy engine. */
bool ba_dev_linear_few(cudaStream_t stream, const ba_dev_linear *op);
bool ba_dev_linear_many(cudaStream_t stream, const ba_dev_linear *op);

#endif
