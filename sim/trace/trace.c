/* Beginning, resuming and closing. */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ba_trace_no_memory(char err[BA_ERR_LEN]) {
    ba_fail(err, "out of memory while writing a trace");
    return BA_TRACE_MACHINE;
}

int ba_trace_hdf5_failed(const ba_trace *t, const char *what, char err[BA_ERR_LEN]) {
    ba_fail(err, "%s: HDF5 cannot %s", t->path, what);
    return BA_TRACE_MACHINE;
}

char *ba_trace_join(const char *a, const char *b) {
    size_t n = strlen(a) + strlen(b) + 1;
    char *s = malloc(n);
    if (s) {
        snprintf(s, n, "%s%s", a, b);
    }
    return s;
}

ba_trace *ba_trace_new(const char *path) {
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* errors are reported by us, in one line */
    ba_trace *t = calloc(1, sizeof *t);
    if (t && !(t->path = strdup(path))) {
        free(t);
        t = NULL;
    }
    return t;
}

void ba_trace_close(ba_trace *t) {
    if (!t) {
        return;
    }
    for (size_t i = 0; i < t->n_table; i++) {
        ba_trace_table_free(&t->table[i]);
    }
    if (t->file > 0) {
        H5Idec_ref(t->file); /* closes a file and a group alike */
    }
    free(t->path);
    free(t->live);
    free(t);
}

static int require_schema(const ba_trace *t, const char *schema, char err[BA_ERR_LEN]) {
    char *found = ba_trace_read_text(t->file, "schema");
    int status = 0;
    if (!found || strcmp(found, schema) != 0) {
        ba_fail(err, "%s: holds a trace of schema %s, this would be %s; left as it is, choose another --out", t->path,
                found ? found : "(none)", schema);
        status = BA_TRACE_REFUSED;
    }
    free(found);
    return status;
}

/* An empty file in memory. */
static int begin(const char *path, const char *schema, ba_trace **out, char err[BA_ERR_LEN]) {
    ba_trace *t = ba_trace_new(path);
    if (!t) {
        return ba_trace_no_memory(err);
    }
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_fapl_core(access, BA_TRACE_GROW_BYTES, false);
    H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    t->file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    H5Pclose(access);
    int status = t->file < 0 || ba_trace_write_text(t->file, "schema", schema)
                     ? ba_trace_hdf5_failed(t, "begin a file", err)
                     : 0;
    if (status) {
        ba_trace_close(t);
        return status;
    }
    *out = t;
    return 0;
}

static bool exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

/* A folder that is not there is a slip of the pen, found before hours of work; one that cannot be written to shows at
 * the first commit. */
static int require_folder(const char *path, char err[BA_ERR_LEN]) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!folder) {
        return ba_trace_no_memory(err);
    }
    struct stat st;
    int status = 0;
    if (stat(folder, &st) || !S_ISDIR(st.st_mode)) {
        ba_fail(err, "%s: there is no folder %s; make it or choose another --out", path, folder);
        status = BA_TRACE_REFUSED;
    }
    free(folder);
    return status;
}

int ba_trace_create(const char *path, const char *schema, ba_trace **out, char err[BA_ERR_LEN]) {
    bool over = exists(path);
    if (over) {
        ba_trace *old;
        int status = ba_trace_open_existing(path, false, &old, err);
        if (status) {
            return status;
        }
        status = require_schema(old, schema, err);
        ba_trace_close(old);
        if (status) {
            return status;
        }
    }
    ba_trace *t;
    int status = require_folder(path, err);
    if (status || (status = begin(path, schema, &t, err))) {
        return status;
    }
    if ((status = ba_trace_settle(t, path, over ? ".partial" : "", err))) {
        ba_trace_close(t);
    }
    if (!status) {
        *out = t;
    }
    return status;
}

int ba_trace_resume(const char *path, const char *schema, ba_trace **out, char err[BA_ERR_LEN]) {
    char *real = realpath(path, NULL);
    char *partial = ba_trace_join(real ? real : path, ".partial");
    free(real);
    if (!partial) {
        return ba_trace_no_memory(err);
    }
    bool from_partial = exists(partial);
    int status;
    ba_trace *t;
    if (!from_partial && !exists(path)) {
        status = ba_trace_create(path, schema, out, err);
    } else if (!(status = ba_trace_open_existing(from_partial ? partial : path, true, &t, err))) {
        status = require_schema(t, schema, err);
        if (!status) {
            status = ba_trace_settle(t, path, from_partial ? ".partial" : "", err);
        }
        if (status) {
            ba_trace_close(t);
        } else {
            *out = t;
        }
    }
    free(partial);
    return status;
}

void ba_trace_library(char *out, size_t size) {
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    snprintf(out, size, "HDF5 %u.%u.%u", major, minor, release);
}
