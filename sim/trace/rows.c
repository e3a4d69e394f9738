/* Rows of tables: appending and reading. */
#include "parts.h"

#include "verify.h"

#include <string.h>

/* Reads or writes rows [first, first + n). */
static herr_t transfer(const ba_trace_table *tab, hsize_t first, hsize_t n, void *into, const void *from) {
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

int ba_trace_append_rows(ba_trace *t, size_t index, const void *rows, size_t n, char err[BA_ERR_LEN]) {
    ba_trace_table *tab = &t->table[index];
    hsize_t after = tab->rows + n;
    if (H5Dset_extent(tab->data, &after) < 0 || transfer(tab, tab->rows, n, NULL, rows) < 0) {
        return ba_trace_hdf5_failed(t, "append rows", err);
    }
    tab->rows = after;
    return 0;
}

int ba_trace_append(ba_trace *t, size_t index, const void *row, char err[BA_ERR_LEN]) {
    return ba_trace_append_rows(t, index, row, 1, err);
}

int ba_trace_clear(ba_trace *t, size_t index, char err[BA_ERR_LEN]) {
    hsize_t none = 0;
    if (H5Dset_extent(t->table[index].data, &none) < 0) {
        return ba_trace_hdf5_failed(t, "clear a table", err);
    }
    t->table[index].rows = 0;
    return 0;
}

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
    const ba_trace_table *tab = &t->table[index];
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

/* The column of that name, or NULL. */
static const ba_column *column_named(const ba_column *c, const char *name) {
    while (c->name && strcmp(c->name, name) != 0) {
        c++;
    }
    return c->name ? c : NULL;
}

int ba_trace_has_columns(const ba_trace *t, size_t index, const ba_column *want, char err[BA_ERR_LEN]) {
    const ba_trace_table *tab = &t->table[index];
    for (; want->name; want++) {
        const ba_column *have = column_named(tab->column, want->name);
        if (!have || have->type != want->type) {
            ba_fail(err, "%s: table %s: column %s is missing or of another type", t->path, tab->name, want->name);
            return BA_TRACE_REFUSED;
        }
    }
    return 0;
}

void ba_trace_convert(const ba_column *have, const void *row, const ba_column *want, void *out) {
    for (; want->name; want++) {
        const ba_column *from = column_named(have, want->name);
        char *to = (char *)out + want->offset;
        size_t n = from->size < want->size ? from->size : want->size;
        memset(to, 0, want->size);
        memcpy(to, (const char *)row + from->offset, n);
        if (want->type == BA_COLUMN_TEXT) {
            to[want->size - 1] = '\0';
        }
    }
}
