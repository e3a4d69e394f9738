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

/* The verdict on "a is better than b" or "a equals b", from the interval of a - b. */
static const char *verdict(const ba_report_claim *c, double low, double high, bool more_is_better) {
    if (isnan(low)) {
        return "not measured";
    }
    bool above = more_is_better ? low > 0 : high < 0, below = more_is_better ? high < 0 : low > 0;
    if (!strcmp(c->expect, "equal")) {
        return above ? "no: better" : below ? "no: worse" : "agrees: cannot be told apart";
    }
    return above ? "agrees" : below ? "**disagrees**" : "cannot be told";
}

static void print_means(FILE *out, const ba_report_spec *spec, size_t table, const ba_eval_rows *rows) {
    const ba_report_table *t = &spec->table[table];
    fputs("\n| claim: mean over tasks | paper, points | here, points | | here, NLL a token | |\n"
          "|---|---:|---:|---|---:|---|\n",
          out);
    for (size_t i = 0; i < spec->n_claim; i++) {
        const ba_report_claim *c = &spec->claim[i];
        if (c->table != table) {
            continue;
        }
        const ba_report_row *a = ba_report_row_by_id(t, c->a), *b = ba_report_row_by_id(t, c->b);
        ba_estimate score = ba_estimate_of(rows, BA_OF_SCORE, a->key, &b->key, t->task, t->n_task),
                    nll = ba_estimate_of(rows, BA_OF_NLL, a->key, &b->key, t->task, t->n_task);
        double paper = ba_report_paper_mean(t, a) - ba_report_paper_mean(t, b);
        fprintf(out, "| %s | ", c->text);
        fprintf(out, isnan(paper) ? "- | " : "%+.1f | ", paper);
        ba_report_interval(out, score.mean, score.low, score.high, 100, 1);
        fprintf(out, " | %s | ", verdict(c, score.low, score.high, true));
        ba_report_interval(out, nll.mean, nll.low, nll.high, 1, 3);
        fprintf(out, " | %s |\n", verdict(c, nll.low, nll.high, false));
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
            ba_report_interval(out, d.score_change, d.score.low, d.score.high, 100, 1);
            if (!isnan(d.p) && !d.graded) {
                fprintf(out, d.p < 0.001 ? ", p < 0.001" : ", p %.3f", d.p);
            }
            fprintf(out, d.n ? ", n %zu |" : " |", d.n);
        }
        fputs("\n", out);
    }
    return 0;
}

int ba_report_claims(FILE *out, const ba_report_spec *spec, size_t table, const ba_eval_rows *rows) {
    bool any = false;
    for (size_t i = 0; i < spec->n_claim; i++) {
        any = any || spec->claim[i].table == table;
    }
    if (!any) {
        return 0;
    }
    fputs("\n### What agrees with the paper\n\nEach claim is the paper's; differences are paired, on all items that "
          "both have (n), with "
          "intervals of 95 % (by task: bootstrap); p: McNemar's, exact, where scores are 0 or 1.\n",
          out);
    print_means(out, spec, table, rows);
    return print_by_task(out, spec, table, rows);
}
