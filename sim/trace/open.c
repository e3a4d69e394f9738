/* Opening an existing file: its tables and their columns. */
#include "parts.h"

#include "gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Text attribute WHAT + NAME of a data set, malloc'ed, or NULL. */
static char *said_of(hid_t data, const char *what, const char *name) {
    char *key = ba_trace_join(what, name), *text = key ? ba_trace_read_text(data, key) : NULL;
    free(key);
    return text;
}

/* Name, unit, type and place of one column of a data set's rows. */
static int load_column(ba_trace *t, ba_trace_table *tab, hid_t type, unsigned i, char err[BA_ERR_LEN]) {
    ba_column *c = &tab->column[i];
    char *name = H5Tget_member_name(type, i), *unit = name ? said_of(tab->data, "unit.", name) : NULL;
    c->name = name ? strdup(name) : NULL;
    c->unit = unit ? unit : strdup("");
    c->about = name ? said_of(tab->data, "about.", name) : NULL;
    tab->n_column++;
    H5free_memory(name);
    if (!c->name || !c->unit) {
        return ba_trace_no_memory(err);
    }
    hid_t member = H5Tget_member_type(type, i);
    int known = ba_trace_column_of(member, c);
    H5Tclose(member);
    if (known != 0) {
        ba_fail(err, "%s: table %s: column %s has a type that traces do not have", t->path, tab->name, c->name);
        return BA_TRACE_REFUSED;
    }
    c->offset = tab->row_size;
    tab->row_size += (c->size + 7) / 8 * 8; /* members stay aligned */
    return 0;
}

static int load_columns(ba_trace *t, ba_trace_table *tab, hid_t type, unsigned n, char err[BA_ERR_LEN]) {
    tab->column = calloc((size_t)n + 1, sizeof *tab->column);
    if (!tab->name || !tab->column) {
        return ba_trace_no_memory(err);
    }
    for (unsigned i = 0; i < n; i++) {
        int status = load_column(t, tab, type, i, err);
        if (status) {
            return status;
        }
    }
    tab->memory = ba_trace_row_type(tab->column, tab->n_column, tab->row_size);
    return tab->memory < 0 ? ba_trace_hdf5_failed(t, "describe a row", err) : 0;
}

/* Adds one data set of the file to the tables; what is not a table of rows is skipped. */
static int load_table(ba_trace *t, const char *name, char err[BA_ERR_LEN]) {
    hid_t data = H5Dopen2(t->file, name, H5P_DEFAULT);
    if (data < 0) {
        return 0;
    }
    hid_t type = H5Dget_type(data), space = H5Dget_space(data);
    int status = 0, n = H5Tget_class(type) == H5T_COMPOUND ? H5Tget_nmembers(type) : 0;
    if (n > 0 && n <= BA_TRACE_MAX_COLUMNS && H5Sget_simple_extent_ndims(space) == 1 &&
        t->n_table < BA_TRACE_MAX_TABLES) {
        ba_trace_table *tab = &t->table[t->n_table++];
        tab->data = data;
        tab->name = strdup(name);
        H5Sget_simple_extent_dims(space, &tab->rows, NULL);
        status = load_columns(t, tab, type, (unsigned)n, err);
    } else {
        H5Dclose(data);
    }
    H5Sclose(space);
    H5Tclose(type);
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
    /* Files of other programs may not record the order of creation. */
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

/* Opens what a gzipped file holds, in memory. HDF5 is given a name that no file can have, so that it opens nothing else.
 */
static int open_gzip(const char *path, hid_t *file, char err[BA_ERR_LEN]) {
    char *bytes;
    size_t n;
    int status = ba_trace_gunzip(path, &bytes, &n, err);
    if (status) {
        return status;
    }
    char *name = ba_trace_join(path, "/");
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, BA_TRACE_GROW_BYTES, false);
    if (!name || H5Pset_file_image(access, bytes, n) < 0) {
        status = ba_trace_no_memory(err);
    } else {
        *file = H5Fopen(name, H5F_ACC_RDONLY, access);
    }
    H5Pclose(access);
    free(name);
    free(bytes);
    return status;
}

/* Opens the HDF5 file itself, gzipped or plain; t->file is negative if it is neither. */
static int open_file(ba_trace *t, bool writable, char err[BA_ERR_LEN]) {
    if (!writable && ba_trace_is_gzip(t->path)) {
        return open_gzip(t->path, &t->file, err);
    }
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (writable) {
        H5Pset_fapl_core(access, BA_TRACE_GROW_BYTES, false);
    }
    /* A commit replaces the file as a whole, so there is nothing to lock; and a lock that lasts as long as a resumed run
     * would keep the other ranks of a job from reading its trace. */
    H5Pset_file_locking(access, false, true);
    t->file = H5Fopen(t->path, writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
    H5Pclose(access);
    return 0;
}

static int load(ba_trace *t, bool writable, char err[BA_ERR_LEN]) {
    int status = open_file(t, writable, err);
    if (status) {
        return status;
    }
    if (t->file < 0) {
        return ba_fail(err, "%s: not an HDF5 file (or cannot be read)", t->path), BA_TRACE_REFUSED;
    }
    char *schema = ba_trace_read_text(t->file, "schema");
    if (!schema) {
        return ba_fail(err, "%s: no attribute `schema`: not a trace of this program", t->path), BA_TRACE_REFUSED;
    }
    free(schema);
    return ba_trace_load_tables(t, err);
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
    int status = load(t, writable, err);
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
