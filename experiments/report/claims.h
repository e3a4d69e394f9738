/* Whether the paper's claims hold here, and what share of a gap is closed: differences that are paired on the same items. */
#ifndef BA_REPORT_CLAIMS_H
#define BA_REPORT_CLAIMS_H

#include "spec.h"

#include <stdio.h>

/* Prints the claims about one table: over all its tasks, then by task. 0, or -1: out of memory. */
int ba_report_claims(FILE *out, const ba_report_spec *spec, size_t table, const ba_eval_rows *rows,
                     const ba_margins *margins);

/* Prints the claims of the first page: the paper's difference, ours and the verdict on the score. */
void ba_report_main_claims(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows, const ba_margins *margins);

/* Prints what share of the gap between two rows a third one closes: a line for every gap that was measured, and a table by
 * task for those with by_task. */
void ba_report_gaps(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows);

/* The paper's mean of a row over the tasks; NaN if the paper lacks one of its figures. */
double ba_report_paper_mean(const ba_report_table *t, const ba_report_row *r);

/* Prints "x [low, high]", scaled; "x" if low is NaN, "-" if x is NaN. */
void ba_report_interval(FILE *out, double x, double low, double high, double scale, int digits);

#endif
