/* Tables of results in HDF5, readable by h5dump, HDFView and h5py. Knows nothing of what it records.
 *
 * A trace has attributes at its root (`schema` always), which are texts (UTF-8, of any length) or numbers, and tables:
 * one-dimensional data sets of rows, each row a C struct, each column with a name, a type, a unit and what it means (attributes
 * "unit.NAME" and "about.NAME" of the table). Attributes of earlier versions, texts of a fixed length, are read too.
 *
 * Nothing on disk is ever half written. Rows are appended in memory; a commit writes the whole file under a temporary
 * name in the same folder and renames it. Killed at any moment, a program leaves the file of its last commit; a full
 * disk leaves it as well. HDF5's own way to write in place (SWMR) was not taken: after a kill it leaves files that
 * h5dump refuses to open. The price: a commit costs a write of the whole file, so keep traces under some 100 MB or
 * commit when it is due.
 *
 * A new trace over an existing one lives in PATH.partial until it is finished; only then it takes the old one's place.
 */
#ifndef BA_TRACE_H
#define BA_TRACE_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_trace ba_trace;

/* What failed, besides 0: the caller's input (a file that is no trace, another schema, other options), or the machine
 * (disk, memory). err is filled in both cases. */
enum { BA_TRACE_REFUSED = -1, BA_TRACE_MACHINE = -2 };

typedef enum ba_column_type {
    BA_COLUMN_I64,
    BA_COLUMN_U64,
    BA_COLUMN_F64,    /* NaN = blank */
    BA_COLUMN_TEXT,   /* char[size], NUL-terminated, UTF-8 */
    BA_COLUMN_STRING, /* const char *, any length; NULL = blank */
} ba_column_type;

typedef struct ba_column {
    const char *name;
    ba_column_type type;
    size_t offset, size; /* of the member in the row struct, bytes */
    const char *unit;    /* base units: "s", "B", "FLOP", "1/s"; "" for counts and names */
    const char *about;   /* what it means, a phrase; NULL: not said */
} ba_column;

/* Column of a row struct. A list of columns ends with BA_COLUMNS_END, whose name is NULL. */
#define BA_COLUMN(row, member, type, unit) BA_COLUMN_AS(#member, row, member, type, unit)
/* The same under another name than the member's. */
#define BA_COLUMN_AS(name, row, member, type, unit)                                                                    \
    { name, type, offsetof(row, member), sizeof(((row *)0)->member), unit, NULL }
#define BA_COLUMNS_END                                                                                                 \
    { NULL, BA_COLUMN_I64, 0, 0, NULL, NULL }

/* Begins a trace. If path exists it must be a trace with this schema (anything else is refused and left alone). */
int ba_trace_create(const char *path, const char *schema, ba_trace **out, char err[BA_ERR_LEN]);

/* Continues PATH.partial if there is one, else path; if neither exists, begins a trace. */
int ba_trace_resume(const char *path, const char *schema, ba_trace **out, char err[BA_ERR_LEN]);

/* For reading only, of any schema; plain or gzipped. */
int ba_trace_open(const char *path, ba_trace **out, char err[BA_ERR_LEN]);

/* Sets a root attribute, a text or a number. If the trace has it already, its value must be the same: a resumed trace
 * refuses to mix rows of different programs, machines or options. */
int ba_trace_set(ba_trace *t, const char *key, const char *value, char err[BA_ERR_LEN]);
int ba_trace_set_count(ba_trace *t, const char *key, uint64_t value, char err[BA_ERR_LEN]);
int ba_trace_set_real(ba_trace *t, const char *key, double value, char err[BA_ERR_LEN]);

/* Declares a table (columns are copied), or checks that the trace's has the same columns; *table gets its index. */
int ba_trace_declare(ba_trace *t, const char *name, const ba_column *columns, size_t row_size, size_t *table,
                     char err[BA_ERR_LEN]);

/* Appends a row: a struct as declared. Visible to others after the next commit. */
int ba_trace_append(ba_trace *t, size_t table, const void *row, char err[BA_ERR_LEN]);

/* Forgets the rows of a table, for tables that are derived from others and written anew. */
int ba_trace_clear(ba_trace *t, size_t table, char err[BA_ERR_LEN]);

/* Everything since the last commit reaches the file at once, or (on failure) not at all. A file that another program
 * has written since is left alone, and the commit refused. */
int ba_trace_commit(ba_trace *t, char err[BA_ERR_LEN]);

/* Commits if it is due, for callers that append often: at most once a second, and at most a twentieth of the time. */
int ba_trace_commit_due(ba_trace *t, char err[BA_ERR_LEN]);

/* Commits, and takes the place of an older trace. */
int ba_trace_finish(ba_trace *t, char err[BA_ERR_LEN]);

/* Frees; rows not committed are lost. NULL is allowed. */
void ba_trace_close(ba_trace *t);

/* Where commits go: path, or PATH.partial. NULL if opened for reading. */
const char *ba_trace_path(const ba_trace *t);

/* Reading. Tables are in the order of their making. */
size_t ba_trace_tables(const ba_trace *t);
const char *ba_trace_table_name(const ba_trace *t, size_t table);
/* Columns, ending with BA_COLUMNS_END, and the size of a row: the layout that ba_trace_read uses. */
const ba_column *ba_trace_columns(const ba_trace *t, size_t table, size_t *row_size);
size_t ba_trace_rows(const ba_trace *t, size_t table);
/* Rows [first, first + n) into rows [n * row_size bytes]. STRING members are then owned by the rows: release them. */
int ba_trace_read(const ba_trace *t, size_t table, size_t first, size_t n, void *rows, char err[BA_ERR_LEN]);
void ba_trace_release(const ba_trace *t, size_t table, void *rows, size_t n);
/* Rows of a table whose columns may have another order, or more of them than `want`, as those of an earlier version: whether
 * each wanted column is there with its type (0, or BA_TRACE_REFUSED and err), and a row as it was read copied into a struct
 * that `want` describes. STRING members of it are those of the row. */
int ba_trace_has_columns(const ba_trace *t, size_t table, const ba_column *want, char err[BA_ERR_LEN]);
void ba_trace_convert(const ba_column *have, const void *row, const ba_column *want, void *out);
/* Calls emit for every attribute of the root, numbers as text, in the order of making; stops if it returns non-zero. */
void ba_trace_attributes(const ba_trace *t, int (*emit)(void *arg, const char *key, const char *value), void *arg);

/* "HDF5 1.10.8": the library in use. */
void ba_trace_library(char *out, size_t size);

#endif
