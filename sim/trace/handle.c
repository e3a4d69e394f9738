/* The handle of a trace, and what every file here needs: two errors and a joined string. */
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
    if (!t || !(t->path = strdup(path))) {
        free(t);
        return NULL;
    }
    return t;
}

static void free_table(ba_trace_table *tab) {
    for (size_t i = 0; tab->column && i < tab->n_column; i++) {
        free((char *)tab->column[i].name);
        free((char *)tab->column[i].unit);
        free((char *)tab->column[i].about);
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
        free_table(&t->table[i]);
    }
    if (t->file > 0) {
        H5Idec_ref(t->file); /* closes a file and a group alike */
    }
    free(t->path);
    free(t->live);
    free(t);
}

void ba_trace_library(char *out, size_t size) {
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    snprintf(out, size, "HDF5 %u.%u.%u", major, minor, release);
}
