/* Making tables. */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 16384 };

static int find_table(const ba_trace *t, const char *name, size_t *index) {
    for (size_t i = 0; i < t->n_table; i++) {
        if (strcmp(t->table[i].name, name) == 0) {
            *index = i;
            return 0;
        }
    }
    return -1;
}

static bool same_columns(const ba_trace_table *tab, const ba_column *columns) {
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
static int copy_columns(ba_trace_table *tab, const ba_column *columns, size_t row_size) {
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
        tab->column[i].about = columns[i].about ? strdup(columns[i].about) : NULL;
        tab->n_column++;
        if (!tab->column[i].name || !tab->column[i].unit || (columns[i].about && !tab->column[i].about)) {
            return -1;
        }
    }
    return tab->column ? 0 : -1;
}

/* A row in the file: no gaps, and in the order of the columns; the struct may have another order (HDF5 sorts members by
 * offset). */
static hid_t packed_type(const ba_trace_table *tab) {
    ba_column *packed = calloc(tab->n_column + 1, sizeof *packed);
    size_t size = 0;
    for (size_t i = 0; packed && i < tab->n_column; i++) {
        packed[i] = tab->column[i];
        packed[i].offset = size;
        size += packed[i].size;
    }
    hid_t type = packed ? ba_trace_row_type(packed, tab->n_column, size) : H5I_INVALID_HID;
    free(packed);
    return type;
}

/* Text attribute WHAT + NAME of a data set; none if there is nothing to say. 0, or -1. */
static int say(hid_t data, const char *what, const char *name, const char *text) {
    if (!text || !*text) {
        return 0;
    }
    char *key = ba_trace_join(what, name);
    int rc = key ? ba_trace_write_text(data, key, text) : -1;
    free(key);
    return rc;
}

static hid_t make_data_set(hid_t file, const char *name, const ba_trace_table *tab) {
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
        const ba_column *c = &tab->column[i];
        if (say(data, "unit.", c->name, c->unit) || say(data, "about.", c->name, c->about)) {
            H5Dclose(data);
            data = H5I_INVALID_HID;
        }
    }
    return data;
}

int ba_trace_declare(ba_trace *t, const char *name, const ba_column *columns, size_t row_size, size_t *index,
                     char err[BA_ERR_LEN]) {
    if (find_table(t, name, index)) {
        if (t->n_table == BA_TRACE_MAX_TABLES) {
            return ba_fail(err, "%s: more than %d tables", t->path, BA_TRACE_MAX_TABLES), BA_TRACE_REFUSED;
        }
        *index = t->n_table++;
        ba_trace_table *fresh = &t->table[*index];
        fresh->name = strdup(name);
        if (!fresh->name || copy_columns(fresh, columns, row_size)) {
            return ba_trace_no_memory(err);
        }
        fresh->memory = ba_trace_row_type(fresh->column, fresh->n_column, row_size);
        fresh->data = make_data_set(t->file, name, fresh);
        return fresh->memory < 0 || fresh->data < 0 ? ba_trace_hdf5_failed(t, "make a table", err) : 0;
    }
    ba_trace_table *tab = &t->table[*index];
    if (!same_columns(tab, columns)) {
        return ba_fail(err, "%s: table %s has other columns; choose another --out", t->path, name), BA_TRACE_REFUSED;
    }
    /* From now on in the caller's layout. */
    H5Tclose(tab->memory);
    for (size_t i = 0; i < tab->n_column; i++) {
        tab->column[i].offset = columns[i].offset;
    }
    tab->row_size = row_size;
    tab->memory = ba_trace_row_type(tab->column, tab->n_column, row_size);
    return tab->memory < 0 ? ba_trace_hdf5_failed(t, "describe a row", err) : 0;
}
