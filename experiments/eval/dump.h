/* What was asked, as ids, so that another program can score the same thing: JSON Lines {"task", "id", "request":
 * {"ids": [[..], ..], "roles": [..]}, "answer_ids": [..]}. Takes its name when it is whole. */
#ifndef BA_EVAL_DUMP_H
#define BA_EVAL_DUMP_H

#include "experiments/tasks/tasks.h"

typedef struct ba_dump ba_dump;

/* All: 0, or -1 and err. */
int ba_dump_begin(const char *path, ba_dump **out, char err[BA_ERR_LEN]);
int ba_dump_item(ba_dump *d, const char *task, const ba_task_item *item, const ba_tokenizer *tok, char err[BA_ERR_LEN]);
int ba_dump_finish(ba_dump *d, char err[BA_ERR_LEN]);
/* Removes what is not whole. NULL is allowed. */
void ba_dump_close(ba_dump *d);

#endif
