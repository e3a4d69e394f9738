/* To which item of the work a row of a shard's trace belongs. */
#ifndef BA_MERGE_ROWS_H
#define BA_MERGE_ROWS_H

#include "experiments/work/work.h"

/* What happens to the rows of a table. */
typedef enum ba_merge_rule {
    BA_MERGE_BY_TASK,   /* sorted by item, which columns task and index name */
    BA_MERGE_BY_PROMPT, /* column prompt */
    BA_MERGE_BY_SIZE,   /* columns length and block_tokens */
    BA_MERGE_WORK,      /* the table `work`: column item */
    BA_MERGE_ONCE,      /* every shard has the same rows */
    BA_MERGE_ALL,       /* shard after shard */
    BA_MERGE_ANEW,      /* derived from other tables */
    BA_MERGE_UNKNOWN
} ba_merge_rule;

/* The rule of a table in traces of a schema. */
ba_merge_rule ba_merge_rule_of(const char *schema, const char *table);

/* The item of a row, among the [n] finished items of its shard, sorted by ba_merge_by_name; SIZE_MAX: it is not finished.
 * columns: those of the row. */
size_t ba_merge_item(ba_merge_rule rule, const ba_column *columns, const void *row, const ba_work_row *work, size_t n);

/* For qsort of ba_work_row. */
int ba_merge_by_name(const void *a, const void *b);

#endif
