#include "json_read.h"

#include "mapping.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

int ba_json_read(const char *path, cJSON **out, char err[BA_ERR_LEN]) {
    ba_mapping file;
    if (ba_mapping_open(path, &file, err) != 0) {
        return -1;
    }
    const char *text = (const char *)file.data, *end = NULL;
    *out = cJSON_ParseWithLengthOpts(text, file.size, &end, false);
    size_t at = end && end >= text ? (size_t)(end - text) : 0;
    ba_mapping_close(&file);
    if (!*out) {
        return ba_fail(err, "%s: not JSON, wrong near byte %zu; download it again", path, at);
    }
    if (!cJSON_IsObject(*out)) {
        cJSON_Delete(*out);
        *out = NULL;
        return ba_fail(err, "%s: holds no JSON object; download it again", path);
    }
    return 0;
}

const cJSON *ba_json_get(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return item && !cJSON_IsNull(item) ? item : NULL;
}

bool ba_json_whole(const cJSON *item, size_t *out) {
    double v = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(v >= 0) || v > 9007199254740992.0 || v != floor(v)) {
        return false;
    }
    *out = (size_t)v;
    return true;
}

static int wrong(const char *path, const char *name, const char *wanted, char err[BA_ERR_LEN]) {
    return ba_fail(err, "%s: '%s' must be %s", path, name, wanted);
}

int ba_json_size(const cJSON *object, const char *name, size_t *out, const char *path, char err[BA_ERR_LEN]) {
    const cJSON *item = ba_json_get(object, name);
    return !item || ba_json_whole(item, out) ? 0 : wrong(path, name, "a whole number, not negative", err);
}

int ba_json_real(const cJSON *object, const char *name, double *out, const char *path, char err[BA_ERR_LEN]) {
    const cJSON *item = ba_json_get(object, name);
    if (item && (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))) {
        return wrong(path, name, "a finite number", err);
    }
    *out = item ? item->valuedouble : *out;
    return 0;
}

int ba_json_bool(const cJSON *object, const char *name, bool *out, const char *path, char err[BA_ERR_LEN]) {
    const cJSON *item = ba_json_get(object, name);
    if (item && !cJSON_IsBool(item)) {
        return wrong(path, name, "true or false", err);
    }
    *out = item ? cJSON_IsTrue(item) : *out;
    return 0;
}

int ba_json_string(const cJSON *object, const char *name, const char **out, const char *path, char err[BA_ERR_LEN]) {
    const cJSON *item = ba_json_get(object, name);
    if (item && !cJSON_IsString(item)) {
        return wrong(path, name, "a string", err);
    }
    *out = item ? item->valuestring : *out;
    return 0;
}
