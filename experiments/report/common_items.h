/* Rows of a table are compared on the same items: on each task, those that all of its rows have. Rows that were not run on
 * the task do not count. */
#ifndef BA_COMMON_ITEMS_H
#define BA_COMMON_ITEMS_H

#include "spec.h"

/* Leaves out the rows of a table's models and modes on items that another row of that table lacks. The rows in *common are
 * borrowed from `rows`: free it with ba_eval_rows_forget. 0, or -1: out of memory. */
int ba_common_items(const ba_report_spec *spec, const ba_eval_rows *rows, ba_eval_rows *common);

#endif
