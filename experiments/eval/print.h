/* Rows and summaries of `eval` for people and for programs. */
#ifndef BA_EVAL_PRINT_H
#define BA_EVAL_PRINT_H

#include "summary.h"

/* One JSON line. An exit status. */
int ba_eval_print_row(const ba_eval_row *row);
int ba_eval_print_summary(const ba_eval_summary *s);

/* For people; the margins are those that the verdicts were made with. */
void ba_eval_print_table(const ba_eval_summary *s, size_t n, const ba_margins *margins);

#endif
