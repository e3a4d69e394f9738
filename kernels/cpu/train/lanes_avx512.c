/* The loops of training for AVX-512 (F, BW, DQ, VL). */
#include "lanes.h"

#if defined(__x86_64__) && defined(__AVX512F__)
#define ISA_NAME       "avx512"
#define ISA_TABLE_NAME ba_train_lanes_avx512
#include "lanes_body.h"
#else
const ba_train_lanes ba_train_lanes_avx512 = {.name = "avx512"};
#endif
