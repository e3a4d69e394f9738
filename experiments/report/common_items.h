/* Rows of a table are compared on the same items: those that every row that was run on a task has. */
#ifndef BA_COMMON_ITEMS_H
#define BA_COMMON_ITEMS_H

#include "spec.h"

/* Rows without those of a table's models and modes on items that others of that table lack. They are borrowed: forget
 * them with ba_eval_rows_forget. 0, or -1: out of memory. */
int ba_common_items(const ba_report_spec *spec, const ba_eval_rows *rows, ba_eval_rows *common);

#endif
