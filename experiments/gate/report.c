#include "report.h"

#include "experiments/measure/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const ba_column ba_gate_summary_columns[] = {BA_COLUMN(ba_gate_summary, mode, BA_COLUMN_TEXT, ""),
                                             BA_COLUMN(ba_gate_summary, n, BA_COLUMN_U64, ""),
                                             BA_COLUMN(ba_gate_summary, cached, BA_COLUMN_TEXT, ""),
                                             BA_COLUMN(ba_gate_summary, batch, BA_COLUMN_TEXT, ""),
                                             BA_COLUMN(ba_gate_summary, folded, BA_COLUMN_TEXT, ""),
                                             BA_COLUMN(ba_gate_summary, merge, BA_COLUMN_TEXT, ""),
                                             BA_COLUMN(ba_gate_summary, changed, BA_COLUMN_TEXT, ""),
                                             BA_COLUMN(ba_gate_summary, count, BA_COLUMN_TEXT, ""),
                                             BA_COLUMN(ba_gate_summary, merge_max_abs, BA_COLUMN_F64, ""),
                                             BA_COLUMN(ba_gate_summary, max_abs_median, BA_COLUMN_F64, ""),
                                             BA_COLUMN(ba_gate_summary, max_abs, BA_COLUMN_F64, ""),
                                             BA_COLUMN(ba_gate_summary, kl, BA_COLUMN_F64, "nat"),
                                             BA_COLUMN(ba_gate_summary, top1, BA_COLUMN_F64, ""),
                                             BA_COLUMN(ba_gate_summary, top5, BA_COLUMN_F64, ""),
                                             BA_COLUMN(ba_gate_summary, diverges, BA_COLUMN_F64, "token"),
                                             BA_COLUMN(ba_gate_summary, nll_full, BA_COLUMN_F64, "nat/token"),
                                             BA_COLUMN(ba_gate_summary, nll, BA_COLUMN_F64, "nat/token"),
                                             BA_COLUMN(ba_gate_summary, nll_increase, BA_COLUMN_F64, "nat/token"),
                                             BA_COLUMN(ba_gate_summary, flops_fraction, BA_COLUMN_F64, ""),
                                             BA_COLUMN(ba_gate_summary, over, BA_COLUMN_TEXT, ""),
                                             BA_COLUMN(ba_gate_summary, ok, BA_COLUMN_TEXT, ""),
                                             BA_COLUMNS_END};

/* Verdict on an identity over n prompts; rows of one mode are `step` apart. */
static void verdict(char out[8], const ba_gate_row *row, size_t n, size_t step, ba_identity k) {
    size_t held = 0, broken = 0;
    for (size_t i = 0; i < n; i++) {
        held += row[i * step].held[k] == BA_HELD;
        broken += row[i * step].held[k] == BA_BROKEN;
    }
    snprintf(out, 8, "%s", broken ? "FAIL" : held ? "ok" : "-");
}

static ba_gate_summary summarise(const ba_gate_row *first, size_t n, size_t step) {
    ba_gate_summary s = {.n = n, .merge_max_abs = NAN};
    double *value = malloc(n * sizeof *value);
    size_t tokens = 0;
    double nll = 0, nll_full = 0;
    snprintf(s.mode, sizeof s.mode, "%s", first->mode);
    for (size_t i = 0; i < n; i++) {
        const ba_gate_row *row = &first[i * step];
        s.kl += row->far.kl / (double)n;
        s.top1 += row->far.top1 / (double)n;
        s.top5 += row->far.top5 / (double)n;
        s.diverges += (double)row->diverges / (double)n;
        s.flops_fraction += (double)row->flops / (double)row->flops_full / (double)n;
        s.merge_max_abs = fmax(s.merge_max_abs, row->merge_max_abs);
        s.max_abs = fmax(s.max_abs, row->far.max_abs);
        if (value) {
            value[i] = row->far.max_abs;
        }
        if (row->n_answer) {
            tokens += row->n_answer;
            nll += row->nll;
            nll_full += row->nll_full;
        }
    }
    verdict(s.cached, first, n, step, BA_ID_CACHED);
    verdict(s.batch, first, n, step, BA_ID_BATCH);
    verdict(s.folded, first, n, step, BA_ID_FOLDED);
    verdict(s.merge, first, n, step, BA_ID_MERGE);
    verdict(s.changed, first, n, step, BA_ID_SWITCH);
    verdict(s.count, first, n, step, BA_ID_COUNT);
    s.max_abs_median = value ? ba_stats_of(value, n).median : NAN;
    free(value);
    s.nll = tokens ? nll / (double)tokens : NAN;
    s.nll_full = tokens ? nll_full / (double)tokens : NAN;
    s.nll_increase = s.nll - s.nll_full;
    return s;
}

