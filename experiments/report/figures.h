/* Data of the report's two figures, as CSV. */
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

/* Both print one line a point after a header, and return the number of points.
 * pareto: rows of the first table whose model was also run in full mode: FLOPs as a share of full's, score and NLL lost.
 * steps (Figure 4): training steps and modes. Labels NAME@STEP give means over the first table's tasks, validations give
 * the NLL alone. */
size_t ba_report_pareto(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows);
size_t ba_report_steps(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows, const ba_validations *checks);

#endif
