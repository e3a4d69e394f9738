/* Outputs in the form that a task's official scorer reads, one JSON object a line: IFEval {"prompt", "response"},
 * HumanEval {"task_id", "completion"}, all others {"id", "answers", "generated"} (rag_eval.py needs the last two). */
#ifndef BA_EVAL_OUTPUTS_H
#define BA_EVAL_OUTPUTS_H

#include "summary.h"

/* Writes FOLDER/LABEL.TASK.MODE.jsonl: what the rows of a label, task (under the name it was asked by) and mode
 * generated on the items. 0, or -1 and err. */
int ba_eval_outputs(const char *folder, const ba_task *task, const ba_task_items *items, const ba_eval_rows *rows,
                    const char *label, const char *name, const char *mode, char err[BA_ERR_LEN]);

#endif
