/* The loops of training for any processor. */
#define ISA_NAME       "plain"
#define ISA_TABLE_NAME ba_train_lanes_plain
#include "lanes_body.h"
