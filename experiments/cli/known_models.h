/* The models that `make` gets, by name: what --model knows beside paths. */
#ifndef BA_KNOWN_MODELS_H
#define BA_KNOWN_MODELS_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ba_known_model {
    const char *name;   /* "qwen2.5-0.5b" */
    const char *file;   /* in the cache folder, as experiments/setup.sh names it */
    const char *target; /* of make, that gets it */
    const char *about;
    size_t bytes; /* of the file */
} ba_known_model;

/* Row i of the table, the default model first; NULL past the last. */
const ba_known_model *ba_known_model_at(size_t i);
/* NULL: there is none. */
const ba_known_model *ba_known_model_named(const char *name);

/* Path of something in the user's cache folder. 0, or -1 if it does not fit. */
int ba_in_cache(const char *name, char *path, size_t size);
/* Whether the cache folder has the model, in its full size; its path in any case ("": too long). */
bool ba_known_model_path(const ba_known_model *m, char *path, size_t size);
/* Path of what --model gives: a name of the table, or a path, which comes first where both exist. 0, or -1 and err:
 * neither, with the nearest name; or a model that is yet to be got, with the command. */
int ba_known_model_find(const char *given, char *path, size_t size, char err[BA_ERR_LEN]);

#endif
