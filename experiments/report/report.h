/* The pages of the report on accuracy: one first page, then a page a table. Every number in a table is computed from rows of
 * traces. */
#ifndef BA_REPORT_H
#define BA_REPORT_H

#include "spec.h"

#include <stdio.h>

/* Pages besides those of the tables, beside which they are. */
#define BA_REPORT_GAPS_PAGE "report-gaps.md"
#define BA_REPORT_RUNS_PAGE "report-runs.md"

/* The first page: what it is about, the main claims, what the model cannot say, how sure all that is, and links. 0 or -1. */
int ba_report_first_page(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows, const ba_margins *margins);

/* What the tables are made from: all rows, those on items that all rows of a table have, and their summaries. */
typedef struct ba_report_data {
    const ba_eval_rows *rows;
    const ba_margins *margins;
    ba_eval_rows common;      /* borrows from rows */
    ba_eval_summary *summary; /* [n] of common */
    size_t n;
} ba_report_data;

/* rows and margins are borrowed. 0, or -1: out of memory, with nothing to free. */
int ba_report_data_make(const ba_report_spec *spec, const ba_eval_rows *rows, const ba_margins *margins,
                        ba_report_data *out);
void ba_report_data_free(ba_report_data *d);

/* The page of a table and of the claims about it (paired), as Markdown, with the remarks after the costs. 0, or -1: out of
 * memory. */
int ba_report_table_page(FILE *out, const ba_report_spec *spec, size_t table, const ba_report_data *d,
                         const char *remarks);

#endif
