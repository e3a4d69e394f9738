/* The trace of the gate. Tables: `prompts`, one row per prompt and mode; `layers`, `mass` and `choices`, the inside of the
 * modes on the first prompts; `modes`, the summaries, rewritten at the end. All rows of a prompt are committed together,
 * so an interrupted gate continues with the next prompt. Functions return what those of the trace do. */
#ifndef BA_GATE_TRACE_H
#define BA_GATE_TRACE_H

#include "experiments/cli/environment.h"
#include "probe.h"
#include "prompts.h"
#include "report.h"

#include "experiments/options/tables.h"
#include "sim/trace/trace.h"

typedef struct ba_gate_trace {
    ba_trace *file;
    size_t modes, prompts, layers, mass, choices; /* tables */
} ba_gate_trace;

extern const ba_table ba_gate_tables[];

/* Creates a trace, or resumes one made by the same command on the same machine. Close it in either case. */
int ba_gate_trace_open(ba_gate_trace *t, const char *path, bool resume, const ba_environment *env,
                       char err[BA_ERR_LEN]);
void ba_gate_trace_close(ba_gate_trace *t);

/* Rows of the prompts that an earlier session finished, and n_done; those prompts come first in the list then. */
int ba_gate_trace_read(ba_gate_trace *t, ba_gate_prompts *all, ba_gate_results *r, char err[BA_ERR_LEN]);

/* Appends the rows of a prompt, which the caller commits. row: [n_mode]; inside: [1 + n_mode], full attention first, or
 * NULL. */
int ba_gate_trace_add(ba_gate_trace *t, const ba_gate_prompt *p, const ba_gate_row *row, size_t n_mode,
                      const ba_probe *inside, char err[BA_ERR_LEN]);

/* Writes the summaries. complete: the finished trace replaces an older file of that name. */
int ba_gate_trace_finish(ba_gate_trace *t, const ba_gate_results *r, bool complete, char err[BA_ERR_LEN]);

/* Summaries from the rows of a trace whose table `modes` is empty yet, as of merged shards; no limits are applied. */
int ba_gate_trace_summarise(ba_trace *t, const ba_margins *margins, char err[BA_ERR_LEN]);

#endif
