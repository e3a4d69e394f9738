/* What a report is made from: rows of `eval` and validations of `tune`, read from traces (single or merged), scores that
 * other programs gave, and a list of the runs. */
#ifndef BA_REPORT_INPUTS_H
#define BA_REPORT_INPUTS_H

#include "figures.h"

typedef struct ba_report_inputs {
    ba_eval_rows rows;
    ba_validations checks;
    char *runs, *remarks; /* a Markdown list of what was run; the different remarks of the traces, joined by "; " */
    size_t runs_size, remarks_size;
    FILE *runs_f, *remarks_f; /* open until ba_report_inputs_end */
} ba_report_inputs;

/* Begins without rows. All functions: 0, or -1 and err. Free the inputs after a failure, too. */
int ba_report_inputs_begin(ba_report_inputs *in, char err[BA_ERR_LEN]);

/* Adds the runs of a trace. A row that is there already is left out, but must have been made from the same item. */
int ba_report_inputs_trace(ba_report_inputs *in, const char *path, char err[BA_ERR_LEN]);

/* Completes `runs` and `remarks`, after the last trace. */
int ba_report_inputs_end(ba_report_inputs *in, char err[BA_ERR_LEN]);

/* Puts scores into the rows: JSON Lines {"label", "task", "mode", "id", "score"}. */
int ba_report_inputs_scores(ba_report_inputs *in, const char *path, char err[BA_ERR_LEN]);

void ba_report_inputs_free(ba_report_inputs *in);

#endif
