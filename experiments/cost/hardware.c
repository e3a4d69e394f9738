#include "hardware.h"

#include "sim/base/json_read.h"

#include <stdio.h>
#include <string.h>

static int read_row(const cJSON *row, const char *path, ba_hardware *out, char err[BA_ERR_LEN]) {
    const struct {
        const char *key;
        double *value;
    } field[] = {{"flops", &out->flops},
                 {"memory_bandwidth", &out->memory_bandwidth},
                 {"disk_bandwidth", &out->disk_bandwidth},
                 {"disk_latency", &out->disk_latency},
                 {"network_bandwidth", &out->network_bandwidth},
                 {"network_latency", &out->network_latency},
                 {"watts", &out->watts},
                 {"price_hour", &out->price_hour},
                 {"ram_price", &out->ram_price},
                 {"disk_price", &out->disk_price},
                 {"network_price", &out->network_price}};
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        *field[i].value = -1;
        if (ba_json_real(row, field[i].key, field[i].value, path, err)) {
            return -1;
        }
        if (!(*field[i].value > 0)) {
            return ba_fail(err, "%s: hardware %s: '%s' must be a number above 0", path, out->name, field[i].key);
        }
    }
    return 0;
}

int ba_hardware_read(const char *path, const char *name, ba_hardware *out, char err[BA_ERR_LEN]) {
    cJSON *doc;
    char list[BA_ERR_LEN / 2] = "";
    if (ba_json_read(path, &doc, err)) {
        return -1;
    }
    const cJSON *rows = ba_json_get(doc, "hardware"), *row;
    int rc = 1;
    size_t used = 0;
    cJSON_ArrayForEach(row, rows) {
        const char *known = "";
        if (rc > 0 && ba_json_string(row, "name", &known, path, err)) {
            rc = -1;
        } else if (rc > 0 && strcmp(known, name) == 0) {
            snprintf(out->name, sizeof out->name, "%s", name);
            rc = read_row(row, path, out, err);
        } else if (used < sizeof list) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", known);
        }
    }
    cJSON_Delete(doc);
    return rc > 0 ? ba_fail(err, "--hardware %s: not in %s; there is %s", name, path, list) : rc;
}
