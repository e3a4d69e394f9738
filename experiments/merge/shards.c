#include "shards.h"

#include "rows.h"
#include "sim/base/grow.h"

#include <stdlib.h>
#include <string.h>

/* Attributes of one trace, as texts. */
typedef struct attributes {
    char **key, **value; /* [n] */
    size_t n, cap, value_cap;
    bool failed;
} attributes;

/* A row of a table that is being merged. */
typedef struct merged_row {
    size_t item, place; /* place: in the order of reading */
} merged_row;

typedef struct merged_table {
    size_t into, row_size; /* in the merged trace */
    ba_merge_rule rule;
    const ba_column *columns; /* the first shard's */
    char *rows;               /* [n * row_size] */
    merged_row *order;        /* [n] */
    size_t n, cap, order_cap;
} merged_table;

enum { MAX_TABLES = 16 };

typedef struct merging {
    const ba_shards_options *opt;
    ba_trace *first, *to;
    const char *first_path, **owner; /* owner: [n_item] which file has finished an item; NULL: none */
    attributes said;                 /* the first shard's */
    size_t n_item, n_table, n_done;
    merged_table table[MAX_TABLES];
} merging;

static int collect(void *arg, const char *key, const char *value) {
    attributes *a = arg;
    a->failed = ba_grow(&a->key, &a->cap, a->n + 1, sizeof *a->key) ||
                ba_grow(&a->value, &a->value_cap, a->n + 1, sizeof *a->value);
    if (!a->failed) {
        a->key[a->n] = strdup(key);
        a->value[a->n] = strdup(value);
        a->failed = !a->key[a->n] || !a->value[a->n];
        a->n++;
    }
    return a->failed;
}

static void free_attributes(attributes *a) {
    for (size_t i = 0; i < a->n; i++) {
        free(a->key[i]);
        free(a->value[i]);
    }
    free(a->key);
    free(a->value);
    *a = (attributes){0};
}

/* A trace and its attributes; none of both if it fails. What the trace returned. */
static int open_trace(const char *path, ba_trace **t, attributes *a, char err[BA_ERR_LEN]) {
    *a = (attributes){0};
    int rc = ba_trace_open(path, t, err);
    if (rc) {
        return rc;
    }
    ba_trace_attributes(*t, collect, a);
    if (a->failed) {
        free_attributes(a);
        ba_trace_close(*t);
        *t = NULL;
        ba_fail(err, "out of memory");
        return BA_TRACE_MACHINE;
    }
    return 0;
}

static const char *said(const attributes *a, const char *key) {
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->key[i], key) == 0) {
            return a->value[i];
        }
    }
    return "";
}

static bool is_one_of(const char *key, const char *const *list) {
    while (*list && strcmp(*list, key) != 0) {
        list++;
    }
    return *list != NULL;
}

/* What may differ between shards, since it is of the machine or of the call. */
static const char *const own_of_shard[] = {"shard",
                                           "command",
                                           "cpu",
                                           "isa",
                                           "cores",
                                           "threads",
                                           "libraries",
                                           "compiler",
                                           "kernel",
                                           "device",
                                           "driver",
                                           "OPENBLAS_CORETYPE",
                                           "OPENBLAS_NUM_THREADS",
                                           "OMP_NUM_THREADS",
                                           "OMP_PROC_BIND",
                                           "OMP_PLACES",
                                           NULL};

/* Holds a shard's attributes against the first one's; what differs and may becomes "several". */
static int compare(merging *m, const attributes *a, const char *path, char err[BA_ERR_LEN]) {
    char line[BA_ERR_LEN];
    for (size_t i = 0; i < m->said.n; i++) {
        const char *key = m->said.key[i], *here = said(a, key);
        if (strcmp(here, m->said.value[i]) == 0 || strcmp(m->said.value[i], "several") == 0) {
            continue;
        }
        bool commit = strcmp(key, "commit") == 0;
        if (!commit && !is_one_of(key, own_of_shard)) {
            ba_fail(err, "%s: %s is '%.80s', in %s it is '%.80s': not shards of one run", path, key, here,
                    m->first_path, m->said.value[i]);
            return BA_TRACE_REFUSED;
        }
        if (commit) {
            snprintf(line, sizeof line, "%s: is of commit %.12s, %s of %.12s", path, here, m->first_path,
                     m->said.value[i]);
            m->opt->remark(line);
        }
        free(m->said.value[i]);
        if (!(m->said.value[i] = strdup("several"))) {
            ba_fail(err, "out of memory");
            return BA_TRACE_MACHINE;
        }
    }
    for (size_t i = 0; i < a->n; i++) {
        if (!*said(&m->said, a->key[i]) && *a->value[i] && !is_one_of(a->key[i], own_of_shard)) {
            ba_fail(err, "%s: has the attribute %s, which %s has not: not shards of one run", path, a->key[i],
                    m->first_path);
            return BA_TRACE_REFUSED;
        }
    }
    return 0;
}

