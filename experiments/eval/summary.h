/* A summary of rows: one line for each model, task and mode, with its uncertainty, compared with full attention. */
#ifndef BA_EVAL_SUMMARY_H
#define BA_EVAL_SUMMARY_H

#include "experiments/measure/intervals.h"
#include "rows.h"

/* NaN: nothing to say. Intervals are of 95 %. "full" is the same model's on the same items. */
typedef struct ba_eval_summary {
    char label[64], task[64], mode[64], metric[32];
    uint64_t n, n_long, n_no_answer;
    double score, score_low, score_high; /* Wilson if scores are 0 or 1, else Student's t */
    double em, f1;
    double nll, nll_low, nll_high; /* nats a token of the gold answers, over all tokens; Student's t over items */
    uint64_t n_answerable;         /* items that full gets right (score of 0.5 or more) */
    double answerable;             /* score on them */
    double answerable_low, answerable_high;
    double score_change, score_change_low, score_change_high; /* from full, paired */
    double p;                                                 /* McNemar's, exact */
    double nll_change, nll_change_low, nll_change_high;
    char verdict[12], nll_verdict[12]; /* of the changes: "equal", "worse", "better", "undecided"; "": nothing to say */
    double ttft_s, ttft_cold_s;        /* medians */
    double flops, flops_fraction;      /* mean of a warm first token; of full's */
    char budget[24];                   /* nominal, as the mode is spelled; "": it has none */
    double charged;                    /* ba_cost.charged, mean */
} ba_eval_summary;

extern const ba_column ba_eval_summary_columns[];

/* Summaries in the order in which their first rows come. malloc'ed; NULL: out of memory. */
ba_eval_summary *ba_eval_summarise(const ba_eval_rows *rows, const ba_margins *margins, size_t *n);

/* The rows of one summary's kind in `rows`, held against those of another on the same items (by task, index). */
typedef struct ba_eval_contrast {
    size_t n, only_a, only_b; /* items, and those that one alone has the better score on */
    bool graded;              /* scores are not all 0 or 1 */
    ba_mean score, nll;       /* changes; NLL in nats a token */
    double p;                 /* McNemar's, exact */
} ba_eval_contrast;
/* Whether the change is none (equal), to the worse or the better, or cannot be told. */
ba_equivalence ba_eval_score_verdict(const ba_eval_contrast *c, const ba_margins *m);
ba_equivalence ba_eval_nll_verdict(const ba_eval_contrast *c, const ba_margins *m);
/* a - b. 0, or -1: out of memory. */
int ba_eval_contrast_of(const ba_eval_rows *rows, const char *label_a, const char *mode_a, const char *label_b,
                        const char *mode_b, const char *task, ba_eval_contrast *out);

#endif
