#include "claims.h"

#include <math.h>
#include <string.h>

void ba_report_interval(FILE *out, double x, double low, double high, double scale, int digits) {
    if (isnan(x)) {
        fputs("-", out);
    } else if (isnan(low)) {
        fprintf(out, "%.*f", digits, scale * x);
    } else {
        fprintf(out, "%.*f [%.*f, %.*f]", digits, scale * x, digits, scale * low, digits, scale * high);
    }
}

double ba_report_paper_mean(const ba_report_table *t, const ba_report_row *r) {
    double sum = 0;
    for (size_t i = 0; i < t->n_task; i++) {
        sum += r->paper[i];
    }
    return sum / (double)t->n_task;
}

/* "a quarter", for a share of 0.26. */
static const char *fraction(double share, char out[48]) {
    static const struct {
        double share;
        const char *name;
    } known[] = {{0.1, "a tenth"}, {0.2, "a fifth"}, {0.25, "a quarter"}, {1.0 / 3, "a third"}, {0.5, "half"}};
    size_t nearest = 0;
    for (size_t i = 1; i < sizeof known / sizeof *known; i++) {
        nearest = fabs(log(share / known[i].share)) < fabs(log(share / known[nearest].share)) ? i : nearest;
    }
    if (share < 0.07) {
        snprintf(out, 48, "less than a tenth");
    } else if (share > 1) {
        snprintf(out, 48, "%.1f times", share);
    } else {
        snprintf(out, 48, "%s", known[nearest].name);
    }
    return out;
}

/* Whether a claim holds here, from the interval of a - b; paper: its figure for a - b over the same tasks, or NaN. Of a difference
 * in the paper's direction it also says if it is less than half or more than twice as large. */
static void judge(const ba_report_claim *c, ba_estimate here, double paper, double margin, bool more_is_better,
                  char out[96]) {
    enum { TEXT = 96 };
    char size[48];
    const ba_equivalence is = ba_equivalence_of(here.low, here.high, margin, more_is_better);
    const bool above = more_is_better ? here.low > 0 : here.high < 0;
    const double share = here.mean / paper;
    if (isnan(here.mean)) {
        snprintf(out, TEXT, "not measured");
    } else if (!strcmp(c->expect, "equal")) {
        snprintf(out, TEXT,
                 is == BA_EQUAL   ? "agrees: equal"
                 : is == BA_WORSE ? "**disagrees: %s**"
                                  : "%s",
                 ba_equivalence_name(is));
    } else if (above && share > 0 && (share < 0.5 || share > 2)) {
        snprintf(out, TEXT, "same sign, %s %s", fraction(share, size), share > 1 ? "the size" : "of the size");
    } else if (above) {
        snprintf(out, TEXT, "agrees");
    } else {
        snprintf(out, TEXT, is == BA_UNDECIDED ? "undecided" : "**disagrees: %s**", ba_equivalence_name(is));
    }
}

static void print_means(FILE *out, const ba_report_spec *spec, size_t table, const ba_eval_rows *rows,
                        const ba_margins *margins) {
    const ba_report_table *t = &spec->table[table];
    fputs("\n| claim: mean over tasks | paper, points | here, points | | here, NLL a token | |\n"
          "|---|---:|---:|---|---:|---|\n",
          out);
    for (size_t i = 0; i < spec->n_claim; i++) {
        const ba_report_claim *c = &spec->claim[i];
        if (c->table != table) {
            continue;
        }
        char verdict[96];
        const ba_report_row *a = ba_report_row_by_id(t, c->a), *b = ba_report_row_by_id(t, c->b);
        ba_estimate score = ba_estimate_of(rows, BA_OF_SCORE, a->key, &b->key, t->task, t->n_task),
                    nll = ba_estimate_of(rows, BA_OF_NLL, a->key, &b->key, t->task, t->n_task);
        double paper = ba_report_paper_mean(t, a) - ba_report_paper_mean(t, b);
        fprintf(out, "| %s | ", c->text);
        fprintf(out, isnan(paper) ? "- | " : "%+.1f | ", paper);
        ba_report_interval(out, score.mean, score.low, score.high, 100, 1);
        judge(c, score, score.n_task == t->n_task ? paper / 100 : NAN, margins->score, true, verdict);
        fprintf(out, " | %s | ", verdict);
        ba_report_interval(out, nll.mean, nll.low, nll.high, 1, 3);
        judge(c, nll, NAN, margins->nll, false, verdict);
        fprintf(out, " | %s |\n", verdict);
    }
}

