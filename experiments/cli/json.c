#include "json.h"

#include "cli.h"
#include "sim/base/utf8.h"

#include <math.h>
#include <stdlib.h>

void ba_json_add_bytes(cJSON *object, const char *key, const char *bytes, size_t n) {
    char *text = ba_utf8_text(bytes, n);
    if (text) {
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
