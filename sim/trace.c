#define H5_USE_110_API /* what Debian 12 has; later libraries still offer it */
#include "trace.h"

#include "trace_gzip.h"
#include "trace_whole.h"
#include "whole_file.h"

#include <errno.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_TABLES = 64,
    MAX_COLUMNS = 512,
    MAX_TEXT = 1 << 16, /* also HDF5's limit for an attribute */
    CHUNK_BYTES = 16384,
    GROW_BYTES = 1 << 20
};

typedef struct table {
    char *name;
    ba_column *column; /* owned, with its strings; ends with name NULL */
    size_t n_column, row_size;
    hid_t data, memory; /* the data set, and the type of a row in memory */
    hsize_t rows;
} table;

struct ba_trace {
    char *path, *live; /* live: where commits go; NULL if reading */
    struct stat seen;  /* what was there when we looked last; zeros: nothing */
    hid_t file;
    table table[MAX_TABLES];
    size_t n_table;
};

static int out_of_memory(char err[BA_ERR_LEN]) {
    ba_fail(err, "out of memory while writing a trace");
    return BA_TRACE_MACHINE;
}

/* Library calls that work on memory only can fail for no other reason. */
static int hdf5_failed(const ba_trace *t, const char *what, char err[BA_ERR_LEN]) {
    ba_fail(err, "%s: HDF5 cannot %s", t->path, what);
    return BA_TRACE_MACHINE;
}

static char *join(const char *a, const char *b) {
    size_t n = strlen(a) + strlen(b) + 1;
    char *s = malloc(n);
    if (s) {
        snprintf(s, n, "%s%s", a, b);
    }
    return s;
}

/* ---- types ---- */

static hid_t text_type(size_t size) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static hid_t column_type(const ba_column *c) {
    switch (c->type) {
    case BA_COLUMN_I64:
        return H5Tcopy(H5T_NATIVE_INT64);
    case BA_COLUMN_U64:
        return H5Tcopy(H5T_NATIVE_UINT64);
    case BA_COLUMN_F64:
        return H5Tcopy(H5T_NATIVE_DOUBLE);
    case BA_COLUMN_TEXT:
        return text_type(c->size);
    case BA_COLUMN_STRING:
        return text_type(H5T_VARIABLE);
    }
    return H5I_INVALID_HID;
}

static hid_t row_type(const ba_column *column, size_t n, size_t row_size) {
    hid_t row = H5Tcreate(H5T_COMPOUND, row_size);
    for (size_t i = 0; i < n && row >= 0; i++) {
        hid_t member = column_type(&column[i]);
        herr_t done = H5Tinsert(row, column[i].name, column[i].offset, member);
        H5Tclose(member);
        if (done < 0) {
            H5Tclose(row);
            row = H5I_INVALID_HID;
        }
    }
    return row;
}

/* The inverse: type and size in memory of a column found in a file. -1: not one of ours. */
static int column_of(hid_t member, ba_column *c) {
    size_t size = H5Tget_size(member);
    switch (H5Tget_class(member)) {
    case H5T_INTEGER:
        c->type = H5Tget_sign(member) == H5T_SGN_NONE ? BA_COLUMN_U64 : BA_COLUMN_I64;
        c->size = 8;
        return size <= 8 ? 0 : -1;
    case H5T_FLOAT:
        c->type = BA_COLUMN_F64;
        c->size = 8;
        return size <= 8 ? 0 : -1;
    case H5T_STRING:
        if (H5Tis_variable_str(member) > 0) {
            c->type = BA_COLUMN_STRING;
            c->size = sizeof(char *);
            return 0;
        }
        c->type = BA_COLUMN_TEXT;
        c->size = size;
        return size <= MAX_TEXT && H5Tget_strpad(member) == H5T_STR_NULLTERM ? 0 : -1;
    default:
        return -1;
    }
}

/* ---- text attributes ---- */

