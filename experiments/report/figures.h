/* Data of the report's figures, as CSV. */
#ifndef BA_REPORT_FIGURES_H
#define BA_REPORT_FIGURES_H

#include "spec.h"

#include <stdio.h>

/* A validation of `tune`: NLL of the responses in a mode after a training step, nats a token. */
typedef struct ba_validation {
    char label[64], mode[64];
    uint64_t step;
    double nll;
} ba_validation;

typedef struct ba_validations {
    ba_validation *v; /* [n] */
    size_t n, cap;
} ba_validations;

/* Adds the rows of table "validation" of a trace of `tune` under a label; without such a table nothing. 0, or -1 and err. */
int ba_validations_read(const ba_trace *t, const char *label, ba_validations *out, char err[BA_ERR_LEN]);

/* A line after a header for every row of a table whose model was also run in full mode: FLOPs as a share of full's, charged
 * budget, score and NLL lost, means over the table's tasks, with intervals of 95 % of the paired difference. */
void ba_report_points(FILE *out, const ba_report_table *t, const ba_eval_rows *rows);

/* Figure 4: one line for a training step and mode. Labels NAME@STEP give means over the first table's tasks, validations give
 * the NLL alone. */
void ba_report_steps(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows, const ba_validations *checks);

#endif
