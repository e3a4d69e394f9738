/* How a command begins the trace of --out, and the exit status of an error in it. */
#ifndef BA_TRACING_H
#define BA_TRACING_H

#include "cli.h"
#include "environment.h"
#include "sim/trace/trace.h"

/* Refuses to lose an earlier trace: if the file of --out is there already, --force must say that it is overwritten, or
 * (where the command can continue a trace) --resume that it is continued. 0, or an exit status with its line printed. */
int ba_out_check(const ba_common *c, bool resumable);

/* Begins the trace of --out with what the run depends on; without --out *out is NULL. be and model may be NULL. 0, or
 * an exit status with the line already printed. */
int ba_tracing_begin(const ba_common *c, const char *schema, int argc, char **argv, ba_backend *be, ba_model *model,
                     ba_trace **out);

/* Facts as attributes of a trace, numbers as numbers; `but`: one that is left out, or NULL. What the trace returned. */
int ba_tracing_facts(ba_trace *t, const ba_environment *env, const char *but, char err[BA_ERR_LEN]);
/* Name and hash of a model, as attributes `model` and `model_hash`. */
int ba_tracing_model(ba_trace *t, ba_model *model, char err[BA_ERR_LEN]);

/* The exit status of what a trace's function returned, with its line printed; 0 for 0. */
int ba_tracing_exit(int rc, const char *err);

#endif
