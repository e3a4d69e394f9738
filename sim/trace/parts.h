/* The inside of a trace, shared by the files of this folder: a file of HDF5 and its tables. */
#ifndef BA_TRACE_INSIDE_H
#define BA_TRACE_INSIDE_H

#define H5_USE_110_API /* what Debian 12 has; later libraries still offer it */
#include "trace.h"

#include <hdf5.h>
#include <sys/stat.h>

enum {
    BA_TRACE_MAX_TABLES = 64,
    BA_TRACE_MAX_COLUMNS = 512,
    BA_TRACE_MAX_TEXT = 1 << 16,  /* also HDF5's limit for an attribute */
    BA_TRACE_GROW_BYTES = 1 << 20 /* of a file in memory */
};

typedef struct ba_trace_table {
    char *name;
    ba_column *column; /* owned, with its strings; ends with name NULL */
    size_t n_column, row_size;
    hid_t data, memory; /* the data set, and the type of a row in memory */
    hsize_t rows;
} ba_trace_table;

struct ba_trace {
    char *path, *live;      /* live: where commits go; NULL if reading */
    struct stat seen;       /* the file at `live` after our last look at it; zeros: there was none */
    double committed, took; /* the last commit, s: when (monotonic clock), and how long it took */
    hid_t file;             /* the file, or a group of it (merged.h) */
    ba_trace_table table[BA_TRACE_MAX_TABLES];
    size_t n_table;
};

/* handle.c: errors that several files report; both return BA_TRACE_MACHINE. */
int ba_trace_no_memory(char err[BA_ERR_LEN]);
/* Library calls that work on memory only can fail for no other reason. */
int ba_trace_hdf5_failed(const ba_trace *t, const char *what, char err[BA_ERR_LEN]);

/* a followed by b, malloc'ed; NULL: out of memory. */
char *ba_trace_join(const char *a, const char *b);

/* Without a file so far; NULL: out of memory. */
ba_trace *ba_trace_new(const char *path);

/* type.c: HDF5's types; the caller closes them. */
hid_t ba_trace_text_type(size_t size);
hid_t ba_trace_row_type(const ba_column *column, size_t n, size_t row_size);
/* The inverse: type and size in memory of a column found in a file. -1: a type that traces do not have. */
int ba_trace_column_of(hid_t member, ba_column *c);

/* text.c: a text attribute of an object. 0, or -1. */
int ba_trace_write_text(hid_t object, const char *key, const char *value);
/* malloc'ed, a number as text; NULL if there is none, or it is neither a scalar text nor a scalar number, or damaged. */
char *ba_trace_read_text(hid_t object, const char *key);

/* open.c: opens a file that must be a trace. A writable one is loaded into memory (core driver); the file itself is not
 * changed before a commit. */
int ba_trace_open_existing(const char *path, bool writable, ba_trace **out, char err[BA_ERR_LEN]);
/* Finds the tables of t->file. */
int ba_trace_load_tables(ba_trace *t, char err[BA_ERR_LEN]);

/* rows.c: appends n > 0 rows at once; texts of one column then follow each other in the file. */
int ba_trace_append_rows(ba_trace *t, size_t table, const void *rows, size_t n, char err[BA_ERR_LEN]);

/* commit.c: sets where commits go. Follows a symbolic link to an existing file, since a rename would replace the link. */
int ba_trace_settle(ba_trace *t, const char *path, const char *suffix, char err[BA_ERR_LEN]);

#endif
