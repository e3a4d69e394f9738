/* Time, FLOPs and bytes of a run by operation. Costs two readings of the clock for each operation, and only where the
 * caller gives a profile in ba_engine_options. */
#ifndef BA_PROFILE_H
#define BA_PROFILE_H

#include "kernels/backend.h"

typedef enum ba_op {
    BA_OP_EMBED,
    BA_OP_ROTATIONS, /* tables of cos and sin */
    BA_OP_NORMS,     /* all norms, and sums with a residual where they are operations of their own */
    BA_OP_QKV,
    BA_OP_KV_WRITE, /* keys are rotated, keys and values written */
    BA_OP_ATTENTION,
    BA_OP_OUT,
    BA_OP_GATE_UP,
    BA_OP_ACTIVATION, /* 0 where the backend has a gated product, of which it is then a part */
    BA_OP_DOWN,
    BA_OP_HEAD,
    BA_OP_COUNT
} ba_op;

const char *ba_op_name(ba_op op);

typedef struct ba_profile {
    struct ba_op_cost {
        double seconds;
        uint64_t flops, bytes; /* exact FLOPs; bytes read and written, as the kernels count them */
    } op[BA_OP_COUNT];
    double since; /* when the current lap began, and the counters then */
    ba_counters before;
} ba_profile;

/* start: begins a lap. lap: adds the time since the last call of either to op. p may be NULL. */
void ba_profile_start(ba_profile *p, ba_backend *be);
void ba_profile_lap(ba_profile *p, ba_backend *be, ba_op op);

#endif
