/* The report on accuracy: everything in it is worked out from the rows of traces, nothing is typed. */
#ifndef BA_REPORT_H
#define BA_REPORT_H

#include "spec.h"

#include <stdio.h>

/* Tables (on the items that all their rows have), claims and gaps (paired), as Markdown; remarks go under the costs.
 * 0, or -1: out of memory. */
int ba_report_print(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows, const char *remarks);

/* A validation of tune: NLL of the responses in a mode behind a training step, nats a token. */
typedef struct ba_validation {
    char label[64], mode[64];
    uint64_t step;
    double nll;
} ba_validation;

typedef struct ba_validations {
    ba_validation *v; /* [n] */
    size_t n, cap;
} ba_validations;

/* Adds the rows of table "validation" of a trace of tune, under a label; none: adds nothing. 0, or -1 and err. */
int ba_validations_read(const ba_trace *t, const char *label, ba_validations *out, char err[BA_ERR_LEN]);

/* Data of the figures, CSV; both return how many lines.
 * pareto: one line a row of the first table that its model's full can be held against: FLOPs of full's, score and NLL
 * lost.
 * steps (Figure 4): one line a training step and mode. From labels NAME@STEP: means over the first table's tasks; from
 * validations: NLL alone. */
size_t ba_report_pareto(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows);
size_t ba_report_steps(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows, const ba_validations *checks);

#endif
