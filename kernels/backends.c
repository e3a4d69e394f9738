#include "backends.h"

#include "kernels/base/sizes.h"

int ba_weight_shape(const ba_weight_src *src, size_t n_src, size_t *out, size_t *in, char err[BA_ERR_LEN]) {
    *out = 0;
    *in = n_src ? src[0].cols : 0;
    for (size_t s = 0; s < n_src; s++) {
        const ba_dtype_info *type = ba_dtype_get(src[s].type);
        if (src[s].cols != *in) {
            return ba_fail(err, "weight: parts of %zu and %zu columns cannot be stacked", *in, src[s].cols);
        }
        if (*in % type->block) {
            return ba_fail(err, "weight: %zu columns are no multiple of %s's block of %zu", *in, type->name,
                           type->block);
        }
        if (!ba_add_sizes(*out, src[s].rows, out)) {
            return ba_fail(err, "weight: too many rows");
        }
    }
    return *out && *in ? 0 : ba_fail(err, "weight: it has no elements");
}