/* Rows of a table in the layout that `want` describes, malloc'ed; the texts of rows are the caller's, too. NULL and err. */
static char *read_rows(const ba_trace *t, size_t table, const ba_column *want, size_t want_size, int *rc,
                       char err[BA_ERR_LEN]) {
    size_t size, n = ba_trace_rows(t, table);
    const ba_column *have = ba_trace_columns(t, table, &size);
    char *raw = calloc(n + 1, size), *rows = calloc(n + 1, want_size);
    *rc = BA_TRACE_MACHINE;
    if (!raw || !rows) {
        ba_fail(err, "out of memory");
    } else if (!(*rc = ba_trace_has_columns(t, table, want, err)) && !(*rc = ba_trace_read(t, table, 0, n, raw, err))) {
        for (size_t i = 0; i < n; i++) {
            ba_trace_convert(have, raw + i * size, want, rows + i * want_size);
        }
    }
    free(raw);
    if (*rc) {
        free(rows);
        rows = NULL;
    }
    return rows;
}

/* The finished items of a shard, sorted by name; *n gets how many. NULL and err. */
static ba_work_row *read_work(merging *m, const ba_trace *t, const char *path, size_t *n, int *rc,
                              char err[BA_ERR_LEN]) {
    size_t table = 0;
    while (table < ba_trace_tables(t) && strcmp(ba_trace_table_name(t, table), "work") != 0) {
        table++;
    }
    if (table == ba_trace_tables(t)) {
        ba_fail(err, "%s: has no table work", path);
        *rc = BA_TRACE_REFUSED;
        return NULL;
    }
    ba_work_row *work = (void *)read_rows(t, table, ba_work_columns, sizeof *work, rc, err);
    *n = work ? ba_trace_rows(t, table) : 0;
    for (size_t i = 0; i < *n && !*rc; i++) {
        if (work[i].item >= m->n_item) {
            ba_fail(err, "%s: table work: row %zu names no item of this run", path, i);
            *rc = BA_TRACE_REFUSED;
        } else if (m->owner[work[i].item]) {
            ba_fail(err, "%s: item %zu (%s %zu) is finished in %s, too: leave out one of them", path,
                    (size_t)work[i].item, work[i].task, (size_t)work[i].index, m->owner[work[i].item]);
            *rc = BA_TRACE_REFUSED;
        } else {
            m->owner[work[i].item] = path;
            m->n_done++;
        }
    }
    if (work && !*rc) {
        qsort(work, *n, sizeof *work, ba_merge_by_name);
    }
    return work;
}

/* Adds the rows of a shard's table that belong to its finished items. */
static int add_rows(merged_table *out, const ba_trace *t, size_t table, const ba_work_row *work, size_t n_work,
                    char err[BA_ERR_LEN]) {
    int rc;
    size_t n = ba_trace_rows(t, table);
    char *rows = read_rows(t, table, out->columns, out->row_size, &rc, err);
    if (rc) {
        return rc;
    }
    if (ba_grow(&out->rows, &out->cap, out->n + n, out->row_size) ||
        ba_grow(&out->order, &out->order_cap, out->n + n, sizeof *out->order)) {
        free(rows);
        ba_fail(err, "out of memory");
        return BA_TRACE_MACHINE;
    }
    for (size_t i = 0; i < n; i++) {
        char *row = rows + i * out->row_size;
        size_t item = ba_merge_item(out->rule, out->columns, row, work, n_work);
        if (item == SIZE_MAX) {
            ba_trace_release(t, table, row, 1);
            continue;
        }
        memcpy(out->rows + out->n * out->row_size, row, out->row_size);
        out->order[out->n] = (merged_row){item, out->n};
        out->n++;
    }
    free(rows);
    return 0;
}

/* Reads a shard that was compared already. */
static int add_shard(merging *m, const ba_trace *t, const char *path, char err[BA_ERR_LEN]) {
    int rc = 0;
    size_t n_work;
    ba_work_row *work = read_work(m, t, path, &n_work, &rc, err);
    for (size_t k = 0; !rc && k < m->n_table; k++) {
        merged_table *out = &m->table[k];
        const char *name = ba_trace_table_name(m->to, out->into);
        size_t table = 0;
        while (table < ba_trace_tables(t) && strcmp(ba_trace_table_name(t, table), name) != 0) {
            table++;
        }
        if (table == ba_trace_tables(t)) {
            ba_fail(err, "%s: has no table %s", path, name);
            rc = BA_TRACE_REFUSED;
        } else if (out->rule != BA_MERGE_ANEW && (out->rule != BA_MERGE_ONCE || t == m->first)) {
            rc = add_rows(out, t, table, work, n_work, err);
        }
    }
    free(work);
    return rc;
}

/* The tables of the first shard, in the merged trace. */
static int make_tables(merging *m, const char *schema, char err[BA_ERR_LEN]) {
    size_t n = ba_trace_tables(m->first);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        const char *name = ba_trace_table_name(m->first, i);
        merged_table *out = &m->table[m->n_table];
        *out = (merged_table){.rule = ba_merge_rule_of(schema, name)};
        out->columns = ba_trace_columns(m->first, i, &out->row_size);
        if (out->rule == BA_MERGE_UNKNOWN || m->n_table == MAX_TABLES) {
            ba_fail(err, "%s: schema %s, table %s: shards of it cannot be merged", m->first_path, schema, name);
            return BA_TRACE_REFUSED;
        }
        rc = ba_trace_declare(m->to, name, out->columns, out->row_size, &out->into, err);
        m->n_table++;
    }
    return rc;
}

