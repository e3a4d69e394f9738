#include "common_items.h"

#include <stdlib.h>
#include <string.h>

/* Which rows of a table were run on which of its tasks. */
typedef struct presence {
    bool on[BA_REPORT_TASKS][BA_REPORT_ROWS];
} presence;

static bool is_of(const ba_eval_row *r, ba_row_key key) {
    return !strcmp(r->label, key.label) && !strcmp(r->mode, key.mode);
}

static presence presence_of(const ba_report_table *t, const ba_eval_rows *rows) {
    presence p = {0};
    for (size_t i = 0; i < rows->n; i++) {
        for (size_t k = 0; k < t->n_task; k++) {
            for (size_t r = 0; r < t->n_row && !strcmp(t->task[k], rows->row[i].task); r++) {
                p.on[k][r] = p.on[k][r] || is_of(&rows->row[i], t->row[r].key);
            }
        }
    }
    return p;
}

static bool has(const ba_eval_rows *rows, ba_row_key key, const ba_eval_row *item) {
    ba_eval_row like = {.index = item->index};
    snprintf(like.label, sizeof like.label, "%s", key.label);
    snprintf(like.task, sizeof like.task, "%s", item->task);
    snprintf(like.mode, sizeof like.mode, "%s", key.mode);
    return ba_eval_rows_find(rows, &like) != NULL;
}

/* Whether a row does not belong to the table, or is on an item that all rows of the table have. */
static bool is_common(const ba_report_table *t, const presence *p, const ba_eval_rows *rows, const ba_eval_row *row) {
    bool own = false, all = true;
    for (size_t k = 0; k < t->n_task; k++) {
        for (size_t r = 0; r < t->n_row && !strcmp(t->task[k], row->task); r++) {
            own = own || is_of(row, t->row[r].key);
            all = all && (!p->on[k][r] || has(rows, t->row[r].key, row));
        }
    }
    return !own || all;
}

static bool is_common_everywhere(const ba_report_spec *spec, const presence *p, const ba_eval_rows *rows,
                                 const ba_eval_row *row) {
    for (size_t i = 0; i < spec->n_table; i++) {
        if (!is_common(&spec->table[i], &p[i], rows, row)) {
            return false;
        }
    }
    return true;
}

int ba_common_items(const ba_report_spec *spec, const ba_eval_rows *rows, ba_eval_rows *common) {
    *common = (ba_eval_rows){0};
    presence *p = calloc(BA_REPORT_TABLES, sizeof *p);
    if (!p) {
        return -1;
    }
    int rc = -1;
    for (size_t i = 0; i < spec->n_table; i++) {
        p[i] = presence_of(&spec->table[i], rows);
    }
    for (size_t k = 0; k < rows->n; k++) {
        if (is_common_everywhere(spec, p, rows, &rows->row[k]) && ba_eval_rows_borrow(common, &rows->row[k])) {
            goto done;
        }
    }
    rc = 0;
done:
    free(p);
    if (rc) {
        ba_eval_rows_forget(common);
    }
    return rc;
}
