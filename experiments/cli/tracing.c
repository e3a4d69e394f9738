#include "tracing.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* An interrupted run that was to overwrite a trace leaves FILE.partial, which is a trace too. */
static bool is_kept(const char *path, const char *suffix) {
    char name[4096];
    struct stat s;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &s) == 0 && S_ISREG(s.st_mode);
}

int ba_out_check(const ba_common *c, bool resumable) {
    if (!c->out || c->force || c->resume) {
        return 0;
    }
    bool whole = is_kept(c->out, "");
    if (!whole && !is_kept(c->out, ".partial")) {
        return 0;
    }
    return ba_cli_fail(BA_EXIT_USAGE, "%s%s: exists; --force overwrites it%s", c->out, whole ? "" : ".partial",
                       resumable ? ", --resume continues it" : "");
}

int ba_tracing_exit(int rc, const char *err) {
    return rc ? ba_cli_fail(rc == BA_TRACE_MACHINE ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err) : 0;
}

int ba_tracing_facts(ba_trace *t, const ba_environment *env, const char *but, char err[BA_ERR_LEN]) {
    int rc = 0;
    for (size_t i = 0; i < env->n && !rc; i++) {
        const char *key = env->key[i], *value = env->value[i];
        if (but && strcmp(key, but) == 0) {
            continue;
        }
        rc = env->kind[i] == BA_FACT_COUNT  ? ba_trace_set_count(t, key, strtoull(value, NULL, 10), err)
             : env->kind[i] == BA_FACT_REAL ? ba_trace_set_real(t, key, strtod(value, NULL), err)
                                            : ba_trace_set(t, key, value, err);
    }
    return rc;
}

int ba_tracing_model(ba_trace *t, ba_model *model, char err[BA_ERR_LEN]) {
    char name[512];
    snprintf(name, sizeof name, "%s (%s)", ba_model_name(model), ba_model_types(model));
    int rc = ba_trace_set(t, "model", name, err);
    return rc ? rc : ba_trace_set(t, "model_hash", ba_model_hash(model), err);
}

/* A new trace with what the run depends on. What the trace returned. */
static int describe(const char *path, const char *schema, const ba_environment *env, ba_model *model, ba_trace **out,
                    char err[BA_ERR_LEN]) {
    int rc = ba_trace_create(path, schema, out, err);
    rc = rc ? rc : ba_tracing_facts(*out, env, NULL, err);
    return rc || !model ? rc : ba_tracing_model(*out, model, err);
}

int ba_tracing_begin(const ba_common *c, const char *schema, int argc, char **argv, ba_backend *be, ba_model *model,
                     ba_trace **out) {
    char err[BA_ERR_LEN];
    ba_environment env;
    *out = NULL;
    if (!c->out) {
        return 0;
    }
    if (ba_environment_capture(&env, argc, argv, be, c->threads)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int rc = describe(c->out, schema, &env, model, out, err);
    ba_environment_free(&env);
    if (rc) {
        ba_trace_close(*out);
        *out = NULL;
    }
    return ba_tracing_exit(rc, err);
}
