#include "json.h"

#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

void ba_json_add_bytes(cJSON *object, const char *key, const char *bytes, size_t n) {
    static const char replacement[] = "\xEF\xBF\xBD";
    char *text = malloc(n * (sizeof replacement - 1) + 1), *end = text;
    for (size_t i = 0; text && i < n;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)bytes + i, (utf8proc_ssize_t)(n - i), &code);
        if (len > 0) {
            memcpy(end, bytes + i, (size_t)len);
            end += len;
            i += (size_t)len;
        } else {
            end = stpcpy(end, replacement);
            i++;
        }
    }
    if (text) {
        *end = 0;
        cJSON_AddStringToObject(object, key, text);
    }
    free(text);
}

void ba_json_add_number(cJSON *object, const char *key, double x) {
    if (isfinite(x)) {
        cJSON_AddNumberToObject(object, key, x);
    } else {
        cJSON_AddNullToObject(object, key);
    }
}

int ba_json_print(cJSON *object) {
    char *text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    if (!text) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    puts(text);
    free(text);
    return BA_EXIT_OK;
}
