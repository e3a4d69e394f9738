#include "profile.h"

const char *ba_op_name(ba_op op) {
    static const char *const name[BA_OP_COUNT] = {
        [BA_OP_EMBED] = "embed", [BA_OP_ROTATIONS] = "rotations", [BA_OP_NORMS] = "norms",
        [BA_OP_QKV] = "qkv",     [BA_OP_KV_WRITE] = "kv_write",   [BA_OP_ATTENTION] = "attention",
        [BA_OP_OUT] = "out",     [BA_OP_GATE_UP] = "gate_up",     [BA_OP_ACTIVATION] = "activation",
        [BA_OP_DOWN] = "down",   [BA_OP_HEAD] = "head",
    };
    return (unsigned)op < BA_OP_COUNT ? name[op] : "?";
}

void ba_profile_start(ba_profile *p, ba_backend *be) {
    if (p) {
        p->before = be->count;
        p->since = ba_backend_now(be);
    }
}

void ba_profile_lap(ba_profile *p, ba_backend *be, ba_op op) {
    if (p) {
        double end = ba_backend_now(be);
        p->op[op].seconds += end - p->since;
        p->op[op].flops += be->count.flops_exact - p->before.flops_exact;
        p->op[op].bytes += be->count.bytes_read - p->before.bytes_read;
        p->op[op].bytes += be->count.bytes_written - p->before.bytes_written;
        p->before = be->count;
        p->since = end;
    }
}
