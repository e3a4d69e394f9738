/* What the gate found: rows for people, for programs and for the trace. */
#ifndef BA_GATE_REPORT_H
#define BA_GATE_REPORT_H

#include "gate.h"
#include "gate_prompts.h"
#include "insight.h"
#include "rows.h"

/* All prompts under one mode: means unless the name says otherwise; NaN where there is nothing to say. */
typedef struct ba_gate_summary {
    char mode[64];
    uint64_t n;
    char cached[8], batch[8], folded[8], merge[8], changed[8], count[8]; /* verdicts on the identities: ok, FAIL, - */
    double merge_max_abs, max_abs_median, max_abs, kl, top1, top5, diverges;
    double nll_full, nll, nll_increase; /* per answer token */
    double flops_fraction;
    char over[64]; /* limits that it broke */
    char ok[8];
} ba_gate_summary;

/* Limits on the means over all prompts; NaN: none. */
typedef struct ba_gate_limits {
    double max_kl, min_agreement, max_nll_increase;
} ba_gate_limits;

/* Everything about n_mode modes on n_prompt prompts. */
typedef struct ba_gate_results {
    size_t n_mode, n_prompt, n_greedy, n_insight;
    const ba_gate_prompt *prompt; /* [n_prompt], borrowed */
    ba_reference *ref;            /* [n_prompt] */
    ba_gate_row *row;             /* [n_mode, n_prompt] */
    ba_gate_summary *summary;     /* [n_mode] */
    ba_insight *full;             /* [n_insight] of full attention, on the first prompts */
    ba_insight *insight;          /* [n_mode, n_insight] */
} ba_gate_results;

/* 0, or -1: out of memory. */
int ba_gate_results_new(ba_gate_results *r, size_t n_mode, size_t n_prompt, size_t n_insight);
void ba_gate_results_free(ba_gate_results *r);

/* Fills the summaries; true if every identity held and no limit was broken. */
bool ba_gate_summarise(ba_gate_results *r, const ba_gate_limits *limits);

void ba_gate_print_table(const ba_gate_results *r);
void ba_gate_print_rows(const ba_gate_results *r, ba_rows_format format);

/* Tables "modes", "prompts", "layers", "mass" and "choices". 0, or what the trace returned. */
int ba_gate_write(const ba_gate_results *r, ba_trace *t, char err[BA_ERR_LEN]);

#endif
