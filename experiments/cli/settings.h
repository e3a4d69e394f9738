/* The settings that decide a result: what rows of one mean must share. A resumed trace is compared with them here and
 * nowhere else; `eval` keeps them for each label, `gate` and `tune` for the whole trace. */
#ifndef BA_SETTINGS_H
#define BA_SETTINGS_H

#include "cli.h"
#include "sim/trace/trace.h"

typedef struct ba_settings {
    ba_model *model;
    const char *adapter; /* folder, or NULL */
    const ba_backend *be;
    const ba_store_spec *tiers; /* or NULL: nothing is stored */
    const char *more;           /* the command's own, as "metric nll"; or NULL */
} ba_settings;

/* Records the settings under `name` in a trace, or compares them with those that it has. fresh: the trace has no rows of
 * that name yet; otherwise a trace without settings is refused, since nobody knows what its rows were made with. 0, or
 * what the trace returned, with err. */
int ba_settings_hold(ba_trace *t, const char *name, const ba_settings *s, bool fresh, char err[BA_ERR_LEN]);

#endif
