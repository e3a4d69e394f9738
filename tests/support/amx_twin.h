/* attention_amx.c and product_amx.c of kernels/cpu/bf16 on matrix registers in plain C. */
#ifndef BA_AMX_TWIN_H
#define BA_AMX_TWIN_H

#include "kernels/cpu/bf16/bf16.h"

extern const ba_bf16_isa ba_bf16_isa_amx_plain; /* no functions if the compiler is not for AVX-512 with bf16 */

#endif
