/* What the report says of the paper's claims, from differences that are paired on the same items. */
#ifndef BA_REPORT_CLAIMS_H
#define BA_REPORT_CLAIMS_H

#include "spec.h"

#include <stdio.h>

/* The claims about one table: over its tasks, then by task. 0, or -1: out of memory. */
int ba_report_claims(FILE *out, const ba_report_spec *spec, size_t table, const ba_eval_rows *rows);

/* How much of the way from one row to another a third one goes: every gap that was measured, and by task those that are
 * to be shown so. */
void ba_report_gaps(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows);

/* The paper's mean over the tasks of a row; NaN: the paper lacks it. */
double ba_report_paper_mean(const ba_report_table *t, const ba_report_row *r);

/* "x [low, high]", scaled; without the interval if there is none; "-" if there is no x. */
void ba_report_interval(FILE *out, double x, double low, double high, double scale, int digits);

#endif