/* By item; rows of one item as its shard wrote them. */
static int by_item(const void *a, const void *b) {
    const merged_row *x = a, *y = b;
    return x->item != y->item ? (x->item > y->item) - (x->item < y->item)
                              : (x->place > y->place) - (x->place < y->place);
}

static int write_rows(merging *m, char err[BA_ERR_LEN]) {
    int rc = 0;
    for (size_t k = 0; k < m->n_table; k++) {
        merged_table *t = &m->table[k];
        if (t->n) {
            qsort(t->order, t->n, sizeof *t->order, by_item);
        }
        for (size_t i = 0; !rc && i < t->n; i++) {
            rc = ba_trace_append(m->to, t->into, t->rows + t->order[i].place * t->row_size, err);
        }
    }
    return rc;
}

/* Which items nobody has finished. */
static int check_whole(const merging *m, char **in, size_t n, char err[BA_ERR_LEN]) {
    char line[BA_ERR_LEN];
    size_t first = 0;
    if (m->n_done == m->n_item) {
        return 0;
    }
    while (m->owner[first]) {
        first++;
    }
    snprintf(line, sizeof line, "%zu of %zu items are not finished, the first is number %zu, in %zu shard%s (%.60s ..)",
             m->n_item - m->n_done, m->n_item, first, n, n == 1 ? "" : "s", in[0]);
    if (m->opt->partial) {
        m->opt->remark(line);
        return 0;
    }
    ba_fail(err, "%s: run the missing shards, or those that were stopped with --resume; --partial merges what is there",
            line);
    return BA_TRACE_REFUSED;
}

int ba_shards_is(const char *path, char err[BA_ERR_LEN]) {
    ba_trace *t;
    attributes a;
    int rc = open_trace(path, &t, &a, err);
    if (rc) {
        return rc;
    }
    ba_trace_close(t);
    rc = *said(&a, "shard") != '\0';
    free_attributes(&a);
    return rc;
}

/* Shard i of the list, the first of which is open. */
static int merge_one(merging *m, const char *path, char err[BA_ERR_LEN]) {
    ba_trace *t;
    attributes a;
    int rc = open_trace(path, &t, &a, err);
    if (rc) {
        return rc;
    }
    rc = compare(m, &a, path, err);
    rc = rc ? rc : add_shard(m, t, path, err);
    free_attributes(&a);
    ba_trace_close(t);
    return rc;
}

static int write_attributes(merging *m, char err[BA_ERR_LEN]) {
    int rc = 0;
    for (size_t i = 0; !rc && i < m->said.n; i++) {
        const char *key = m->said.key[i];
        rc = strcmp(key, "shard") == 0 || strcmp(key, "schema") == 0 ? 0
                                                                     : ba_trace_set(m->to, key, m->said.value[i], err);
    }
    return rc;
}

static void free_merging(merging *m) {
    for (size_t k = 0; k < m->n_table; k++) {
        merged_table *t = &m->table[k];
        if (t->n) {
            ba_trace_release(m->first, k, t->rows, t->n);
        }
        free(t->rows);
        free(t->order);
    }
    ba_trace_close(m->to);
    ba_trace_close(m->first);
    free_attributes(&m->said);
    free(m->owner);
}

int ba_shards_merge(const char *out, char **in, size_t n, const ba_shards_options *opt, char err[BA_ERR_LEN]) {
    merging m = {.opt = opt, .first_path = in[0]};
    int rc = open_trace(in[0], &m.first, &m.said, err);
    if (rc) {
        return rc;
    }
    enum { MOST_ITEMS = 1 << 26 };
    m.n_item = strtoul(said(&m.said, "work_items"), NULL, 10);
    if (m.n_item > MOST_ITEMS || !(m.owner = calloc(m.n_item + 1, sizeof *m.owner))) {
        ba_fail(err, "%s: out of memory, or the attribute work_items is damaged", in[0]);
        rc = BA_TRACE_MACHINE;
    }
    char schema[64];
    snprintf(schema, sizeof schema, "%s", said(&m.said, "schema"));
    rc = rc ? rc : ba_trace_create(out, schema, &m.to, err);
    rc = rc ? rc : make_tables(&m, schema, err);
    rc = rc ? rc : add_shard(&m, m.first, in[0], err);
    for (size_t i = 1; !rc && i < n; i++) {
        rc = merge_one(&m, in[i], err);
    }
    rc = rc ? rc : check_whole(&m, in, n, err);
    rc = rc ? rc : write_attributes(&m, err);
    rc = rc ? rc : write_rows(&m, err);
    rc = rc ? rc : ba_shards_summarise(m.to, schema, opt->margins, err);
    rc = rc ? rc : ba_trace_finish(m.to, err);
    free_merging(&m);
    return rc;
}
