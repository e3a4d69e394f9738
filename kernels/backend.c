#include "backend.h"

#include "backends.h"
#include "kernels/base/clock.h"
#include "kernels/base/pool.h"

#include <stdio.h>
#include <string.h>

/* In the order in which "auto" tries them. */
static const ba_backend_ops *const table[] = {
    &ba_cpu_f32, &ba_openblas, &ba_cpu_bf16, &ba_ref,
#ifdef BA_HAVE_CUDA
    &ba_cuda,
#endif
};
enum { COUNT = sizeof table / sizeof *table };

/* Names from the time when a name also chose the element type. They stay valid. */
static const struct old_name {
    const char *name;
    const ba_backend_ops *ops;
    const char *now;
} old_names[] = {
    {"native", &ba_cpu_f32, "--backend cpu --dtype f32"},
    {"native-bf16", &ba_cpu_bf16, "--backend cpu --dtype bf16"},
    {"bf16-plain", &ba_cpu_bf16_plain, "--backend cpu --dtype bf16 with BLOCKATTN_ISA=plain in the environment"},
    {"onednn", &ba_cpu_bf16, "--backend cpu --dtype bf16"},
};

const ba_backend_ops *ba_backend_at(size_t i) {
    return i < COUNT ? table[i] : NULL;
}

static bool is_auto(const char *word) {
    return !word || !strcmp(word, "auto");
}

static bool fits(const ba_backend_ops *ops, const char *name, const char *dtype) {
    return (is_auto(name) || !strcmp(ops->name, name)) && (is_auto(dtype) || !strcmp(ops->dtype, dtype));
}

static const struct old_name *old_name_of(const char *name) {
    for (size_t i = 0; name && i < sizeof old_names / sizeof *old_names; i++) {
        if (!strcmp(old_names[i].name, name)) {
            return &old_names[i];
        }
    }
    return NULL;
}

static bool is_name(const char *name) {
    bool found = is_auto(name) || old_name_of(name);
    for (size_t i = 0; i < COUNT && !found; i++) {
        found = !strcmp(table[i]->name, name);
    }
    return found;
}

/* "cpu (f32), openblas (f32), ..." */
static void list_backends(char *out, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < COUNT && used < size; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%s (%s)", i ? ", " : "", table[i]->name, table[i]->dtype);
    }
}

static void explain_failure(const char *name, const char *dtype, char err[BA_ERR_LEN]) {
    char list[256];
    list_backends(list, sizeof list);
    if (!is_name(name)) {
        bool left_out = !strcmp(name, "cuda");
        ba_fail(err, "--backend %s: %s; there is auto, %s", name,
                left_out ? "this build has none, 'make CUDA=1' adds it" : "unknown", list);
        return;
    }
    bool named = !is_auto(name);
    ba_fail(err, "--dtype %s: %s%s does not compute in it; there is %s", dtype, named ? "backend " : "",
            named ? name : "this build", list);
}

const ba_backend_ops *ba_backend_find(const char *name, const char *dtype, char remark[BA_ERR_LEN],
                                      char err[BA_ERR_LEN]) {
    const struct old_name *old = old_name_of(name);
    *remark = '\0';
    if (old && fits(old->ops, NULL, dtype)) {
        ba_fail(remark, "--backend %s is now %s", name, old->now);
        return old->ops;
    }
    for (size_t i = 0; i < COUNT && !old; i++) {
        if (fits(table[i], name, dtype)) {
            return table[i];
        }
    }
    explain_failure(name, dtype, err);
    return NULL;
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
    char unused[BA_ERR_LEN];
    *out = NULL;
    if (cfg->threads < 1) {
        return ba_fail(err, "threads: at least 1 is needed");
    }
    /* Asked here, because a backend that fails to open has the next one tried, and the last needs no threads. */
    if (ba_pool_check(cfg->threads, err) != 0) {
        return -1;
    }
    if (is_auto(name) && is_auto(cfg->dtype)) {
        return open_first(cfg, out, err);
    }
    const ba_backend_ops *ops = ba_backend_find(name, cfg->dtype, unused, err);
    return ops ? ops->open(cfg, out, err) : -1;
}

/* Opens a row if it trains. An instruction set that is chosen by hand may open a table that does not. */
static bool open_trainer(const ba_backend_ops *ops, const ba_backend_config *cfg, ba_backend **out,
                         char err[BA_ERR_LEN]) {
    if (!ops->train || ops->open(cfg, out, err) != 0) {
        return false;
    }
    if ((*out)->ops->train) {
        return true;
    }
    ba_backend_close(*out);
    *out = NULL;
    return false;
}

int ba_backend_open_to_train(const char *name, const ba_backend_config *cfg, ba_backend **out, char err[BA_ERR_LEN]) {
    static const char *const order[] = {"bf16", "f32", "f64"};
    const struct old_name *old = old_name_of(name);
    *out = NULL;
    ba_fail(err,
            "--backend %s --dtype %s: no such backend trains; there is openblas (f32), cpu and cuda (bf16) where "
            "machine and build have them, and ref (f64)",
            is_auto(name) ? "auto" : name, is_auto(cfg->dtype) ? "auto" : cfg->dtype);
    for (size_t t = 0; t < sizeof order / sizeof *order; t++) {
        for (size_t i = 0; i < COUNT; i++) {
            bool asked =
                old ? table[i] == old->ops && fits(table[i], NULL, cfg->dtype) : fits(table[i], name, cfg->dtype);
            if (asked && !strcmp(table[i]->dtype, order[t]) && open_trainer(table[i], cfg, out, err)) {
                return 0;
            }
        }
    }
    return -1;
}

void ba_backend_close(ba_backend *be) {
    if (be) {
        be->ops->close(be);
    }
}

double ba_backend_now(ba_backend *be) {
    if (be->ops->finish) {
        be->ops->finish(be);
    }
    return ba_now();
}
