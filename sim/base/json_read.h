/* JSON from untrusted files. Text is checked before it is parsed, because cJSON ends a string at a NUL and at an invalid
 * escape without an error. Members of objects are read with a type in mind: a member that is absent or null leaves *out
 * unchanged; one of another type is an error that names file and member. */
#ifndef BA_JSON_READ_H
#define BA_JSON_READ_H

#include "kernels/base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* text[0..n) as one JSON value, which the caller frees with cJSON_Delete. Refused: NUL, bytes that are not UTF-8,
 * invalid escapes (\uZZZZ, a lone surrogate), \u0000, control characters inside strings, and text after the value. 0,
 * or -1 and err, which names the byte but no file. */
int ba_json_parse(const char *text, size_t n, cJSON **out, char err[BA_ERR_LEN]);

/* A whole file that must hold one object; the caller frees it with cJSON_Delete. 0, or -1 and err. */
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
