/* Results of the gate: one summary per mode, as a table for people and as rows for programs. */
#ifndef BA_GATE_REPORT_H
#define BA_GATE_REPORT_H

#include "experiments/cli/rows.h"
#include "gate.h"

/* All prompts in one mode: means unless the name says otherwise; NaN where there is no data. */
typedef struct ba_gate_summary {
    char mode[64];
    uint64_t n;
    char cached[8], batch[8], folded[8], merge[8], changed[8], count[8]; /* verdicts on the identities: ok, FAIL, - */
    double merge_max_abs, max_abs_median, max_abs, kl, top1, top5, diverges;
    double nll_full, nll, nll_increase; /* per answer token */
    double flops_fraction;
    char over[64]; /* user limits exceeded */
    char ok[8];
} ba_gate_summary;

/* Limits on the means over all prompts; NaN: none. */
typedef struct ba_gate_limits {
    double max_kl, min_agreement, max_nll_increase;
} ba_gate_limits;

/* n_mode modes on n_prompt prompts, of which n_done are finished. */
typedef struct ba_gate_results {
    size_t n_mode, n_prompt, n_done, n_greedy;
    ba_gate_row *row;         /* [n_prompt, n_mode] */
    ba_gate_summary *summary; /* [n_mode] */
} ba_gate_results;

extern const ba_column ba_gate_summary_columns[];

/* 0, or -1: out of memory. */
int ba_gate_results_new(ba_gate_results *r, size_t n_mode, size_t n_prompt);
void ba_gate_results_free(ba_gate_results *r);

/* Fills the summaries from the finished prompts (at least one). true: every identity held and no limit was exceeded. */
bool ba_gate_summarise(ba_gate_results *r, const ba_gate_limits *limits);

void ba_gate_print_table(const ba_gate_results *r);
void ba_gate_print_rows(const ba_gate_results *r, ba_rows_format format);

#endif
