#include "tables.h"

#include <stdlib.h>
#include <string.h>

int ba_table_declare(ba_trace *t, const ba_table *table, size_t *index, char err[BA_ERR_LEN]) {
    size_t n = 0;
    while (table->columns[n].name) {
        n++;
    }
    ba_column *explained = calloc(n + 1, sizeof *explained);
    if (!explained) {
        ba_fail(err, "out of memory");
        return BA_TRACE_MACHINE;
    }
    for (size_t i = 0; i < n; i++) {
        const ba_meaning *m = ba_meaning_of(table->name, table->columns[i].name);
        explained[i] = table->columns[i];
        explained[i].unit = m ? m->unit : explained[i].unit;
        explained[i].about = m ? m->about : NULL;
    }
    int rc = ba_trace_declare(t, table->name, explained, table->row_size, index, err);
    free(explained);
    return rc;
}

int ba_table_declare_named(ba_trace *t, const ba_table *list, const char *name, size_t *index, char err[BA_ERR_LEN]) {
    while (strcmp(list->name, name) != 0) {
        list++;
    }
    return ba_table_declare(t, list, index, err);
}

static const char *type_name(ba_column_type type) {
    static const char *const name[] = {[BA_COLUMN_I64] = "integer",
                                       [BA_COLUMN_U64] = "count",
                                       [BA_COLUMN_F64] = "number",
                                       [BA_COLUMN_TEXT] = "text",
                                       [BA_COLUMN_STRING] = "text"};
    return name[type];
}

void ba_tables_print(FILE *out, const char *command, const ba_table *list) {
    fprintf(out, "\n## `%s`\n", command);
    for (; list->name; list++) {
        fprintf(out, "\n### %s: %s\n\n| column | type | unit | meaning |\n|---|---|---|---|\n", list->name,
                list->about);
        for (const ba_column *c = list->columns; c->name; c++) {
            const ba_meaning *m = ba_meaning_of(list->name, c->name);
            fprintf(out, "| `%s` | %s | %s | %s |\n", c->name, type_name(c->type), m ? m->unit : "", m ? m->about : "");
        }
    }
}
