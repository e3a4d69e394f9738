#include "json_read.h"

#include "mapping.h"
#include "utf8.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- text ------------------------------------------------------------------------------------------------------- */

static int32_t hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The code unit of an escape \uXXXX that begins at s, of which n bytes are left; -1: there is no such escape. */
static int32_t unit_at(const char *s, size_t n) {
    int32_t unit = 0;
    if (n < 6 || s[0] != '\\' || s[1] != 'u') {
        return -1;
    }
    for (size_t i = 2; i < 6; i++) {
        int32_t digit = hex_digit(s[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

/* Bytes of the escape at text[at], or 0 and err. */
static size_t check_escape(const char *text, size_t at, size_t n, char err[BA_ERR_LEN]) {
    if (at + 1 < n && text[at + 1] != 'u') {
        if (text[at + 1] && strchr("\"\\/bfnrt", text[at + 1])) {
            return 2;
        }
        ba_fail(err, "byte %zu: invalid escape in a string", at);
        return 0;
    }
    int32_t unit = unit_at(text + at, n - at);
    if (unit < 0) {
        ba_fail(err, "byte %zu: \\u needs four hexadecimal digits", at);
        return 0;
    }
    if (unit == 0) {
        ba_fail(err, "byte %zu: \\u0000 is not supported in text; take it out", at);
        return 0;
    }
    if (unit < 0xd800 || unit > 0xdfff) {
        return 6;
    }
    int32_t low = unit < 0xdc00 ? unit_at(text + at + 6, n - at - 6) : -1; /* 6 bytes are there */
    if (low < 0xdc00 || low > 0xdfff) {
        ba_fail(err, "byte %zu: half of a surrogate pair, which is no character", at);
        return 0;
    }
    return 12;
}

/* What cJSON would cut or keep without an error. */
static int check_text(const char *text, size_t n, char err[BA_ERR_LEN]) {
    bool in_string = false;
    for (size_t i = 0; i < n;) {
        int32_t code = 0;
        size_t len = ba_utf8_next(text + i, n - i, &code);
        if (len == 0) {
            return ba_fail(err, "byte %zu is not UTF-8; convert the text", i);
        }
        if (code == 0) {
            return ba_fail(err, "byte %zu is NUL, which JSON text cannot hold", i);
        }
        if (in_string && code < 0x20) {
            return ba_fail(err, "byte %zu: a control character inside a string must be escaped", i);
        }
        if (in_string && code == '\\' && (len = check_escape(text, i, n, err)) == 0) {
            return -1;
        }
        in_string ^= code == '"';
        i += len;
    }
    return 0;
}

int ba_json_parse(const char *text, size_t n, cJSON **out, char err[BA_ERR_LEN]) {
    *out = NULL;
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) { /* a byte order mark is no part of the text */
        text += 3;
        n -= 3;
    }
    if (check_text(text, n, err) != 0) {
        return -1;
    }
    const char *end = text;
    cJSON *root = cJSON_ParseWithLengthOpts(text, n, &end, false);
    size_t at = end >= text && end <= text + n ? (size_t)(end - text) : 0;
    if (!root) {
        return ba_fail(err, "malformed JSON at byte %zu of %zu (or nested too deeply)", at, n);
    }
    while (at < n && strchr(" \t\r\n", text[at])) { /* text[at] is no NUL: checked above */
        at++;
    }
    if (at < n) {
        cJSON_Delete(root);
        return ba_fail(err, "byte %zu: something follows the end of the JSON value", at);
    }
    *out = root;
    return 0;
}

int ba_json_read(const char *path, cJSON **out, char err[BA_ERR_LEN]) {
    ba_mapping file;
    char why[BA_ERR_LEN];
    if (ba_mapping_open(path, &file, err) != 0) {
        return -1;
    }
    int rc = ba_json_parse((const char *)file.data, file.size, out, why);
    ba_mapping_close(&file);
    if (rc != 0) {
        return ba_fail(err, "%s: not JSON: %s; download it again", path, why);
    }
    if (!cJSON_IsObject(*out)) {
        cJSON_Delete(*out);
        *out = NULL;
        return ba_fail(err, "%s: holds no JSON object; download it again", path);
    }
    return 0;
}

/* ---- members ---------------------------------------------------------------------------------------------------- */

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
