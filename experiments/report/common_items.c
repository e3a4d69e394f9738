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

/* Whether a row is none of the table's, or on an item that all of the table's rows have. */
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

int ba_common_items(const ba_report_spec *spec, const ba_eval_rows *rows, ba_eval_rows *common) {
    presence *p = calloc(BA_REPORT_TABLES, sizeof *p);
    int rc = p ? 0 : -1;
    *common = (ba_eval_rows){0};
    for (size_t i = 0; !rc && i < spec->n_table; i++) {
        p[i] = presence_of(&spec->table[i], rows);
    }
    for (size_t k = 0; !rc && k < rows->n; k++) {
        bool stays = true;
        for (size_t i = 0; i < spec->n_table; i++) {
            stays = stays && is_common(&spec->table[i], &p[i], rows, &rows->row[k]);
        }
        rc = stays ? ba_eval_rows_borrow(common, &rows->row[k]) : 0;
    }
    free(p);
    if (rc) {
        ba_eval_rows_forget(common);
    }
    return rc;
}
