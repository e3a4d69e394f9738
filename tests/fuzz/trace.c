/* A trace, single or merged: opened, its attributes and all its rows read. HDF5 itself is not ours and not instrumented. */
#include "targets.h"

#include "sim/trace/merged.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows at a time, and at most: a hostile header may promise 2^60 of them. */
enum { SOME = 64, MOST = 1024, MOST_BYTES = 1 << 22 };

static void *open_path(const ba_fuzz *self, const char *folder) {
    (void)self;
    return strdup(folder);
}

static int ignore(void *arg, const char *key, const char *value) {
    size_t *n = arg;
    *n += strlen(key) + strlen(value);
    return 0;
}

static bool read_table(const ba_trace *t, size_t table) {
    size_t row_size, rows = ba_trace_rows(t, table);
    const ba_column *columns = ba_trace_columns(t, table, &row_size);
    bool held = *ba_trace_table_name(t, table) != '\0';
    for (size_t i = 0; columns[i].name; i++) {
        held = held && columns[i].unit && columns[i].offset + columns[i].size <= row_size;
    }
    void *some = row_size <= MOST_BYTES / SOME ? malloc(SOME * row_size) : NULL;
    for (size_t first = 0; some && first < rows && first < MOST; first += SOME) {
        char err[BA_ERR_LEN] = "";
        size_t n = rows - first < SOME ? rows - first : SOME;
        if (ba_trace_read(t, table, first, n, some, err) != 0) {
            held = held && *err;
            break;
        }
        ba_trace_release(t, table, some, n);
    }
    free(some);
    return ba_fuzz_check(held, "columns lie in the row, and what cannot be read says why");
}

static bool read_all(const ba_trace *t) {
    bool held = true;
    for (size_t table = 0; table < ba_trace_tables(t); table++) {
        held = read_table(t, table) && held;
    }
    size_t text = 0;
    ba_trace_attributes(t, ignore, &text);
    return held;
}

static int read_run(void *arg, const char *name, const ba_trace *t, char err[BA_ERR_LEN]) {
    bool *held = arg;
    (void)name;
    (void)err;
    *held = read_all(t) && *held;
    return 0;
}

static bool take(void *state, const unsigned char *data, size_t size) {
    const char *folder = state;
    char path[BA_FUZZ_PATH], err[BA_ERR_LEN] = "";
    snprintf(path, sizeof path, "%s/input.h5", folder);
    ba_trace *t = NULL;
    if (ba_fuzz_write(folder, "input.h5", data, size) != 0) {
        return true;
    }
    if (ba_trace_open(path, &t, err) != 0) {
        return ba_fuzz_check(*err, "a trace that is refused says why");
    }
    bool held = read_all(t);
    ba_trace_close(t);
    if (ba_trace_each(path, read_run, &held, err) != 0) {
        held = ba_fuzz_check(*err, "a run that is refused says why") && held;
    }
    return held;
}

typedef struct row {
    int64_t i;
    uint64_t u;
    double seconds;
    char name[8];
    const char *note;
} row;

static int seed(const ba_fuzz *self, const char *folder) {
    (void)self;
    static const ba_column columns[] = {
        BA_COLUMN(row, i, BA_COLUMN_I64, ""),        BA_COLUMN(row, u, BA_COLUMN_U64, "B"),
        BA_COLUMN(row, seconds, BA_COLUMN_F64, "s"), BA_COLUMN(row, name, BA_COLUMN_TEXT, ""),
        BA_COLUMN(row, note, BA_COLUMN_STRING, ""),  BA_COLUMNS_END,
    };
    static const row rows[] = {{-1, 1, 0.5, "one", "note"}, {-2, 2, 1e-9, "two", NULL}};
    char path[BA_FUZZ_PATH], merged[BA_FUZZ_PATH], err[BA_ERR_LEN];
    snprintf(path, sizeof path, "%s/seed.h5", folder);
    snprintf(merged, sizeof merged, "%s/merged.h5", folder);
    remove(path);
    remove(merged);
    ba_trace *t = NULL, *all = NULL;
    size_t table;
    int rc = ba_trace_create(path, "test/1", &t, err);
    rc = rc || ba_trace_set(t, "machine", "one", err) ||
         ba_trace_declare(t, "rows", columns, sizeof(row), &table, err) || ba_trace_append(t, table, &rows[0], err) ||
         ba_trace_append(t, table, &rows[1], err) || ba_trace_finish(t, err);
    rc = rc || ba_trace_create(merged, BA_TRACE_MERGED_SCHEMA, &all, err) || ba_trace_add(all, "one", t, err) ||
         ba_trace_add(all, "two", t, err) || ba_trace_finish(all, err);
    ba_trace_close(t);
    ba_trace_close(all);
    return rc ? -1 : 0;
}

const ba_fuzz ba_fuzz_trace = {"trace", NULL, open_path, take, free, seed};
