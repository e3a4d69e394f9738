#include "rows.h"

#include "sim/base/grow.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a. */
static uint64_t mix(uint64_t hash, const char *text) {
    for (; *text; text++) {
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    }
    return (hash ^ 0xff) * 0x100000001b3;
}

static uint64_t hash_of(const ba_eval_row *r) {
    return mix(mix(mix(0xcbf29ce484222325 ^ r->index * 0x9e3779b97f4a7c15, r->label), r->task), r->mode);
}

static bool is_same(const ba_eval_row *a, const ba_eval_row *b) {
    return a->index == b->index && !strcmp(a->task, b->task) && !strcmp(a->mode, b->mode) &&
           !strcmp(a->label, b->label);
}

/* Where a row is, or would be. */
static size_t *place_of(const ba_eval_rows *rows, const ba_eval_row *like) {
    size_t i = hash_of(like) & (rows->room - 1);
    while (rows->place[i] && !is_same(&rows->row[rows->place[i] - 1], like)) {
        i = (i + 1) & (rows->room - 1);
    }
    return &rows->place[i];
}

/* Of equal rows the first is found. */
static void enter_all(ba_eval_rows *rows) {
    memset(rows->place, 0, rows->room * sizeof *rows->place);
    for (size_t i = rows->n; i-- > 0;) {
        *place_of(rows, &rows->row[i]) = i + 1;
    }
}

/* At most half of the places are taken. */
static int make_room(ba_eval_rows *rows) {
    if (2 * (rows->n + 1) <= rows->room) {
        return 0;
    }
    size_t room = rows->room ? 2 * rows->room : 256, *place = calloc(room, sizeof *place);
    if (!place) {
        return -1;
    }
    free(rows->place);
    rows->place = place;
    rows->room = room;
    enter_all(rows);
    return 0;
}

int ba_eval_rows_borrow(ba_eval_rows *rows, const ba_eval_row *row) {
    if (ba_grow(&rows->row, &rows->cap, rows->n + 1, sizeof *rows->row) || make_room(rows)) {
        return -1;
    }
    size_t *place = place_of(rows, row);
    rows->row[rows->n++] = *row;
    *place = *place ? *place : rows->n;
    return 0;
}

int ba_eval_rows_add(ba_eval_rows *rows, ba_eval_row *row) {
    int rc = ba_eval_rows_borrow(rows, row);
    if (rc) {
        ba_eval_row_free(row);
    }
    return rc;
}

const ba_eval_row *ba_eval_rows_find(const ba_eval_rows *rows, const ba_eval_row *like) {
    size_t found = rows->room ? *place_of(rows, like) : 0;
    return found ? &rows->row[found - 1] : NULL;
}

void ba_eval_rows_forget(ba_eval_rows *rows) {
    free(rows->row);
    free(rows->place);
    *rows = (ba_eval_rows){0};
}

void ba_eval_rows_free(ba_eval_rows *rows) {
    for (size_t i = 0; i < rows->n; i++) {
        ba_eval_row_free(&rows->row[i]);
    }
    ba_eval_rows_forget(rows);
}
