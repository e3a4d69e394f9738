#include "merged.h"

#include "parts.h"
#include "sim/base/grow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows are copied in large batches: texts of one column then follow each other, and a gzipped file becomes smaller. */
enum { BATCH_BYTES = 1 << 21 };

/* A trace whose root is a group of another one's file; takes over the group, which keeps the file open. */
static int trace_of_group(const ba_trace *whole, const char *name, hid_t group, ba_trace **out, char err[BA_ERR_LEN]) {
    char *folder = ba_trace_join(whole->path, "/"), *path = folder ? ba_trace_join(folder, name) : NULL;
    ba_trace *t = path ? ba_trace_new(path) : NULL;
    free(path);
    free(folder);
    if (!t) {
        H5Idec_ref(group);
        ba_trace_no_memory(err);
        return BA_TRACE_MACHINE;
    }
    t->file = group;
    *out = t;
    return 0;
}

typedef struct name_list {
    char **name;
    size_t n, cap;
    bool failed;
} name_list;

static herr_t collect_group(hid_t file, const char *name, const H5L_info_t *link, void *arg) {
    name_list *list = arg;
    H5O_info_t info;
    if (link->type != H5L_TYPE_HARD || H5Oget_info_by_name(file, name, &info, H5P_DEFAULT) < 0 ||
        info.type != H5O_TYPE_GROUP) {
        return 0;
    }
    list->failed =
        ba_grow(&list->name, &list->cap, list->n + 1, sizeof *list->name) || !(list->name[list->n] = strdup(name));
    list->n += list->failed ? 0 : 1;
    return list->failed ? -1 : 0;
}

static name_list groups_of(const ba_trace *t) {
    name_list list = {0};
    if (H5Literate(t->file, H5_INDEX_CRT_ORDER, H5_ITER_INC, NULL, collect_group, &list) < 0 && !list.failed) {
        H5Literate(t->file, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_group, &list);
    }
    return list;
}

static int open_group(const ba_trace *whole, const char *name, ba_trace **out, char err[BA_ERR_LEN]) {
    hid_t group = H5Gopen2(whole->file, name, H5P_DEFAULT);
    if (group < 0) {
        ba_fail(err, "%s: there is no run %s", whole->path, name);
        return BA_TRACE_REFUSED;
    }
    ba_trace *t;
    int status = trace_of_group(whole, name, group, &t, err);
    if (status) {
        return status;
    }
    if ((status = ba_trace_load_tables(t, err))) {
        ba_trace_close(t);
        return status;
    }
    *out = t;
    return 0;
}

int ba_trace_open_run(const char *path, const char *name, ba_trace **out, char err[BA_ERR_LEN]) {
    ba_trace *whole;
    int status = ba_trace_open(path, &whole, err);
    if (!status) {
        status = open_group(whole, name, out, err);
        ba_trace_close(whole);
    }
    return status;
}

static int visit_group(const ba_trace *whole, const char *name, ba_trace_visit *visit, void *arg,
                       char err[BA_ERR_LEN]) {
    ba_trace *t;
    int status = open_group(whole, name, &t, err);
    if (!status) {
        status = visit(arg, name, t, err);
        ba_trace_close(t);
    }
    return status;
}

static int visit_groups(const ba_trace *whole, ba_trace_visit *visit, void *arg, char err[BA_ERR_LEN]) {
    name_list list = groups_of(whole);
    int status = list.failed ? ba_trace_no_memory(err) : 0;
    for (size_t i = 0; i < list.n; i++) {
        if (!status) {
            status = visit_group(whole, list.name[i], visit, arg, err);
        }
        free(list.name[i]);
    }
    free(list.name);
    return status;
}

/* "results/table1-base.h5.gz" -> "table1-base", malloc'ed. */
static char *run_of_path(const char *path) {
    const char *slash = strrchr(path, '/');
    char *name = strdup(slash ? slash + 1 : path);
    static const char *const endings[] = {".gz", ".h5"};
    for (size_t i = 0; name && i < 2; i++) {
        size_t n = strlen(name), m = strlen(endings[i]);
        if (n > m && strcmp(name + n - m, endings[i]) == 0) {
            name[n - m] = '\0';
        }
    }
    return name;
}

static bool is_merged(const ba_trace *t) {
    char *schema = ba_trace_read_text(t->file, "schema");
    bool is = schema && strcmp(schema, BA_TRACE_MERGED_SCHEMA) == 0;
    free(schema);
    return is;
}

int ba_trace_each(const char *path, ba_trace_visit *visit, void *arg, char err[BA_ERR_LEN]) {
    ba_trace *t;
    int status = ba_trace_open(path, &t, err);
    if (status) {
        return status;
    }
    if (is_merged(t)) {
        status = visit_groups(t, visit, arg, err);
    } else {
        char *name = run_of_path(path);
        status = name ? visit(arg, name, t, err) : ba_trace_no_memory(err);
        free(name);
    }
    ba_trace_close(t);
    return status;
}

typedef struct attribute_copy {
    ba_trace *to;
    char *err;
    int status;
} attribute_copy;

static int copy_attribute(void *arg, const char *key, const char *value) {
    attribute_copy *c = arg;
    c->status = ba_trace_set(c->to, key, value, c->err);
    return c->status;
}

static int copy_table(const ba_trace *from, size_t table, ba_trace *to, char err[BA_ERR_LEN]) {
    size_t row_size, into, n = ba_trace_rows(from, table);
    const ba_column *columns = ba_trace_columns(from, table, &row_size);
    const size_t batch = BATCH_BYTES / row_size + 1;
    int status = ba_trace_declare(to, ba_trace_table_name(from, table), columns, row_size, &into, err);
    if (status) {
        return status;
    }
    char *rows = calloc(batch, row_size);
    if (!rows) {
        return ba_trace_no_memory(err);
    }
    for (size_t first = 0; first < n && !status; first += batch) {
        size_t some = n - first < batch ? n - first : batch;
        if ((status = ba_trace_read(from, table, first, some, rows, err))) {
            break;
        }
        status = ba_trace_append_rows(to, into, rows, some, err);
        ba_trace_release(from, table, rows, some);
    }
    free(rows);
    return status;
}

static int copy_all(const ba_trace *from, ba_trace *to, char err[BA_ERR_LEN]) {
    attribute_copy c = {.to = to, .err = err};
    ba_trace_attributes(from, copy_attribute, &c);
    for (size_t table = 0; table < ba_trace_tables(from) && !c.status; table++) {
        c.status = copy_table(from, table, to, err);
    }
    return c.status;
}

int ba_trace_add(ba_trace *merged, const char *name, const ba_trace *from, char err[BA_ERR_LEN]) {
    if (!*name || strcmp(name, ".") == 0 || strchr(name, '/')) {
        ba_fail(err, "%s: '%s' is no name for a run; rename its file", merged->path, name);
        return BA_TRACE_REFUSED;
    }
    if (H5Lexists(merged->file, name, H5P_DEFAULT) > 0) {
        ba_fail(err, "%s: two runs are named %s; rename the file of one", merged->path, name);
        return BA_TRACE_REFUSED;
    }
    hid_t creation = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    hid_t group = H5Gcreate2(merged->file, name, H5P_DEFAULT, creation, H5P_DEFAULT);
    H5Pclose(creation);
    if (group < 0) {
        return ba_trace_hdf5_failed(merged, "make a group", err);
    }
    ba_trace *to;
    int status = trace_of_group(merged, name, group, &to, err);
    if (!status) {
        status = copy_all(from, to, err);
        ba_trace_close(to);
    }
    return status;
}
