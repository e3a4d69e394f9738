/* Beginning a trace, and going on with one. */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

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

/* A missing folder is a typing error and must show before hours of work. A folder that cannot be written to shows at
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

/* What is at path may be replaced: nothing, or a trace of this schema. */
static int check_old(const char *path, const char *schema, char err[BA_ERR_LEN]) {
    ba_trace *old;
    int status = ba_trace_open_existing(path, false, &old, err);
    if (status) {
        return status;
    }
    status = require_schema(old, schema, err);
    ba_trace_close(old);
    return status;
}

int ba_trace_create(const char *path, const char *schema, ba_trace **out, char err[BA_ERR_LEN]) {
    const bool over = exists(path);
    ba_trace *t = NULL;
    int status = over ? check_old(path, schema, err) : 0;
    if (status || (status = require_folder(path, err)) || (status = begin(path, schema, &t, err))) {
        return status;
    }
    status = ba_trace_settle(t, path, over ? ".partial" : "", err);
    if (status) {
        ba_trace_close(t);
        return status;
    }
    *out = t;
    return 0;
}

/* Opens the file `from` to go on with it; commits go to path, or (partial) to PATH.partial. */
static int go_on(const char *from, const char *path, bool partial, const char *schema, ba_trace **out,
                 char err[BA_ERR_LEN]) {
    ba_trace *t;
    int status = ba_trace_open_existing(from, true, &t, err);
    if (status) {
        return status;
    }
    if ((status = require_schema(t, schema, err)) ||
        (status = ba_trace_settle(t, path, partial ? ".partial" : "", err))) {
        ba_trace_close(t);
        return status;
    }
    *out = t;
    return 0;
}

int ba_trace_resume(const char *path, const char *schema, ba_trace **out, char err[BA_ERR_LEN]) {
    char *real = realpath(path, NULL);
    char *partial = ba_trace_join(real ? real : path, ".partial");
    free(real);
    if (!partial) {
        return ba_trace_no_memory(err);
    }
    int status = exists(partial) ? go_on(partial, path, true, schema, out, err)
                 : exists(path)  ? go_on(path, path, false, schema, out, err)
                                 : ba_trace_create(path, schema, out, err);
    free(partial);
    return status;
}
