/* Opening what is there: the tables of a file. */
#include "parts.h"

#include "gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Takes over one data set of a file; what is not a table of rows is passed over. */
static int load_table(ba_trace *t, const char *name, char err[BA_ERR_LEN]) {
    hid_t data = H5Dopen2(t->file, name, H5P_DEFAULT);
    if (data < 0) {
        return 0;
    }
    hid_t type = H5Dget_type(data), space = H5Dget_space(data);
    int n = H5Tget_class(type) == H5T_COMPOUND ? H5Tget_nmembers(type) : 0;
    bool wanted = n > 0 && n <= BA_TRACE_MAX_COLUMNS && H5Sget_simple_extent_ndims(space) == 1 &&
                  t->n_table < BA_TRACE_MAX_TABLES;
    if (!wanted) {
        H5Sclose(space);
        H5Tclose(type);
        H5Dclose(data);
        return 0;
    }
    ba_trace_table *tab = &t->table[t->n_table++];
    tab->data = data;
    tab->name = strdup(name);
    tab->column = calloc((size_t)n + 1, sizeof *tab->column);
    H5Sget_simple_extent_dims(space, &tab->rows, NULL);
    int status = tab->name && tab->column ? 0 : ba_trace_no_memory(err);
    for (int i = 0; i < n && !status; i++) {
        ba_column *c = &tab->column[i];
        char *member_name = H5Tget_member_name(type, (unsigned)i);
        char *key = member_name ? ba_trace_join("unit.", member_name) : NULL;
        char *unit = key ? ba_trace_read_text(data, key) : NULL;
        free(key);
        c->name = member_name ? strdup(member_name) : NULL;
        c->unit = unit ? unit : strdup("");
        tab->n_column++;
        H5free_memory(member_name);
        hid_t member = H5Tget_member_type(type, (unsigned)i);
        if (!c->name || !c->unit) {
            status = ba_trace_no_memory(err);
        } else if (ba_trace_column_of(member, c)) {
            ba_fail(err, "%s: table %s: column %s has a type that is not in traces", t->path, name, c->name);
            status = BA_TRACE_REFUSED;
        } else {
            c->offset = tab->row_size;
            tab->row_size += (c->size + 7) / 8 * 8; /* members stay aligned */
        }
        H5Tclose(member);
    }
    H5Sclose(space);
    H5Tclose(type);
    if (!status && (tab->memory = ba_trace_row_type(tab->column, tab->n_column, tab->row_size)) < 0) {
        status = ba_trace_hdf5_failed(t, "describe a row", err);
    }
    return status;
}

typedef struct names {
    char *name[BA_TRACE_MAX_TABLES];
    size_t n;
} names;

static herr_t collect_name(hid_t group, const char *name, const H5L_info_t *info, void *arg) {
    (void)group;
    (void)info;
    names *list = arg;
    if (list->n < BA_TRACE_MAX_TABLES && (list->name[list->n] = strdup(name))) {
        list->n++;
    }
    return 0;
}

int ba_trace_load_tables(ba_trace *t, char err[BA_ERR_LEN]) {
    names list = {.n = 0};
    /* Files of other programs may not know the order of making. */
    if (H5Literate(t->file, H5_INDEX_CRT_ORDER, H5_ITER_INC, NULL, collect_name, &list) < 0) {
        H5Literate(t->file, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_name, &list);
    }
    int status = 0;
    for (size_t i = 0; i < list.n; i++) {
        status = status ? status : load_table(t, list.name[i], err);
        free(list.name[i]);
    }
    return status;
}

/* Opens what a gzipped file holds, in memory. HDF5 asks for a name that no file has: nothing can be inside of a file.
 */
static int open_gzip(const char *path, hid_t *file, char err[BA_ERR_LEN]) {
    char *bytes, *name;
    size_t n;
    int status = ba_trace_gunzip(path, &bytes, &n, err);
    if (status) {
        return status;
    }
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, BA_TRACE_GROW_BYTES, false);
    status =
        !(name = ba_trace_join(path, "/")) || H5Pset_file_image(access, bytes, n) < 0 ? ba_trace_no_memory(err) : 0;
    *file = status ? H5I_INVALID_HID : H5Fopen(name, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    free(name);
    free(bytes);
    return status;
}

int ba_trace_open_existing(const char *path, bool writable, ba_trace **out, char err[BA_ERR_LEN]) {
    struct stat st;
    if (stat(path, &st)) {
        return ba_fail(err, "%s: %s", path, strerror(errno)), BA_TRACE_REFUSED;
    }
    if (!S_ISREG(st.st_mode)) {
        return ba_fail(err, "%s: not a regular file; a trace needs one", path), BA_TRACE_REFUSED;
    }
    ba_trace *t = ba_trace_new(path);
    if (!t) {
        return ba_trace_no_memory(err);
    }
    int status = 0;
    if (!writable && ba_trace_is_gzip(path)) {
        status = open_gzip(path, &t->file, err);
    } else {
        hid_t access = H5Pcreate(H5P_FILE_ACCESS);
        if (writable) {
            H5Pset_fapl_core(access, BA_TRACE_GROW_BYTES, false);
        }
        t->file = H5Fopen(path, writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
        H5Pclose(access);
    }
    if (status) {
        ba_trace_close(t);
        return status;
    }
    status = BA_TRACE_REFUSED;
    char *schema = t->file < 0 ? NULL : ba_trace_read_text(t->file, "schema");
    if (t->file < 0) {
        ba_fail(err, "%s: not an HDF5 file (or cannot be read)", path);
    } else if (!schema) {
        ba_fail(err, "%s: no attribute `schema`: not a trace of this program", path);
    } else {
        status = ba_trace_load_tables(t, err);
    }
    free(schema);
    if (status) {
        ba_trace_close(t);
        return status;
    }
    *out = t;
    return 0;
}

int ba_trace_open(const char *path, ba_trace **out, char err[BA_ERR_LEN]) {
    return ba_trace_open_existing(path, false, out, err);
}
