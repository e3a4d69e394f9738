#include "report.h"

#include "claims.h"
#include "common_items.h"
#include "sim/modes/modes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The summary of a row on a task, or NULL: it was not run. */
static const ba_eval_summary *cell(const ba_eval_summary *s, size_t n, ba_row_key key, const char *task) {
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(s[i].label, key.label) && !strcmp(s[i].mode, key.mode) && !strcmp(s[i].task, task)) {
            return &s[i];
        }
    }
    return NULL;
}

/* The row with the best score on a task; NULL: none has one. */
static const ba_eval_summary *best_of(const ba_eval_summary *s, size_t n, const ba_report_table *t, const char *task) {
    const ba_eval_summary *best = NULL;
    for (size_t r = 0; r < t->n_row; r++) {
        const ba_eval_summary *c = cell(s, n, t->row[r].key, task);
        best = c && !isnan(c->score) && (!best || c->score > best->score) ? c : best;
    }
    return best;
}

/* Rows that the paper has are always shown, others if they were run. */
static bool is_shown(const ba_report_table *t, const ba_report_row *r, const ba_eval_summary *s, size_t n) {
    bool shown = r->has_paper;
    for (size_t i = 0; i < t->n_task; i++) {
        shown = shown || cell(s, n, r->key, t->task[i]);
    }
    return shown;
}

/* Score with its interval. Bold: the best of its column; "=": equal to the best within the margin, on the same items; "?":
 * these items cannot tell. */
static int print_score(FILE *out, const ba_eval_rows *rows, const ba_margins *margins, const ba_eval_summary *c,
                       const ba_eval_summary *best) {
    if (!c || isnan(c->score)) {
        fputs(" - |", out);
        return 0;
    }
    const char *mark = " |";
    if (c != best) {
        ba_eval_contrast d;
        if (ba_eval_contrast_of(rows, c->label, c->mode, best->label, best->mode, c->task, &d)) {
            return -1;
        }
        const ba_equivalence is = ba_eval_score_verdict(&d, margins);
        mark = is == BA_EQUAL ? " = |" : is == BA_UNDECIDED ? " ? |" : " |";
    }
    fputs(c == best ? " **" : " ", out);
    ba_report_interval(out, c->score, c->score_low, c->score_high, 100, 1);
    fputs(c == best ? "** |" : mark, out);
    return 0;
}

static void print_head(FILE *out, const char *first, const ba_report_table *t, const char *last) {
    fprintf(out, "\n| %s |", first);
    for (size_t i = 0; i < t->n_task; i++) {
        fprintf(out, " %s |", t->column[i]);
    }
    fprintf(out, " %s |\n|---|", last);
    for (size_t i = 0; i <= t->n_task; i++) {
        fputs("---:|", out);
    }
    fputs("\n", out);
}

/* The paper's figures, if the table has any. */
static void print_paper(FILE *out, const ba_report_table *t) {
    bool any = false;
    for (size_t r = 0; r < t->n_row; r++) {
        any = any || t->row[r].has_paper;
    }
    if (!any) {
        return;
    }
    print_head(out, "paper", t, "mean");
    for (size_t r = 0; r < t->n_row; r++) {
        if (!t->row[r].has_paper) {
            continue;
        }
        double sum = 0;
        fprintf(out, "| %s |", t->row[r].name);
        for (size_t i = 0; i < t->n_task; i++) {
            sum += t->row[r].paper[i];
            fprintf(out, isnan(t->row[r].paper[i]) ? " - |" : " %.1f |", t->row[r].paper[i]);
        }
        fprintf(out, isnan(sum) ? " - |\n" : " %.1f |\n", sum / (double)t->n_task);
    }
}

/* The number of items in each task's column, which all rows share. */
static void print_items(FILE *out, const ba_report_table *t, const ba_eval_summary *s, size_t n) {
    fputs("| *items* |", out);
    for (size_t i = 0; i < t->n_task; i++) {
        const ba_eval_summary *c = NULL;
        for (size_t r = 0; r < t->n_row && !c; r++) {
            c = cell(s, n, t->row[r].key, t->task[i]);
        }
        fprintf(out, c ? " %llu |" : " - |", c ? (unsigned long long)c->n : 0);
    }
    fputs(" |\n", out);
}

/* "(3 of 4 tasks)" after a mean that lacks some. */
static void end_mean(FILE *out, const ba_report_table *t, ba_estimate mean) {
    if (mean.n_task && mean.n_task < t->n_task) {
        fprintf(out, " (%zu of %zu tasks)", mean.n_task, t->n_task);
    }
    fputs(" |\n", out);
}