static int write_text(hid_t object, const char *key, const char *value) {
    hid_t type = text_type(strlen(value) + 1), space = H5Screate(H5S_SCALAR);
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
        size <= MAX_TEXT && (text = calloc(1, size + 1))) {
        hid_t memory = text_type(size + 1);
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

static char *read_text(hid_t object, const char *key) {
    if (H5Aexists(object, key) <= 0) {
        return NULL;
    }
    hid_t attr = H5Aopen(object, key, H5P_DEFAULT);
    char *text = attr < 0 ? NULL : attribute_text(attr);
    H5Aclose(attr);
    return text;
}

/* ---- opening and closing ---- */

static void table_free(table *tab) {
    for (size_t i = 0; tab->column && i < tab->n_column; i++) {
        free((char *)tab->column[i].name);
        free((char *)tab->column[i].unit);
    }
    free(tab->column);
    free(tab->name);
    if (tab->data > 0) {
        H5Dclose(tab->data);
    }
    if (tab->memory > 0) {
        H5Tclose(tab->memory);
    }
}

void ba_trace_close(ba_trace *t) {
    if (!t) {
        return;
    }
    for (size_t i = 0; i < t->n_table; i++) {
        table_free(&t->table[i]);
    }
    if (t->file > 0) {
        H5Fclose(t->file);
    }
    free(t->path);
    free(t->live);
    free(t);
}

static ba_trace *trace_new(const char *path) {
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* errors are reported by us, in one line */
    ba_trace *t = calloc(1, sizeof *t);
    if (t && !(t->path = strdup(path))) {
        free(t);
        t = NULL;
    }
    return t;
}

/* Takes over one data set of a file; what is not a table of rows is passed over. */
static int load_table(ba_trace *t, const char *name, char err[BA_ERR_LEN]) {
    hid_t data = H5Dopen2(t->file, name, H5P_DEFAULT);
    if (data < 0) {
        return 0;
    }
    hid_t type = H5Dget_type(data), space = H5Dget_space(data);
    int n = H5Tget_class(type) == H5T_COMPOUND ? H5Tget_nmembers(type) : 0;
    bool wanted = n > 0 && n <= MAX_COLUMNS && H5Sget_simple_extent_ndims(space) == 1 && t->n_table < MAX_TABLES;
    if (!wanted) {
        H5Sclose(space);
        H5Tclose(type);
        H5Dclose(data);
        return 0;
    }
    table *tab = &t->table[t->n_table++];
    tab->data = data;
    tab->name = strdup(name);
    tab->column = calloc((size_t)n + 1, sizeof *tab->column);
    H5Sget_simple_extent_dims(space, &tab->rows, NULL);
    int status = tab->name && tab->column ? 0 : out_of_memory(err);
    for (int i = 0; i < n && !status; i++) {
        ba_column *c = &tab->column[i];
        char *member_name = H5Tget_member_name(type, (unsigned)i);
        char *key = member_name ? join("unit.", member_name) : NULL;
        char *unit = key ? read_text(data, key) : NULL;
        free(key);
        c->name = member_name ? strdup(member_name) : NULL;
        c->unit = unit ? unit : strdup("");
        tab->n_column++;
        H5free_memory(member_name);
        hid_t member = H5Tget_member_type(type, (unsigned)i);
        if (!c->name || !c->unit) {
            status = out_of_memory(err);
        } else if (column_of(member, c)) {
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
    if (!status && (tab->memory = row_type(tab->column, tab->n_column, tab->row_size)) < 0) {
        status = hdf5_failed(t, "describe a row", err);
    }
    return status;
}

typedef struct names {
    char *name[MAX_TABLES];
    size_t n;
} names;

static herr_t collect_name(hid_t group, const char *name, const H5L_info_t *info, void *arg) {
    (void)group;
    (void)info;
    names *list = arg;
    if (list->n < MAX_TABLES && (list->name[list->n] = strdup(name))) {
        list->n++;
    }
    return 0;
}

static int load_tables(ba_trace *t, char err[BA_ERR_LEN]) {
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
    H5Pset_fapl_core(access, GROW_BYTES, false);
    status = !(name = join(path, "/")) || H5Pset_file_image(access, bytes, n) < 0 ? out_of_memory(err) : 0;
    *file = status ? H5I_INVALID_HID : H5Fopen(name, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    free(name);
    free(bytes);
    return status;
}

/* Opens a file that must be a trace; writable ones live in memory (core driver) and never touch it. */
static int open_existing(const char *path, bool writable, ba_trace **out, char err[BA_ERR_LEN]) {
    struct stat st;
    if (stat(path, &st)) {
        return ba_fail(err, "%s: %s", path, strerror(errno)), BA_TRACE_REFUSED;
    }
    if (!S_ISREG(st.st_mode)) {
        return ba_fail(err, "%s: not a regular file; a trace needs one", path), BA_TRACE_REFUSED;
    }
    ba_trace *t = trace_new(path);
    if (!t) {
        return out_of_memory(err);
    }
    int status = 0;
    if (!writable && ba_trace_is_gzip(path)) {
        status = open_gzip(path, &t->file, err);
    } else {
        hid_t access = H5Pcreate(H5P_FILE_ACCESS);
        if (writable) {
            H5Pset_fapl_core(access, GROW_BYTES, false);
        }
        t->file = H5Fopen(path, writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
        H5Pclose(access);
    }
    if (status) {
        ba_trace_close(t);
        return status;
    }
    status = BA_TRACE_REFUSED;
    char *schema = t->file < 0 ? NULL : read_text(t->file, "schema");
    if (t->file < 0) {
        ba_fail(err, "%s: not an HDF5 file (or cannot be read)", path);
    } else if (!schema) {
        ba_fail(err, "%s: no attribute `schema`: not a trace of this program", path);
    } else {
        status = load_tables(t, err);
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
    return open_existing(path, false, out, err);
}

static int require_schema(const ba_trace *t, const char *schema, char err[BA_ERR_LEN]) {
    char *found = read_text(t->file, "schema");
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
    ba_trace *t = trace_new(path);
    if (!t) {
        return out_of_memory(err);
    }
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_fapl_core(access, GROW_BYTES, false);
    H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    t->file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    H5Pclose(access);
    int status = t->file < 0 || write_text(t->file, "schema", schema) ? hdf5_failed(t, "begin a file", err) : 0;
    if (status) {
        ba_trace_close(t);
        return status;
    }
    *out = t;
    return 0;
}

/* What is at the place of commits. */
static struct stat look(const ba_trace *t) {
    struct stat now;
    return stat(t->live, &now) ? (struct stat){0} : now;
}

/* Whether another program has written there since we looked. */
static bool taken(const ba_trace *t) {
    struct stat now = look(t);
    return now.st_ino &&
           (now.st_ino != t->seen.st_ino || now.st_dev != t->seen.st_dev || now.st_size != t->seen.st_size ||
            now.st_mtim.tv_sec != t->seen.st_mtim.tv_sec || now.st_mtim.tv_nsec != t->seen.st_mtim.tv_nsec);
}

/* Sets where commits go, following a symbolic link to an existing file, which a rename would replace. */
static int settle(ba_trace *t, const char *path, const char *suffix, char err[BA_ERR_LEN]) {
    char *real = realpath(path, NULL);
    char *final = strdup(real ? real : path);
    free(real);
    free(t->path);
    t->path = final;
    t->live = final ? join(final, suffix) : NULL;
    if (!t->live) {
        return out_of_memory(err);
    }
    t->seen = look(t);
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
        return out_of_memory(err);
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
        int status = open_existing(path, false, &old, err);
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
    if ((status = settle(t, path, over ? ".partial" : "", err))) {
        ba_trace_close(t);
    }
    if (!status) {
        *out = t;
    }
    return status;
}

int ba_trace_resume(const char *path, const char *schema, ba_trace **out, char err[BA_ERR_LEN]) {
    char *real = realpath(path, NULL);
    char *partial = join(real ? real : path, ".partial");
    free(real);
    if (!partial) {
        return out_of_memory(err);
    }
    bool from_partial = exists(partial);
    int status;
    ba_trace *t;
    if (!from_partial && !exists(path)) {
        status = ba_trace_create(path, schema, out, err);
    } else if (!(status = open_existing(from_partial ? partial : path, true, &t, err))) {
        status = require_schema(t, schema, err);
        if (!status) {
            status = settle(t, path, from_partial ? ".partial" : "", err);
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

/* ---- writing ---- */

int ba_trace_set(ba_trace *t, const char *key, const char *value, char err[BA_ERR_LEN]) {
    char *found = read_text(t->file, key);
    int status = 0;
    if (found && strcmp(found, value) != 0) {
        ba_fail(err, "%s: was made with %s = \"%.120s\", this run has \"%.120s\"; leave out --resume to begin anew",
                t->path, key, found, value);
        status = BA_TRACE_REFUSED;
    } else if (!found && write_text(t->file, key, value)) {
        status = hdf5_failed(t, "write an attribute (more than 64 KiB?)", err);
    }
    free(found);
    return status;
}

static int find_table(const ba_trace *t, const char *name, size_t *index) {
    for (size_t i = 0; i < t->n_table; i++) {
        if (strcmp(t->table[i].name, name) == 0) {
            *index = i;
            return 0;
        }
    }
    return -1;
}

static bool same_columns(const table *tab, const ba_column *columns) {
    size_t n = 0;
    for (; columns[n].name; n++) {
        if (n >= tab->n_column || strcmp(columns[n].name, tab->column[n].name) != 0 ||
            columns[n].type != tab->column[n].type || columns[n].size != tab->column[n].size) {
            return false;
        }
    }
    return n == tab->n_column;
}

/* A copy of the caller's columns, so that the caller's table may go away. */
static int copy_columns(table *tab, const ba_column *columns, size_t row_size) {
    size_t n = 0;
    while (columns[n].name) {
        n++;
    }
    tab->column = calloc(n + 1, sizeof *tab->column);
    tab->row_size = row_size;
    for (size_t i = 0; tab->column && i < n; i++) {
        tab->column[i] = columns[i];
        tab->column[i].name = strdup(columns[i].name);
        tab->column[i].unit = strdup(columns[i].unit);
        tab->n_column++;
        if (!tab->column[i].name || !tab->column[i].unit) {
            return -1;
        }
    }
    return tab->column ? 0 : -1;
}

/* A row as the file keeps it: no gaps, and in the order of the columns, whatever their order in the struct (HDF5 sorts
 * members by offset). */
static hid_t packed_type(const table *tab) {
    ba_column *packed = calloc(tab->n_column + 1, sizeof *packed);
    size_t size = 0;
    for (size_t i = 0; packed && i < tab->n_column; i++) {
        packed[i] = tab->column[i];
        packed[i].offset = size;
        size += packed[i].size;
    }
    hid_t type = packed ? row_type(packed, tab->n_column, size) : H5I_INVALID_HID;
    free(packed);
    return type;
}

static hid_t make_data_set(hid_t file, const char *name, const table *tab) {
    hid_t packed = packed_type(tab);
    if (packed < 0) {
        return packed;
    }
    hsize_t none = 0, unlimited = H5S_UNLIMITED, chunk = CHUNK_BYTES / H5Tget_size(packed);
    chunk = chunk ? chunk : 1;
    hid_t space = H5Screate_simple(1, &none, &unlimited), creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 1, &chunk);
    H5Pset_shuffle(creation); /* the bytes of a column together: a file that is gzipped becomes a third smaller */
    H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    hid_t data = H5Dcreate2(file, name, packed, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    H5Pclose(creation);
    H5Sclose(space);
    H5Tclose(packed);
    for (size_t i = 0; i < tab->n_column && data >= 0; i++) {
        if (!*tab->column[i].unit) {
            continue;
        }
        char *key = join("unit.", tab->column[i].name);
        if (!key || write_text(data, key, tab->column[i].unit)) {
            H5Dclose(data);
            data = H5I_INVALID_HID;
        }
        free(key);
    }
    return data;
}

int ba_trace_declare(ba_trace *t, const char *name, const ba_column *columns, size_t row_size, size_t *index,
                     char err[BA_ERR_LEN]) {
    if (find_table(t, name, index)) {
        if (t->n_table == MAX_TABLES) {
            return ba_fail(err, "%s: more than %d tables", t->path, MAX_TABLES), BA_TRACE_REFUSED;
        }
        *index = t->n_table++;
        table *fresh = &t->table[*index];
        fresh->name = strdup(name);
        if (!fresh->name || copy_columns(fresh, columns, row_size)) {
            return out_of_memory(err);
        }
        fresh->memory = row_type(fresh->column, fresh->n_column, row_size);
        fresh->data = make_data_set(t->file, name, fresh);
        return fresh->memory < 0 || fresh->data < 0 ? hdf5_failed(t, "make a table", err) : 0;
    }
    table *tab = &t->table[*index];
    if (!same_columns(tab, columns)) {
        return ba_fail(err, "%s: table %s has other columns; choose another --out", t->path, name), BA_TRACE_REFUSED;
    }
    /* From now on in the caller's layout. */
    H5Tclose(tab->memory);
    for (size_t i = 0; i < tab->n_column; i++) {
        tab->column[i].offset = columns[i].offset;
    }
    tab->row_size = row_size;
    tab->memory = row_type(tab->column, tab->n_column, row_size);
    return tab->memory < 0 ? hdf5_failed(t, "describe a row", err) : 0;
}

/* Reads or writes rows [first, first + n). */
static herr_t transfer(const table *tab, hsize_t first, hsize_t n, void *into, const void *from) {
    hid_t memory = H5Screate_simple(1, &n, NULL), file = H5Dget_space(tab->data);
    herr_t done = H5Sselect_hyperslab(file, H5S_SELECT_SET, &first, NULL, &n, NULL);
    if (done >= 0) {
        done = into ? H5Dread(tab->data, tab->memory, memory, file, H5P_DEFAULT, into)
                    : H5Dwrite(tab->data, tab->memory, memory, file, H5P_DEFAULT, from);
    }
    H5Sclose(file);
    H5Sclose(memory);
    return done;
}

int ba_trace_append(ba_trace *t, size_t index, const void *row, char err[BA_ERR_LEN]) {
    table *tab = &t->table[index];
    hsize_t rows = tab->rows + 1;
    if (H5Dset_extent(tab->data, &rows) < 0 || transfer(tab, tab->rows, 1, NULL, row) < 0) {
        return hdf5_failed(t, "append a row", err);
    }
    tab->rows = rows;
    return 0;
}

int ba_trace_clear(ba_trace *t, size_t index, char err[BA_ERR_LEN]) {
    hsize_t none = 0;
    if (H5Dset_extent(t->table[index].data, &none) < 0) {
        return hdf5_failed(t, "clear a table", err);
    }
    t->table[index].rows = 0;
    return 0;
}

static int write_all(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno != EINTR) {
            return -1;
        }
        if (done > 0) {
            bytes += done;
            n -= (size_t)done;
        }
    }
    return 0;
}

/* Writes under a temporary name and renames: readers see the old file or the new one, never part of one. */
static int replace_file(const char *path, const char *bytes, size_t n) {
    char *temporary = join(path, ".tmp");
    if (!temporary) {
        return -1;
    }
    int fd = ba_open_alone(temporary), rc = -1;
    if (fd >= 0) {
        int lock = dup(fd), failed = write_all(fd, bytes, n);
        failed = close(fd) || failed;
        rc = ba_take_name(lock, failed, temporary, path);
    }
    free(temporary);
    return rc;
}

/* What a commit that failed by errno `why` is said to be. */
static int not_written(const ba_trace *t, int why, char err[BA_ERR_LEN]) {
    if (why == EWOULDBLOCK) {
        ba_fail(err, "%s: another program writes it, too; give each run an --out of its own", t->live);
        return BA_TRACE_REFUSED;
    }
    bool full = why == ENOSPC || why == EDQUOT || why == EFBIG;
    ba_fail(err, "%s: cannot write: %s; %s", t->live, strerror(why),
            full ? "free space and go on with --resume" : "choose another --out");
    return BA_TRACE_MACHINE;
}

int ba_trace_commit(ba_trace *t, char err[BA_ERR_LEN]) {
    if (taken(t)) {
        return not_written(t, EWOULDBLOCK, err);
    }
    H5Fflush(t->file, H5F_SCOPE_GLOBAL);
    ssize_t size = H5Fget_file_image(t->file, NULL, 0);
    if (size <= 0) {
        return hdf5_failed(t, "make a file image", err);
    }
    char *image = malloc((size_t)size);
    if (!image) {
        return out_of_memory(err);
    }
    int status = 0;
    if (H5Fget_file_image(t->file, image, (size_t)size) != size) {
        status = hdf5_failed(t, "make a file image", err);
    } else if (replace_file(t->live, image, (size_t)size)) {
        status = not_written(t, errno, err);
    } else {
        t->seen = look(t);
    }
    free(image);
    return status;
}

int ba_trace_finish(ba_trace *t, char err[BA_ERR_LEN]) {
    int status = ba_trace_commit(t, err);
    if (!status && strcmp(t->live, t->path) != 0) {
        if (rename(t->live, t->path)) {
            ba_fail(err, "%s: cannot take the name %s: %s", t->live, t->path, strerror(errno));
            return BA_TRACE_MACHINE;
        }
        t->live[strlen(t->path)] = '\0';
    }
    return status;
}

const char *ba_trace_path(const ba_trace *t) {
    return t->live;
}

/* ---- reading ---- */

size_t ba_trace_tables(const ba_trace *t) {
    return t->n_table;
}

const char *ba_trace_table_name(const ba_trace *t, size_t index) {
    return t->table[index].name;
}

const ba_column *ba_trace_columns(const ba_trace *t, size_t index, size_t *row_size) {
    *row_size = t->table[index].row_size;
    return t->table[index].column;
}

size_t ba_trace_rows(const ba_trace *t, size_t index) {
    return (size_t)t->table[index].rows;
}

int ba_trace_read(const ba_trace *t, size_t index, size_t first, size_t n, void *rows, char err[BA_ERR_LEN]) {
    const table *tab = &t->table[index];
    if (n > 0 && (first > tab->rows || n > tab->rows - first || !ba_trace_rows_hold(t->file, tab->data, first, n) ||
                  transfer(tab, first, n, rows, NULL) < 0)) {
        ba_fail(err, "%s: table %s: rows cannot be read (damaged or repacked file?)", t->path, tab->name);
        return BA_TRACE_REFUSED;
    }
    return 0;
}

void ba_trace_release(const ba_trace *t, size_t index, void *rows, size_t n) {
    hsize_t count = n;
    hid_t space = H5Screate_simple(1, &count, NULL);
    H5Dvlen_reclaim(t->table[index].memory, space, H5P_DEFAULT, rows);
    H5Sclose(space);
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

void ba_trace_library(char *out, size_t size) {
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    snprintf(out, size, "HDF5 %u.%u.%u", major, minor, release);
}
