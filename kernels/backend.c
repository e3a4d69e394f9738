#include "backend.h"

#include "backends.h"

#include <stdio.h>
#include <string.h>

/* In the order in which "auto" tries them. */
static const ba_backend_ops *const table[] = {
    &ba_native,     &ba_openblas, &ba_native_bf16,
#ifdef BA_HAVE_DNNL
    &ba_onednn,
#endif
    &ba_bf16_plain, &ba_ref,
#ifdef BA_HAVE_CUDA
    &ba_cuda,
#endif
};
enum { COUNT = sizeof table / sizeof *table };

const ba_backend_ops *ba_backend_at(size_t i) {
    return i < COUNT ? table[i] : NULL;
}

static int open_first(const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    for (size_t i = 0; i < COUNT; i++) {
        if (table[i]->open(cfg, out, err) == 0) {
            return 0;
        }
    }
    return -1;
}

int ba_backend_open(const char *name, const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    *out = NULL;
    if (cfg->threads < 1) {
        return ba_fail(err, "threads: at least 1 is needed");
    }
    if (!strcmp(name, "auto")) {
        return open_first(cfg, out, err);
    }
    char names[BA_ERR_LEN / 2] = "auto";
    for (size_t i = 0; i < COUNT; i++) {
        if (!strcmp(name, table[i]->name)) {
            return table[i]->open(cfg, out, err);
        }
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, ", %s", table[i]->name);
    }
    return ba_fail(err, "backend '%s': there is no such backend; choose one of %s", name, names);
}

void ba_backend_close(ba_backend *be) {
    if (be) {
        be->ops->close(be);
    }
}

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
        if (__builtin_add_overflow(*out, src[s].rows, out)) {
            return ba_fail(err, "weight: too many rows");
        }
    }
    return *out && *in ? 0 : ba_fail(err, "weight: it has no elements");
}
