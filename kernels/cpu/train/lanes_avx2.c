/* The loops of training for AVX2. */
#include "lanes.h"

#if defined(__x86_64__) && defined(__AVX2__)
#define ISA_NAME       "avx2"
#define ISA_TABLE_NAME ba_train_lanes_avx2
#include "lanes_body.h"
#else
const ba_train_lanes ba_train_lanes_avx2 = {.name = "avx2"};
#endif