/* Holds a mode against the identities and the user's limits. NaN and Inf in logits make kl infinite. */
static bool judge(ba_gate_summary *s, const ba_gate_limits *limit) {
    const char *identity[] = {s->cached, s->batch, s->folded, s->merge, s->changed, s->count};
    bool broken = false;
    for (size_t i = 0; i < sizeof identity / sizeof *identity; i++) {
        broken = broken || !strcmp(identity[i], "FAIL");
    }
    snprintf(s->over, sizeof s->over, "%s%s%s%s", isfinite(s->kl) ? "" : " NaN-or-Inf",
             s->kl > limit->max_kl ? " max-kl" : "", s->top1 < limit->min_agreement ? " min-agreement" : "",
             s->nll_increase > limit->max_nll_increase ? " max-nll-increase" : "");
    bool ok = !broken && !s->over[0];
    snprintf(s->ok, sizeof s->ok, "%s", ok ? "ok" : "FAIL");
    return ok;
}

int ba_gate_results_new(ba_gate_results *r, size_t n_mode, size_t n_prompt) {
    *r = (ba_gate_results){.n_mode = n_mode, .n_prompt = n_prompt};
    r->row = calloc(n_mode * n_prompt, sizeof *r->row);
    r->summary = calloc(n_mode, sizeof *r->summary);
    return r->row && r->summary ? 0 : -1;
}

void ba_gate_results_free(ba_gate_results *r) {
    free(r->row);
    free(r->summary);
    *r = (ba_gate_results){0};
}

bool ba_gate_summarise(ba_gate_results *r, const ba_gate_limits *limits) {
    bool ok = true;
    for (size_t m = 0; m < r->n_mode; m++) {
        r->summary[m] = summarise(r->row + m, r->n_done, r->n_mode);
        ok = judge(&r->summary[m], limits) && ok;
    }
    return ok;
}

void ba_gate_print_table(const ba_gate_results *r) {
    printf("%zu prompt%s; distances are those of the next token's logits from full attention's\n\n", r->n_done,
           r->n_done == 1 ? "" : "s");
    printf("%-26s %6s %6s %6s %6s %6s %6s %8s %8s %8s %6s %6s %6s %8s %7s\n", "mode", "cached", "batch", "folded",
           "merge", "switch", "count", "|d| med", "|d| max", "KL", "top-1", "top-5", "leaves", "dNLL/tok", "FLOPs");
    for (size_t i = 0; i < r->n_mode; i++) {
        const ba_gate_summary *s = &r->summary[i];
        char nll[16] = "-";
        if (!isnan(s->nll_increase)) {
            snprintf(nll, sizeof nll, "%+.4f", s->nll_increase);
        }
        printf("%-26s %6s %6s %6s %6s %6s %6s %8.1e %8.1e %8.1e %5.0f%% %5.0f%% %6.1f %8s %6.1f%%%s%s\n", s->mode,
               s->cached, s->batch, s->folded, s->merge, s->changed, s->count, s->max_abs_median, s->max_abs, s->kl,
               100 * s->top1, 100 * s->top5, s->diverges, nll, 100 * s->flops_fraction, s->over[0] ? "  over:" : "",
               s->over);
    }
    printf(
        "\ncached, batch, folded, switch: equal to the bit; merge: rotated keys, max |dlogit| <= %g, in bf16 twice its "
        "noise; count: FLOPs as"
        " computed ahead\nleaves: greedy token (of %zu) at which the text leaves full attention's; dNLL: gold answer,"
        " nats a token; FLOPs: warm, of full's\n",
        BA_MERGE_LIMIT, r->n_greedy);
}

void ba_gate_print_rows(const ba_gate_results *r, ba_rows_format format) {
    ba_rows_begin(stdout, format, ba_gate_summary_columns);
    for (size_t i = 0; i < r->n_mode; i++) {
        ba_rows_print(stdout, format, ba_gate_summary_columns, &r->summary[i], i == 0);
    }
    ba_rows_end(stdout, format);
}