static int print_scores(FILE *out, const ba_report_table *t, const ba_eval_rows *rows, const ba_margins *margins,
                        const ba_eval_summary *s, size_t n) {
    print_head(out, "here: score %", t, "mean over tasks");
    print_items(out, t, s, n);
    for (size_t r = 0; r < t->n_row; r++) {
        if (!is_shown(t, &t->row[r], s, n)) {
            continue;
        }
        fprintf(out, "| %s |", t->row[r].name);
        for (size_t i = 0; i < t->n_task; i++) {
            const ba_eval_summary *best = best_of(s, n, t, t->task[i]);
            if (print_score(out, rows, margins, cell(s, n, t->row[r].key, t->task[i]), best)) {
                return -1;
            }
        }
        ba_estimate mean = ba_estimate_of(rows, BA_OF_SCORE, t->row[r].key, NULL, t->task, t->n_task);
        fputs(" ", out);
        ba_report_interval(out, mean.mean, mean.low, mean.high, 100, 1);
        end_mean(out, t, mean);
    }
    return 0;
}

static void print_likelihood(FILE *out, const ba_report_table *t, const ba_eval_rows *rows, const ba_eval_summary *s,
                             size_t n) {
    print_head(out, "here: NLL of the gold answer, nats a token", t, "mean over tasks");
    for (size_t r = 0; r < t->n_row; r++) {
        if (!is_shown(t, &t->row[r], s, n)) {
            continue;
        }
        fprintf(out, "| %s |", t->row[r].name);
        for (size_t i = 0; i < t->n_task; i++) {
            const ba_eval_summary *c = cell(s, n, t->row[r].key, t->task[i]);
            fputs(" ", out);
            ba_report_interval(out, c ? c->nll : NAN, c ? c->nll_low : NAN, c ? c->nll_high : NAN, 1, 3);
            fputs(" |", out);
        }
        ba_estimate mean = ba_estimate_of(rows, BA_OF_NLL, t->row[r].key, NULL, t->task, t->n_task);
        fputs(" ", out);
        ba_report_interval(out, mean.mean, mean.low, mean.high, 1, 3);
        end_mean(out, t, mean);
    }
}

/* Nominal budget, as the mode is spelled, and the charged one; traces from before the mode had one say nothing. */
static void print_budget(FILE *out, const char *before, const ba_eval_rows *rows, const ba_report_table *t,
                         ba_row_key key) {
    char budget[24];
    ba_mode_budget(key.mode, budget, sizeof budget);
    fprintf(out, "%s %s | ", before, *budget ? budget : "-");
    ba_report_interval(out, ba_estimate_of(rows, BA_OF_CHARGED, key, NULL, t->task, t->n_task).mean, NAN, NAN, 1, 3);
    fputs(" |\n", out);
}

/* Items, the answerable subset, and what a first token costs, over all tasks of the table. */
static void print_cost(FILE *out, const ba_report_table *t, const ba_eval_rows *rows, const ba_eval_summary *s,
                       size_t n, const char *remarks) {
    fputs("\n| here: cost | items | left out | on answerable items % | TTFT warm, s | TTFT cold, s | FLOPs | of full | "
          "budget "
          "| charged |\n|---|---:|---:|---:|---:|---:|---:|---:|---|---:|\n",
          out);
    for (size_t r = 0; r < t->n_row; r++) {
        if (!is_shown(t, &t->row[r], s, n)) {
            continue;
        }
        unsigned long long items = 0, left = 0;
        double hits = 0, answerable = 0, warm = 0, cold = 0, tasks = 0;
        for (size_t i = 0; i < t->n_task; i++) {
            const ba_eval_summary *c = cell(s, n, t->row[r].key, t->task[i]);
            if (c && c->n) {
                items += c->n;
                left += c->n_long + c->n_no_answer;
                hits += c->n_answerable ? c->answerable * (double)c->n_answerable : 0;
                answerable += (double)c->n_answerable;
                warm += c->ttft_s;
                cold += c->ttft_cold_s;
                tasks++;
            }
        }
        const ba_row_key key = t->row[r].key, full = {key.label, "full"};
        double flops = ba_estimate_of(rows, BA_OF_FLOPS, key, NULL, t->task, t->n_task).mean,
               of_full = flops / ba_estimate_of(rows, BA_OF_FLOPS, full, NULL, t->task, t->n_task).mean;
        fprintf(out, "| %s | %llu | %llu | ", t->row[r].name, items, left);
        ba_report_interval(out, answerable > 0 ? hits / answerable : NAN, NAN, NAN, 100, 1);
        fputs(" | ", out);
        ba_report_interval(out, tasks > 0 ? warm / tasks : NAN, NAN, NAN, 1, 3);
        fputs(" | ", out);
        ba_report_interval(out, tasks > 0 ? cold / tasks : NAN, NAN, NAN, 1, 3);
        fprintf(out, isnan(flops) ? " | - | " : " | %.2e | ", flops);
        ba_report_interval(out, of_full, NAN, NAN, 100, 1);
        print_budget(out, isnan(of_full) ? " |" : " % |", rows, t, key);
    }
    fprintf(out, *remarks ? "\nRemark of the traces: %s.\n" : "%s", remarks);
}

