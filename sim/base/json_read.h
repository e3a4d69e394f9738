/* Typed reading of members of JSON objects from untrusted files. A member that is absent or null leaves *out unchanged;
 * a member of another type is an error that names file and member. */
#ifndef BA_JSON_READ_H
#define BA_JSON_READ_H

#include "kernels/base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* A whole file as JSON; the caller frees it with cJSON_Delete. 0, or -1 and err. */
int ba_json_read(const char *path, cJSON **out, char err[BA_ERR_LEN]);

/* NULL: absent or null. */
const cJSON *ba_json_get(const cJSON *object, const char *name);

int ba_json_size(const cJSON *object, const char *name, size_t *out, const char *path, char err[BA_ERR_LEN]);
int ba_json_real(const cJSON *object, const char *name, double *out, const char *path, char err[BA_ERR_LEN]);
int ba_json_bool(const cJSON *object, const char *name, bool *out, const char *path, char err[BA_ERR_LEN]);
int ba_json_string(const cJSON *object, const char *name, const char **out, const char *path, char err[BA_ERR_LEN]);

/* A whole number from 0 to 2^53, exactly. */
bool ba_json_whole(const cJSON *item, size_t *out);

#endif
