/* Rows of eval in the order in which they came, each found by what names it: model, task, mode and item. */
#ifndef BA_EVAL_ROWS_H
#define BA_EVAL_ROWS_H

#include "eval.h"

/* Zeroed is empty. */
typedef struct ba_eval_rows {
    ba_eval_row *row; /* [n] */
    size_t n, cap;
    size_t *place; /* [room] a power of two, open addressing: a row's number plus 1; 0 is free */
    size_t room;
} ba_eval_rows;

/* Takes the row over, with what it owns. -1: out of memory (freed). */
int ba_eval_rows_add(ba_eval_rows *rows, ba_eval_row *row);

/* The row of the same label, task, mode and index, or NULL. */
const ba_eval_row *ba_eval_rows_find(const ba_eval_rows *rows, const ba_eval_row *like);

void ba_eval_rows_free(ba_eval_rows *rows);

/* Of rows that others own: adds one, or -1: out of memory; frees all but what they own. */
int ba_eval_rows_borrow(ba_eval_rows *rows, const ba_eval_row *row);
void ba_eval_rows_forget(ba_eval_rows *rows);

#endif
