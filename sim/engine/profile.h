/* Where the time of rows on their way through the network goes, by operation. Kept only if the caller of a run gives an
 * account to keep it in (ba_engine_options); costs two readings of the clock an operation then, and nothing else. */
#ifndef BA_PROFILE_H
#define BA_PROFILE_H

#include "kernels/backend.h"

typedef enum ba_op {
    BA_OP_EMBED,
    BA_OP_ROTATIONS, /* tables of cos and sin */
    BA_OP_NORMS,     /* all of them, and the sums with a residual that are operations of their own */
    BA_OP_QKV,
    BA_OP_KV_WRITE, /* keys rotated, keys and values stored */
    BA_OP_ATTENTION,
    BA_OP_OUT,
    BA_OP_GATE_UP,
    BA_OP_ACTIVATION, /* nothing where the backend has a gated product: then it is a part of that */
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
    double since; /* of the lap that runs, and the counters at its begin */
    ba_counters before;
} ba_profile;

/* p may be NULL in both. start: what was before belongs to no operation. lap: what was since the last call belongs to
 * op.
 */
void ba_profile_start(ba_profile *p, const ba_backend *be);
void ba_profile_lap(ba_profile *p, const ba_backend *be, ba_op op);

#endif
