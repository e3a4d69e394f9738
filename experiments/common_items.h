/* Rows of a table are compared on the same items: those that every row that was run on a task has. */
#ifndef BA_COMMON_ITEMS_H
#define BA_COMMON_ITEMS_H

#include "report_spec.h"

/* Leaves out the rows of a table's models and modes on items that others of that table lack. 0, or -1: out of memory.
 */
int ba_common_items(const ba_report_spec *spec, ba_eval_rows *rows);

#endif
