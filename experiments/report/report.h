/* The page of the report on accuracy. Every number on it is computed from rows of traces. */
#ifndef BA_REPORT_H
#define BA_REPORT_H

#include "spec.h"

#include <stdio.h>

/* Prints tables (on the items that all their rows have), claims and gaps (paired) as Markdown, and the remarks after the
 * costs. 0, or -1: out of memory. */
int ba_report_print(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows, const ba_margins *margins,
                    const char *remarks);

#endif
