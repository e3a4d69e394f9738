#include "tracing.h"

#include "environment.h"

int ba_tracing_exit(int rc, const char *err) {
    return rc ? ba_cli_fail(rc == BA_TRACE_MACHINE ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err) : 0;
}

int ba_tracing_begin(const ba_common *c, const char *schema, int argc, char **argv, const ba_backend *be,
                     ba_model *model, ba_trace **out) {
    char err[BA_ERR_LEN];
    ba_environment env;
    *out = NULL;
    if (!c->out) {
        return 0;
    }
    if (ba_environment_capture(&env, argc, argv, be, c->threads)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int rc = ba_trace_create(c->out, schema, out, err);
    for (size_t i = 0; !rc && i < env.n; i++) {
        rc = ba_trace_set(*out, env.key[i], env.value[i], err);
    }
    ba_environment_free(&env);
    if (!rc && model) {
        rc = ba_trace_set(*out, "model", ba_model_hash(model), err);
    }
    if (rc) {
        ba_trace_close(*out);
        *out = NULL;
    }
    return ba_tracing_exit(rc, err);
}
