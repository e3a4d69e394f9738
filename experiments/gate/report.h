/* Results of the gate: one summary per mode, as a table for people and as rows for programs. */
#ifndef BA_GATE_REPORT_H
#define BA_GATE_REPORT_H

#include "experiments/cli/rows.h"
#include "experiments/measure/intervals.h"
#include "gate.h"

/* All prompts in one mode: means unless the name says otherwise; NaN where there is no data. _low and _high: interval of
 * 95 % over prompts (NaN with one prompt; of top1 Wilson's). */
typedef struct ba_gate_summary {
    char mode[64];
    uint64_t n;
    char cached[8], batch[8], folded[8], merge[8], changed[8], count[8]; /* verdicts on the identities: ok, FAIL, - */
    double merge_max_abs, max_abs_median, max_abs;
    double kl, kl_low, kl_high, noise_kl;
    double top1, top1_low, top1_high, top5, top5_low, top5_high, diverges;
    double nll_full, nll, nll_increase, nll_increase_low, nll_increase_high; /* per answer token */
    char nll_verdict[12]; /* "equal", "worse", "better", "undecided"; "": no answers, or full itself */
    double flops_fraction;
    char budget[24]; /* nominal, as the mode is spelled: "r=0.2"; "": it has none */
    double charged;  /* ba_cost.charged */
    char reuse[16];  /* of all prompts alike, see ba_reuse_of */
    char over[64];   /* user limits exceeded */
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
    double *room;             /* scratch of the summaries */
} ba_gate_results;

extern const ba_column ba_gate_summary_columns[];

/* 0, or -1: out of memory. */
int ba_gate_results_new(ba_gate_results *r, size_t n_mode, size_t n_prompt);
void ba_gate_results_free(ba_gate_results *r);

/* Fills the summaries from the finished prompts (at least one). true: every identity held and no limit was exceeded. */
bool ba_gate_summarise(ba_gate_results *r, const ba_gate_limits *limits, const ba_margins *margins);

/* For people; the margins are those that the verdicts were made with. */
void ba_gate_print_table(const ba_gate_results *r, const ba_margins *margins);
void ba_gate_print_rows(const ba_gate_results *r, ba_rows_format format);

#endif
