#include "noise.h"

#include "distance.h"
#include "sim/modes/modes.h"

#include <math.h>
#include <string.h>

/* The backend's own row for fp32, else that of the CPU. */
static const char *exact_name(const ba_backend *be) {
    char unused[2][BA_ERR_LEN];
    return ba_backend_find(be->ops->name, "f32", unused[0], unused[1]) ? be->ops->name : "cpu";
}

int ba_noise_open(ba_model *model, const ba_engine *engine, size_t threads, uint64_t memory, ba_noise *out,
                  char err[BA_ERR_LEN]) {
    const ba_backend *be = ba_engine_backend(engine);
    const ba_backend_config config = {.threads = threads, .dtype = "f32"};
    *out = (ba_noise){.constant = NAN};
    if (strcmp(be->ops->dtype, "f32") == 0) {
        out->constant = 0;
        return 0;
    }
    uint64_t bytes = ba_engine_weight_bytes(engine) / be->weight_size * sizeof(float);
    if (memory && bytes > memory) {
        return ba_fail(err, "the weights in fp32 need %.1f GB, and %.1f are free", (double)bytes / 1e9,
                       (double)memory / 1e9);
    }
    /* Blocks of another precision must not be found: the engine gets no store. */
    return ba_backend_open(exact_name(be), &config, &out->be, err) ||
                   ba_engine_new(model, out->be, NULL, NULL, &out->engine, err)
               ? -1
               : 0;
}

void ba_noise_close(ba_noise *n) {
    ba_engine_free(n->engine);
    if (n->be) {
        ba_backend_close(n->be);
    }
    *n = (ba_noise){.constant = NAN};
}

int ba_noise_of(const ba_noise *n, const ba_prompt *prompt, const ba_engine_options *opt, const double *logits,
                double *kl, char err[BA_ERR_LEN]) {
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    const double *exact;
    *kl = n->constant;
    if (!n->engine) {
        return 0;
    }
    int rc = ba_mode_plan("full", prompt, &plan, err) ? -1 : ba_engine_run(n->engine, plan, opt, 0, &run, err);
    if (!rc && !(exact = ba_run_logits(run))) {
        rc = BA_INTERRUPTED;
    } else if (!rc && !(rc = ba_run_check(run, err))) {
        *kl = ba_logit_compare(exact, logits, ba_engine_shape(n->engine)->vocab).kl;
    }
    ba_run_free(run);
    ba_plan_free(plan);
    return rc;
}
