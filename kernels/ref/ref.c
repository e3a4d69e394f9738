#include "ref.h"

#include "kernels/backends.h"

#include <stdlib.h>

static int ref_open(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    (void)cfg; /* one thread is all it uses */
    ba_ref_backend *be = calloc(1, sizeof *be);
    if (!be) {
        return ba_fail(err, "backend ref: out of memory");
    }
    be->base = (ba_backend){
        .ops = &ba_ref, .real_size = sizeof(double), .weight_size = sizeof(float), .kv_size = sizeof(double)};
    *out = &be->base;
    return 0;
}

static void ref_close(ba_backend *be) {
    ba_ref_backend *ref = (ba_ref_backend *)be;
    free(ref->scratch);
    free(ref);
}

static const char *ref_describe(const ba_backend *be) {
    (void)be;
    return "plain C in double precision, one thread";
}

const ba_backend_ops ba_ref = {
    .name = "ref",
    .summary = "the oracle: plain C in double precision, one thread",
    .dtype = "f64",
    .open = ref_open,
    .close = ref_close,
    .describe = ref_describe,
    .buf_new = ba_ref_buf_new,
    .operand_new = ba_ref_buf_new,
    .buf_free = ba_ref_buf_free,
    .upload = ba_ref_upload,
    .download = ba_ref_download,
    .weight_new = ba_ref_weight_new,
    .weight_free = ba_ref_weight_free,
    .weight_bytes = ba_ref_weight_bytes,
    .freqs_new = ba_ref_freqs_new,
    .freqs_free = ba_ref_freqs_free,
    .rot_new = ba_ref_rot_new,
    .rot_free = ba_ref_rot_free,
    .rot_fill = ba_ref_rot_fill,
    .kv_new = ba_ref_kv_new,
    .kv_free = ba_ref_kv_free,
    .kv_bytes = ba_ref_kv_bytes,
    .kv_parts = ba_ref_kv_parts,
    .kv_view = ba_ref_kv_view,
    .kv_write = ba_ref_kv_write,
    .kv_copy = ba_ref_kv_copy,
    .kv_read = ba_ref_kv_read,
    .kv_distance = ba_ref_kv_distance,
    .kv_shift = ba_ref_kv_shift,
    .embed = ba_ref_embed,
    .linear = ba_ref_linear,
    .rmsnorm = ba_ref_rmsnorm,
    .add = ba_ref_add,
    .glu = ba_ref_glu,
    .gather = ba_ref_gather,
    .attention = ba_ref_attention,
    .key_mass = ba_ref_key_mass,
    .train = &ba_train_ref,
};