static void print_legend(FILE *out, const ba_margins *margins) {
    fprintf(out,
            "\nScores in per cent with intervals of 95 %% (Wilson; Student's t for graded scores, NLL and means over "
            "tasks; Bonett and Price for paired changes of scores). **Bold**: best of its column; =: equal to it, the "
            "whole interval of the paired difference is within %g points; ?: these items cannot tell. -: not run. All "
            "rows of a table rest on the same items. Answerable: items that full attention of the same model gets "
            "right.\n",
            100 * margins->score);
}

/* Tasks on which the model only guesses, with the score that says so. */
static void print_limits(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows) {
    fputs("\n## What a model of this size cannot say\n\n", out);
    for (size_t i = 0; i < spec->n_limit; i++) {
        const ba_report_limit *l = &spec->limit[i];
        const ba_report_row *r = ba_report_row_by_id(&spec->table[l->table], l->row);
        ba_estimate e = ba_estimate_of(rows, BA_OF_SCORE, r->key, NULL, &l->task, 1);
        fprintf(out, "- %s: ", l->task);
        ba_report_interval(out, e.mean, e.low, e.high, 100, 1);
        fprintf(out, " %% of %zu items right (%s), guessing gives %g %%. %s\n", e.n_item, r->name, l->chance, l->text);
    }
}

int ba_report_first_page(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows, const ba_margins *margins) {
    fprintf(out, "# %s\n\n%s\n\n", spec->title, spec->about);
    for (size_t i = 0; i < spec->n_summary; i++) {
        fprintf(out, "- %s\n", spec->summary[i]);
    }
    fputs("\n## What the paper claims, and what was found here\n\nDifferences of accuracy in points, means over the "
          "tasks of a "
          "table; here with intervals of 95 %, on the same items.\n",
          out);
    ba_report_main_claims(out, spec, rows, margins);
    print_limits(out, spec, rows);
    fprintf(out,
            "\n## How sure is that\n\n- *Equal* means that the whole interval is within %g points of no difference; "
            "*undecided* that these items cannot tell, which is not the same.\n",
            100 * margins->score);
    for (size_t i = 0; i < spec->n_sure; i++) {
        fprintf(out, "- %s\n", spec->sure[i]);
    }
    for (size_t i = 0; i < spec->n_figure; i++) {
        fprintf(out, "%s%s\n", i ? "" : "\n## Figures\n\n", spec->figure[i]);
    }
    fputs("\n## Pages\n\n", out);
    for (size_t i = 0; i < spec->n_table; i++) {
        fprintf(out, "- [%s](%s)\n", spec->table[i].name, spec->table[i].page);
    }
    if (spec->n_gap) {
        fputs("- [What share of the gap block fine-tuning closes](" BA_REPORT_GAPS_PAGE ")\n", out);
    }
    fputs("- [What was run](" BA_REPORT_RUNS_PAGE ")\n", out);
    return ferror(out) ? -1 : 0;
}

int ba_report_data_make(const ba_report_spec *spec, const ba_eval_rows *rows, const ba_margins *margins,
                        ba_report_data *out) {
    *out = (ba_report_data){.rows = rows, .margins = margins};
    if (ba_common_items(spec, rows, &out->common)) {
        return -1;
    }
    out->summary = ba_eval_summarise(&out->common, margins, &out->n);
    if (!out->summary) {
        ba_report_data_free(out);
        return -1;
    }
    return 0;
}

void ba_report_data_free(ba_report_data *d) {
    free(d->summary);
    ba_eval_rows_forget(&d->common);
    *d = (ba_report_data){0};
}

int ba_report_table_page(FILE *out, const ba_report_spec *spec, size_t table, const ba_report_data *d,
                         const char *remarks) {
    const ba_report_table *t = &spec->table[table];
    fprintf(out, "# %s\n\n%s\n", t->name, t->about);
    print_legend(out, d->margins);
    print_paper(out, t);
    if (print_scores(out, t, &d->common, d->margins, d->summary, d->n)) {
        return -1;
    }
    print_likelihood(out, t, &d->common, d->summary, d->n);
    print_cost(out, t, &d->common, d->summary, d->n, remarks);
    return ba_report_claims(out, spec, table, d->rows, d->margins);
}