void ba_report_main_claims(FILE *out, const ba_report_spec *spec, const ba_eval_rows *rows, const ba_margins *margins) {
    fputs("\n| the paper claims | paper, points | here, points | verdict |\n|---|---:|---:|---|\n", out);
    for (size_t i = 0; i < spec->n_claim; i++) {
        const ba_report_claim *c = &spec->claim[i];
        const ba_report_table *t = &spec->table[c->table];
        if (!c->main) {
            continue;
        }
        char verdict[96];
        const ba_report_row *a = ba_report_row_by_id(t, c->a), *b = ba_report_row_by_id(t, c->b);
        ba_estimate score = ba_estimate_of(rows, BA_OF_SCORE, a->key, &b->key, t->task, t->n_task);
        double paper = ba_report_paper_mean(t, a) - ba_report_paper_mean(t, b);
        judge(c, score, score.n_task == t->n_task ? paper / 100 : NAN, margins->score, true, verdict);
        fprintf(out, "| %s | ", c->text);
        fprintf(out, isnan(paper) ? "- | " : "%+.1f | ", paper);
        ba_report_interval(out, score.mean, score.low, score.high, 100, 1);
        fprintf(out, " | %s |\n", verdict);
    }
}

static int print_by_task(FILE *out, const ba_report_spec *spec, size_t table, const ba_eval_rows *rows) {
    const ba_report_table *t = &spec->table[table];
    fputs("\n| claim: points by task |", out);
    for (size_t k = 0; k < t->n_task; k++) {
        fprintf(out, " %s |", t->column[k]);
    }
    fputs("\n|---|", out);
    for (size_t k = 0; k < t->n_task; k++) {
        fputs("---:|", out);
    }
    fputs("\n", out);
    for (size_t i = 0; i < spec->n_claim; i++) {
        const ba_report_claim *c = &spec->claim[i];
        if (c->table != table) {
            continue;
        }
        const ba_row_key a = ba_report_row_by_id(t, c->a)->key, b = ba_report_row_by_id(t, c->b)->key;
        fprintf(out, "| %s |", c->text);
        for (size_t k = 0; k < t->n_task; k++) {
            ba_eval_contrast d;
            if (ba_eval_contrast_of(rows, a.label, a.mode, b.label, b.mode, t->task[k], &d)) {
                return -1;
            }
            fputs(" ", out);
            ba_report_interval(out, d.score.mean, d.score.low, d.score.high, 100, 1);
            if (!isnan(d.p) && !d.graded) {
                fprintf(out, d.p < 0.001 ? ", p < 0.001" : ", p %.3f", d.p);
            }
            fprintf(out, d.n ? ", n %zu |" : " |", d.n);
        }
        fputs("\n", out);
    }
    return 0;
}

int ba_report_claims(FILE *out, const ba_report_spec *spec, size_t table, const ba_eval_rows *rows,
                     const ba_margins *margins) {
    bool any = false;
    for (size_t i = 0; i < spec->n_claim; i++) {
        any = any || spec->claim[i].table == table;
    }
    if (!any) {
        return 0;
    }
    fprintf(out,
            "\n## What agrees with the paper\n\nEach claim is the paper's, or that of the work in brackets, or a "
            "question asked here; differences are paired, on all items that "
            "both have (n), with intervals of 95 %%; p: McNemar's, exact, where scores are 0 or 1. *agrees*: the whole "
            "interval is on the paper's side of zero (a claim of equality: within %g points or %g nats of it); *same "
            "sign*: it is, but the difference is less than half or more than twice the paper's; "
            "*undecided*: these items cannot tell.\n",
            100 * margins->score, margins->nll);
    print_means(out, spec, table, rows, margins);
    return print_by_task(out, spec, table, rows);
}
