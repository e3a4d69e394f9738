/* The trace of `eval`: tables "items" (a row an item and mode), "summary" (derived), "sessions" (one row a sitting:
 * what ran where). Rows of several sittings, on several machines, add up; several traces can be read together. */
#ifndef BA_EVAL_TRACE_H
#define BA_EVAL_TRACE_H

#include "experiments/options/tables.h"
#include "experiments/work/work.h"
#include "summary.h"

#define BA_EVAL_SCHEMA "blockattn/eval/2"

typedef struct ba_eval_trace ba_eval_trace;

/* What a sitting is. */
typedef struct ba_eval_sitting {
    const ba_common *c;
    const ba_session *b;
    const char *label, *metric; /* of the model; "all" or "nll" */
    bool resume;
    int argc;
    char **argv;
    ba_work_list *work; /* of a shard, or NULL */
} ba_eval_sitting;

extern const ba_table ba_eval_tables[];

/* Begins --out, or continues it (resume): its rows are added to `rows`. Refused if rows of this label were made with
 * other settings. 0, or what the trace returned. */
int ba_eval_trace_begin(const ba_eval_sitting *s, ba_eval_rows *rows, ba_eval_trace **out, char err[BA_ERR_LEN]);
/* Something to be known of what was measured, such as other work on the machine; one a trace. */
int ba_eval_trace_remark(ba_eval_trace *t, const char *remark, char err[BA_ERR_LEN]);
/* A row; commits when it is due. */
int ba_eval_trace_add(ba_eval_trace *t, const ba_eval_row *row, char err[BA_ERR_LEN]);
/* All rows of an item of the list of work are there; commits when it is due. */
int ba_eval_trace_done(ba_eval_trace *t, ba_work_list *w, size_t item, char err[BA_ERR_LEN]);
/* Writes the summary and commits; whole: nothing is left to do, the trace takes its final name. */
int ba_eval_trace_finish(ba_eval_trace *t, const ba_eval_summary *s, size_t n, bool whole, char err[BA_ERR_LEN]);
void ba_eval_trace_close(ba_eval_trace *t);

/* Adds the rows of a trace's table "items"; without their times if its table "work" names several machines. */
int ba_eval_rows_read(const ba_trace *t, ba_eval_rows *rows, char err[BA_ERR_LEN]);

#endif
