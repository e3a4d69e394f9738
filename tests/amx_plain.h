/* kernels/attention_bf16_amx.c and product_bf16_amx.c over matrix registers in plain C. */
#ifndef BA_AMX_PLAIN_H
#define BA_AMX_PLAIN_H

#include "../kernels/bf16.h"

extern const ba_bf16_isa ba_bf16_isa_amx_plain; /* no functions if the compiler is not for AVX-512 with bf16 */

#endif
