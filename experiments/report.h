/* The report on accuracy: everything in it is worked out from the rows of traces, nothing is typed. */
#ifndef BA_REPORT_H
#define BA_REPORT_H

#include "report_spec.h"

#include <stdio.h>

/* Tables, claims and the gap, as Markdown. 0, or -1: out of memory. */
int ba_report_print(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows);

/* Data of the figures, CSV. pareto: one line a row of the first table that its model's full can be held against: FLOPs
 * of full's, score and NLL lost. steps (Figure 4): one line a training step and mode, from labels NAME@STEP: means over
 * the first table's tasks. Return how many lines. */
size_t ba_report_pareto(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows);
size_t ba_report_steps(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows);

#endif
