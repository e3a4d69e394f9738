#include "report.h"

#include "experiments/measure/costing.h"
#include "experiments/measure/stats.h"
#include "sim/modes/modes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY(member, type, unit) BA_COLUMN(ba_gate_summary, member, type, unit)

const ba_column ba_gate_summary_columns[] = {SUMMARY(mode, BA_COLUMN_TEXT, ""),
                                             SUMMARY(n, BA_COLUMN_U64, ""),
                                             SUMMARY(cached, BA_COLUMN_TEXT, ""),
                                             SUMMARY(batch, BA_COLUMN_TEXT, ""),
                                             SUMMARY(folded, BA_COLUMN_TEXT, ""),
                                             SUMMARY(merge, BA_COLUMN_TEXT, ""),
                                             BA_COLUMN_AS("switch", ba_gate_summary, changed, BA_COLUMN_TEXT, ""),
                                             SUMMARY(count, BA_COLUMN_TEXT, ""),
                                             SUMMARY(merge_max_abs, BA_COLUMN_F64, ""),
                                             SUMMARY(max_abs_median, BA_COLUMN_F64, ""),
                                             SUMMARY(max_abs, BA_COLUMN_F64, ""),
                                             SUMMARY(kl, BA_COLUMN_F64, "nat"),
                                             SUMMARY(kl_low, BA_COLUMN_F64, "nat"),
                                             SUMMARY(kl_high, BA_COLUMN_F64, "nat"),
                                             SUMMARY(noise_kl, BA_COLUMN_F64, "nat"),
                                             SUMMARY(top1, BA_COLUMN_F64, ""),
                                             SUMMARY(top1_low, BA_COLUMN_F64, ""),
                                             SUMMARY(top1_high, BA_COLUMN_F64, ""),
                                             SUMMARY(top5, BA_COLUMN_F64, ""),
                                             SUMMARY(top5_low, BA_COLUMN_F64, ""),
                                             SUMMARY(top5_high, BA_COLUMN_F64, ""),
                                             SUMMARY(diverges, BA_COLUMN_F64, "token"),
                                             SUMMARY(nll_full, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(nll, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(nll_increase, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(nll_increase_low, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(nll_increase_high, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(nll_verdict, BA_COLUMN_TEXT, ""),
                                             SUMMARY(flops_fraction, BA_COLUMN_F64, ""),
                                             SUMMARY(budget, BA_COLUMN_TEXT, ""),
                                             SUMMARY(charged, BA_COLUMN_F64, ""),
                                             SUMMARY(reuse, BA_COLUMN_TEXT, ""),
                                             SUMMARY(over, BA_COLUMN_TEXT, ""),
                                             SUMMARY(ok, BA_COLUMN_TEXT, ""),
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

/* Values of one mode over the prompts, [n] each. */
typedef struct values {
    double *kl, *noise, *top1, *top5, *max_abs, *diverges, *flops, *charged;
    double *nll, *nll_full, *nll_increase, *tokens; /* [answered] */
    size_t answered;
} values;

enum { VALUES = 12 };

static values collect(const ba_gate_row *first, size_t n, size_t step, double *room) {
    values v = {room,
                room + n,
                room + 2 * n,
                room + 3 * n,
                room + 4 * n,
                room + 5 * n,
                room + 6 * n,
                room + 7 * n,
                room + 8 * n,
                room + 9 * n,
                room + 10 * n,
                room + 11 * n,
                0};
    for (size_t i = 0; i < n; i++) {
        const ba_gate_row *row = &first[i * step];
        v.kl[i] = row->far.kl;
        v.noise[i] = row->noise_kl;
        v.top1[i] = row->far.top1;
        v.top5[i] = row->far.top5;
        v.max_abs[i] = row->far.max_abs;
        v.diverges[i] = (double)row->diverges;
        v.flops[i] = (double)row->flops / (double)row->flops_full;
        v.charged[i] = row->charged;
        if (row->n_answer) {
            v.nll[v.answered] = row->nll;
            v.nll_full[v.answered] = row->nll_full;
            v.nll_increase[v.answered] = row->nll - row->nll_full;
            v.tokens[v.answered++] = (double)row->n_answer;
        }
    }
    return v;
}

/* Means over the prompts, with their intervals. v is sorted in part on return. */
static void fill_means(ba_gate_summary *s, values *v, const ba_margins *margins) {
    const size_t n = s->n;
    ba_mean kl = ba_mean_within(ba_mean_of(v->kl, NULL, n), 0, HUGE_VAL), top1 = ba_mean_score(v->top1, n),
            top5 = ba_mean_score(v->top5, n), increase = ba_mean_of(v->nll_increase, v->tokens, v->answered);
    s->kl = kl.mean, s->kl_low = kl.low, s->kl_high = kl.high;
    s->noise_kl = ba_mean_of(v->noise, NULL, n).mean;
    s->top1 = top1.mean, s->top1_low = top1.low, s->top1_high = top1.high;
    s->top5 = top5.mean, s->top5_low = top5.low, s->top5_high = top5.high;
    s->diverges = ba_mean_of(v->diverges, NULL, n).mean;
    s->flops_fraction = ba_mean_of(v->flops, NULL, n).mean;
    s->charged = ba_mean_of(v->charged, NULL, n).mean;
    s->nll = ba_mean_of(v->nll, v->tokens, v->answered).mean;
    s->nll_full = ba_mean_of(v->nll_full, v->tokens, v->answered).mean;
    s->nll_increase = increase.mean, s->nll_increase_low = increase.low, s->nll_increase_high = increase.high;
    if (v->answered && strcmp(s->mode, "full") != 0) {
        snprintf(s->nll_verdict, sizeof s->nll_verdict, "%s",
                 ba_equivalence_name(ba_equivalence_of(increase.low, increase.high, margins->nll, false)));
    }
    ba_stats most = ba_stats_of(v->max_abs, n);
    s->max_abs_median = most.median;
    s->max_abs = v->max_abs[n - 1];
}

static ba_gate_summary summarise(const ba_gate_row *first, size_t n, size_t step, const ba_margins *margins,
                                 double *room) {
    ba_gate_summary s = {.n = n, .merge_max_abs = NAN};
    snprintf(s.mode, sizeof s.mode, "%s", first->mode);
    snprintf(s.reuse, sizeof s.reuse, "%s", first->reuse);
    ba_mode_budget(first->mode, s.budget, sizeof s.budget);
    for (size_t i = 0; i < n; i++) {
        const ba_gate_row *row = &first[i * step];
        s.merge_max_abs = fmax(s.merge_max_abs, row->merge_max_abs);
        if (strcmp(row->reuse, BA_REUSE_SET) == 0) { /* of a prompt of one passage it cannot be told */
            snprintf(s.reuse, sizeof s.reuse, "%s", row->reuse);
        }
    }
    values v = collect(first, n, step, room);
    fill_means(&s, &v, margins);
    verdict(s.cached, first, n, step, BA_ID_CACHED);
    verdict(s.batch, first, n, step, BA_ID_BATCH);
    verdict(s.folded, first, n, step, BA_ID_FOLDED);
    verdict(s.merge, first, n, step, BA_ID_MERGE);
    verdict(s.changed, first, n, step, BA_ID_SWITCH);
    verdict(s.count, first, n, step, BA_ID_COUNT);
    return s;
}

/* Checks a mode against the identities and the user's limits. NaN and Inf in logits make kl infinite. */
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
    r->room = calloc(VALUES * n_prompt + 1, sizeof *r->room);
    return r->row && r->summary && r->room ? 0 : -1;
}

void ba_gate_results_free(ba_gate_results *r) {
    free(r->row);
    free(r->summary);
    free(r->room);
    *r = (ba_gate_results){0};
}

bool ba_gate_summarise(ba_gate_results *r, const ba_gate_limits *limits, const ba_margins *margins) {
    bool ok = true;
    for (size_t m = 0; m < r->n_mode; m++) {
        r->summary[m] = summarise(r->row + m, r->n_done, r->n_mode, margins, r->room);
        ok = judge(&r->summary[m], limits) && ok;
    }
    return ok;
}

/* ---- for people ------------------------------------------------------------------------------------------------- */

enum { CELL = 48 };

static void show_mode(const ba_gate_summary *s, char out[CELL]) {
    snprintf(out, CELL, "%.40s%s", s->mode, strcmp(s->reuse, BA_REUSE_SET) == 0 ? " *" : "");
}

/* "ok", the names of those that broke, or "-": not asked. */
static void show_identities(const ba_gate_summary *s, char out[CELL]) {
    const char *held[] = {s->cached, s->batch, s->folded, s->merge, s->changed, s->count};
    size_t used = 0, asked = 0;
    for (size_t i = 0; i < BA_IDENTITIES; i++) {
        asked += strcmp(held[i], "-") != 0;
        if (strcmp(held[i], "FAIL") == 0 && used < CELL) {
            used += (size_t)snprintf(out + used, CELL - used, "%s%s",
                                     used ? "," : "FAIL: ", ba_identity_name((ba_identity)i));
        }
    }
    if (!used) {
        snprintf(out, CELL, asked ? "ok (%zu)" : "-", asked);
    }
}

static void show_kl(const ba_gate_summary *s, char out[CELL]) {
    ba_interval_text(out, CELL, s->kl == 0 ? "%.0f" : s->kl < 0.001 ? "%.1e" : "%.3f", 1, s->kl, s->kl_low, s->kl_high);
}

static void show_noise(const ba_gate_summary *s, char out[CELL]) {
    ba_interval_text(out, CELL, s->noise_kl == 0 ? "%.0f" : "%.1e", 1, s->noise_kl, NAN, NAN);
}

static void show_top1(const ba_gate_summary *s, char out[CELL]) {
    ba_interval_text(out, CELL, "%.0f", 100, s->top1, s->top1_low, s->top1_high);
}

static void show_top5(const ba_gate_summary *s, char out[CELL]) {
    ba_interval_text(out, CELL, "%.0f", 100, s->top5, NAN, NAN);
}

static void show_diverges(const ba_gate_summary *s, char out[CELL]) {
    ba_interval_text(out, CELL, "%.1f", 1, s->diverges, NAN, NAN);
}

static void show_max_abs(const ba_gate_summary *s, char out[CELL]) {
    ba_interval_text(out, CELL,
                     s->max_abs == 0     ? "%.0f"
                     : s->max_abs < 0.01 ? "%.1e"
                                         : "%.2f",
                     1, s->max_abs, NAN, NAN);
}

static void show_nll(const ba_gate_summary *s, char out[CELL]) {
    ba_interval_text(out, CELL, "%+.3f", 1, s->nll_increase, s->nll_increase_low, s->nll_increase_high);
}

static void show_verdict(const ba_gate_summary *s, char out[CELL]) {
    snprintf(out, CELL, "%s", *s->nll_verdict ? s->nll_verdict : "-");
}

static void show_flops(const ba_gate_summary *s, char out[CELL]) {
    ba_interval_text(out, CELL, "%.1f%%", 100, s->flops_fraction, NAN, NAN);
}

static void show_budget(const ba_gate_summary *s, char out[CELL]) {
    snprintf(out, CELL, "%s", *s->budget ? s->budget : "-");
}

static void show_charged(const ba_gate_summary *s, char out[CELL]) {
    ba_interval_text(out, CELL, "%.3f", 1, s->charged, NAN, NAN);
}

/* A column of the table for people: one row here. width: negative for text at the left. */
static const struct {
    const char *name;
    int width;
    void (*show)(const ba_gate_summary *s, char out[CELL]);
} shown[] = {{"mode", -27, show_mode},     {"identities", -10, show_identities},
             {"KL, nats", -22, show_kl},   {"noise", 8, show_noise},
             {"top-1 %", -14, show_top1},  {"top-5 %", 7, show_top5},
             {"leaves", 6, show_diverges}, {"|d| max", 8, show_max_abs},
             {"dNLL", -24, show_nll},      {"is", -9, show_verdict},
             {"FLOPs", 6, show_flops},     {"budget", 7, show_budget},
             {"charged", 7, show_charged}};
enum { SHOWN = sizeof shown / sizeof *shown };

static void print_line(const ba_gate_summary *s) {
    char cell[CELL] = "";
    for (size_t c = 0; c < SHOWN; c++) {
        if (s) {
            shown[c].show(s, cell);
        }
        printf("%s%*s", c ? " " : "", shown[c].width, s ? cell : shown[c].name);
    }
    printf("%s%s\n", s && s->over[0] ? "  over:" : "", s ? s->over : "");
}

void ba_gate_print_table(const ba_gate_results *r, const ba_margins *margins) {
    bool same_set = false;
    printf("n = %zu prompt%s; distances are those of the next token's logits from full attention's; [low, high]: 95 %% "
           "over "
           "prompts%s\n\n",
           r->n_done, r->n_done == 1 ? "" : "s", r->n_done == 1 ? " (one prompt has none)" : "");
    print_line(NULL);
    for (size_t i = 0; i < r->n_mode; i++) {
        print_line(&r->summary[i]);
        same_set = same_set || strcmp(r->summary[i].reuse, BA_REUSE_SET) == 0;
    }
    if (same_set) {
        puts("\n* reuses KV only for the same passages in the same order");
    }
    printf(
        "\nidentities: how many of cached, batch, folded, merge, switch and count were asked and hold (gate --help)\n"
        "noise: KL of full attention in this precision from full in fp32; a KL below it says nothing\n"
        "leaves: greedy token (of %zu) at which the text leaves full attention's; |d| max: largest difference of a "
        "logit\n"
        "dNLL: of the gold answer, nats a token; is: within %g of full (equal), on one side of it (worse, better), or "
        "more prompts are needed (undecided)\nFLOPs: of a warm prompt, of full's; budget: as the mode is spelled; "
        "charged: share "
        "of the reusable tokens that is computed again over all layers, probes paid in full (may exceed 1)\n",
        r->n_greedy, margins->nll);
}

void ba_gate_print_rows(const ba_gate_results *r, ba_rows_format format) {
    ba_rows_begin(stdout, format, ba_gate_summary_columns);
    for (size_t i = 0; i < r->n_mode; i++) {
        ba_rows_print(stdout, format, ba_gate_summary_columns, &r->summary[i], i == 0);
    }
    ba_rows_end(stdout, format);
}
