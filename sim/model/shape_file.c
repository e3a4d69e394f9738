/* The shape of a model from its config.json alone. */
#include "config_fields.h"
#include "shape_read.h"
#include "sim/base/json_read.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The object that describes the text model. In a model of text and images it is a part of the file, and *tied says
 * what the part around it decides; else *tied is left alone. */
static int find_text_config(const cJSON *config, const char *path, const cJSON **text, const cJSON **tied,
                            char err[BA_ERR_LEN]) {
    const char *type = "";
    ba_wrapper_fields f = {0};
    *text = config;
    if (ba_json_string(config, "model_type", &type, path, err) != 0) {
        return -1;
    }
    if (strcmp(type, "gemma3") != 0) {
        return 0;
    }
    if (ba_fields_read(ba_wrapper_rows, type, config, path, &f, err) != 0) {
        return -1;
    }
    if (!ba_is_set(f.text_config)) {
        return ba_fail(err, "%s: 'text_config' is missing, where 'model_type' is gemma3", path);
    }
    *text = f.text_config;
    *tied = f.tied;
    return 0;
}

int ba_shape_from_config_file(const cJSON *json, const char *path, const cJSON **text, const ba_arch **arch,
                              ba_shape *s, char err[BA_ERR_LEN]) {
    const cJSON *tied = NULL;
    if (find_text_config(json, path, text, &tied, err) != 0) {
        return -1;
    }
    const char *type = *text == json ? "" : "gemma3_text";
    if (ba_json_string(*text, "model_type", &type, path, err) != 0) {
        return -1;
    }
    if (!(*arch = ba_arch_by_model_type(type))) {
        return ba_arch_unknown(path, "'model_type'", type, err);
    }
    ba_arch_begin(*arch, s);
    if (ba_shape_from_config(*text, path, *arch, type, s, err) != 0 || ba_shape_check(s, path, err) != 0) {
        return -1;
    }
    s->tied = *text == json ? s->tied : ba_bool_or(tied, true);
    s->embed_scale = (*arch)->embed_scaled ? sqrt((double)s->d_model) : 1;
    return 0;
}

int ba_shape_read(const char *path, ba_shape *out, char err[BA_ERR_LEN]) {
    char file[4096];
    struct stat info;
    const cJSON *text;
    const ba_arch *arch;
    cJSON *json = NULL;
    *out = (ba_shape){0};
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    if ((size_t)snprintf(file, sizeof file, "%s%s", path, folder ? "/config.json" : "") >= sizeof file) {
        return ba_fail(err, "%.100s: the path is too long", path);
    }
    int rc = ba_json_read(file, &json, err);
    rc = rc ? rc : ba_shape_from_config_file(json, file, &text, &arch, out, err);
    cJSON_Delete(json);
    return rc;
}
