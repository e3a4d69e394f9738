/* Text attributes, of the root and of tables. */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

int ba_trace_write_text(hid_t object, const char *key, const char *value) {
    hid_t type = ba_trace_text_type(strlen(value) + 1), space = H5Screate(H5S_SCALAR);
    hid_t attr = H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT);
    herr_t done = attr < 0 ? -1 : H5Awrite(attr, type, value);
    H5Aclose(attr);
    H5Sclose(space);
    H5Tclose(type);
    return done < 0 ? -1 : 0;
}

/* Text of an open attribute, malloc'ed, or NULL if it is not a scalar text of a certain length. */
static char *attribute_text(hid_t attr) {
    hid_t type = H5Aget_type(attr), space = H5Aget_space(attr);
    size_t size = H5Tget_size(type);
    char *text = NULL;
    if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && H5Sget_simple_extent_npoints(space) == 1 &&
        size <= BA_TRACE_MAX_TEXT && (text = calloc(1, size + 1))) {
        hid_t memory = ba_trace_text_type(size + 1);
        if (H5Aread(attr, memory, text) < 0) {
            free(text);
            text = NULL;
        }
        H5Tclose(memory);
    }
    H5Sclose(space);
    H5Tclose(type);
    return text;
}

char *ba_trace_read_text(hid_t object, const char *key) {
    if (H5Aexists(object, key) <= 0) {
        return NULL;
    }
    hid_t attr = H5Aopen(object, key, H5P_DEFAULT);
    char *text = attr < 0 ? NULL : attribute_text(attr);
    H5Aclose(attr);
    return text;
}

int ba_trace_set(ba_trace *t, const char *key, const char *value, char err[BA_ERR_LEN]) {
    char *found = ba_trace_read_text(t->file, key);
    int status = 0;
    if (found && strcmp(found, value) != 0) {
        ba_fail(err, "%s: was made with %s = \"%.120s\", this run has \"%.120s\"; leave out --resume to begin anew",
                t->path, key, found, value);
        status = BA_TRACE_REFUSED;
    } else if (!found && ba_trace_write_text(t->file, key, value)) {
        status = ba_trace_hdf5_failed(t, "write an attribute (more than 64 KiB?)", err);
    }
    free(found);
    return status;
}

void ba_trace_attributes(const ba_trace *t, int (*emit)(void *arg, const char *key, const char *value), void *arg) {
    H5O_info_t info;
    if (H5Oget_info(t->file, &info) < 0) {
        return;
    }
    bool stop = false;
    for (hsize_t i = 0; i < info.num_attrs && !stop; i++) {
        hid_t attr = H5Aopen_by_idx(t->file, ".", H5_INDEX_CRT_ORDER, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT);
        if (attr < 0) {
            attr = H5Aopen_by_idx(t->file, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT);
        }
        char key[256] = "";
        char *value = attr < 0 ? NULL : attribute_text(attr);
        if (value && H5Aget_name(attr, sizeof key, key) >= 0) {
            stop = emit(arg, key, value) != 0;
        }
        free(value);
        H5Aclose(attr);
    }
}
