/* Attributes, of the root and of tables: texts, and numbers. */
#include "parts.h"

#include "verify.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A scalar attribute of a type. 0, or -1. */
static int write_scalar(hid_t object, const char *key, hid_t type, const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attr = H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT);
    herr_t done = attr < 0 ? -1 : H5Awrite(attr, type, value);
    H5Aclose(attr);
    H5Sclose(space);
    return done < 0 ? -1 : 0;
}

int ba_trace_write_text(hid_t object, const char *key, const char *value) {
    if (strlen(value) > BA_TRACE_MAX_TEXT) {
        return -1;
    }
    hid_t type = ba_trace_text_type(H5T_VARIABLE);
    int rc = write_scalar(object, key, type, &value);
    H5Tclose(type);
    return rc;
}

/* A text of fixed length, as earlier versions wrote them. */
static char *fixed_text(hid_t attr, size_t size) {
    char *text = size <= BA_TRACE_MAX_TEXT ? calloc(1, size + 1) : NULL;
    hid_t memory = ba_trace_text_type(size + 1);
    if (text && H5Aread(attr, memory, text) < 0) {
        free(text);
        text = NULL;
    }
    H5Tclose(memory);
    return text;
}

static char *number_text(hid_t attr, hid_t type) {
    char text[32] = "";
    uint64_t whole = 0;
    double real = 0;
    if (H5Tget_class(type) == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_NONE && H5Tget_size(type) <= 8) {
        snprintf(text, sizeof text, "%" PRIu64, H5Aread(attr, H5T_NATIVE_UINT64, &whole) < 0 ? 0 : whole);
    } else if (H5Tget_class(type) == H5T_FLOAT && H5Tget_size(type) <= 8) {
        snprintf(text, sizeof text, "%.17g", H5Aread(attr, H5T_NATIVE_DOUBLE, &real) < 0 ? NAN : real);
    }
    return *text ? strdup(text) : NULL;
}

/* An open attribute as text, malloc'ed, or NULL if it is neither a scalar text nor a scalar number. */
static char *attribute_text(hid_t attr) {
    hid_t type = H5Aget_type(attr), space = H5Aget_space(attr);
    char *text = NULL;
    if (H5Sget_simple_extent_npoints(space) == 1) {
        text = H5Tget_class(type) != H5T_STRING ? number_text(attr, type)
               : H5Tis_variable_str(type) > 0   ? ba_trace_attribute_text(attr, BA_TRACE_MAX_TEXT)
                                                : fixed_text(attr, H5Tget_size(type));
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

/* Whether the attribute is there already: 1 if it says the same, 0 if there is none, BA_TRACE_REFUSED and err if it says
 * something else. */
static int known(const ba_trace *t, const char *key, const char *value, char err[BA_ERR_LEN]) {
    char *found = ba_trace_read_text(t->file, key);
    int status = found != NULL;
    if (found && strcmp(found, value) != 0) {
        ba_fail(err, "%s: was made with %s = \"%.120s\", this run has \"%.120s\"; leave out --resume to begin anew",
                t->path, key, found, value);
        status = BA_TRACE_REFUSED;
    }
    free(found);
    return status;
}

static int written(const ba_trace *t, int rc, char err[BA_ERR_LEN]) {
    return rc ? ba_trace_hdf5_failed(t, "write an attribute (more than 64 KiB?)", err) : 0;
}

int ba_trace_set(ba_trace *t, const char *key, const char *value, char err[BA_ERR_LEN]) {
    int status = known(t, key, value, err);
    return status > 0 ? 0 : status ? status : written(t, ba_trace_write_text(t->file, key, value), err);
}

int ba_trace_set_count(ba_trace *t, const char *key, uint64_t value, char err[BA_ERR_LEN]) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    int status = known(t, key, text, err);
    return status > 0 ? 0 : status ? status : written(t, write_scalar(t->file, key, H5T_NATIVE_UINT64, &value), err);
}

int ba_trace_set_real(ba_trace *t, const char *key, double value, char err[BA_ERR_LEN]) {
    char text[32];
    snprintf(text, sizeof text, "%.17g", value);
    int status = known(t, key, text, err);
    return status > 0 ? 0 : status ? status : written(t, write_scalar(t->file, key, H5T_NATIVE_DOUBLE, &value), err);
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
