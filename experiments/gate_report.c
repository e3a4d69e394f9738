#include "gate_report.h"

#include "stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ba_column summary_columns[] = {BA_COLUMN(ba_gate_summary, mode, BA_COLUMN_TEXT, ""),
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
                                            {NULL, BA_COLUMN_I64, 0, 0, NULL}};

/* One prompt under one mode, for the trace. */
typedef struct detail {
    uint64_t prompt, n_tokens;
    char item[64], mode[64];
    double max_abs, kl, top1, top5;
    uint64_t diverges, n_answer;
    double nll_full, nll;
    uint64_t flops, flops_full;
} detail;

static const ba_column detail_columns[] = {BA_COLUMN(detail, prompt, BA_COLUMN_U64, ""),
                                           BA_COLUMN(detail, n_tokens, BA_COLUMN_U64, "token"),
                                           BA_COLUMN(detail, item, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(detail, mode, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(detail, max_abs, BA_COLUMN_F64, ""),
                                           BA_COLUMN(detail, kl, BA_COLUMN_F64, "nat"),
                                           BA_COLUMN(detail, top1, BA_COLUMN_F64, ""),
                                           BA_COLUMN(detail, top5, BA_COLUMN_F64, ""),
                                           BA_COLUMN(detail, diverges, BA_COLUMN_U64, "token"),
                                           BA_COLUMN(detail, n_answer, BA_COLUMN_U64, "token"),
                                           BA_COLUMN(detail, nll_full, BA_COLUMN_F64, "nat"),
                                           BA_COLUMN(detail, nll, BA_COLUMN_F64, "nat"),
                                           BA_COLUMN(detail, flops, BA_COLUMN_U64, "FLOP"),
                                           BA_COLUMN(detail, flops_full, BA_COLUMN_U64, "FLOP"),
                                           {NULL, BA_COLUMN_I64, 0, 0, NULL}};

/* Verdict on an identity over all prompts. */
static void verdict(char out[8], const ba_gate_row *row, size_t n, ba_identity k) {
    size_t held = 0, broken = 0;
    for (size_t i = 0; i < n; i++) {
        held += row[i].held[k] == BA_HELD;
        broken += row[i].held[k] == BA_BROKEN;
    }
    snprintf(out, 8, "%s", broken ? "FAIL" : held ? "ok" : "-");
}

/* row[i] belongs to prompt i. */
static ba_gate_summary summarise(const ba_gate_row *row, const ba_reference *ref, size_t n) {
    ba_gate_summary s = {.n = n, .merge_max_abs = NAN};
    double *value = malloc(n * sizeof *value);
    size_t tokens = 0;
    double nll = 0, nll_full = 0;
    snprintf(s.mode, sizeof s.mode, "%s", row[0].mode);
    for (size_t i = 0; i < n; i++) {
        s.kl += row[i].far.kl / (double)n;
        s.top1 += row[i].far.top1 / (double)n;
        s.top5 += row[i].far.top5 / (double)n;
        s.diverges += (double)row[i].diverges / (double)n;
        s.flops_fraction += (double)row[i].flops / (double)ref[i].flops / (double)n;
        s.merge_max_abs = fmax(s.merge_max_abs, row[i].merge_max_abs);
        s.max_abs = fmax(s.max_abs, row[i].far.max_abs);
        if (value) {
            value[i] = row[i].far.max_abs;
        }
        if (row[i].n_answer) {
            tokens += row[i].n_answer;
            nll += row[i].nll;
            nll_full += ref[i].nll;
        }
    }
    verdict(s.cached, row, n, BA_ID_CACHED);
    verdict(s.batch, row, n, BA_ID_BATCH);
    verdict(s.folded, row, n, BA_ID_FOLDED);
    verdict(s.merge, row, n, BA_ID_MERGE);
    verdict(s.changed, row, n, BA_ID_SWITCH);
    verdict(s.count, row, n, BA_ID_COUNT);
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

int ba_gate_results_new(ba_gate_results *r, size_t n_mode, size_t n_prompt, size_t n_insight) {
    *r = (ba_gate_results){.n_mode = n_mode, .n_prompt = n_prompt, .n_insight = n_insight};
    r->ref = calloc(n_prompt, sizeof *r->ref);
    r->row = calloc(n_mode * n_prompt, sizeof *r->row);
    r->summary = calloc(n_mode, sizeof *r->summary);
    r->full = calloc(n_insight + 1, sizeof *r->full);
    r->insight = calloc(n_mode * n_insight + 1, sizeof *r->insight);
    return r->ref && r->row && r->summary && r->full && r->insight ? 0 : -1;
}

void ba_gate_results_free(ba_gate_results *r) {
    for (size_t i = 0; r->ref && i < r->n_prompt; i++) {
        ba_reference_free(&r->ref[i]);
    }
    for (size_t i = 0; r->full && i < r->n_insight; i++) {
        ba_insight_free(&r->full[i]);
    }
    for (size_t i = 0; r->insight && i < r->n_mode * r->n_insight; i++) {
        ba_insight_free(&r->insight[i]);
    }
    free(r->ref);
    free(r->row);
    free(r->summary);
    free(r->full);
    free(r->insight);
    *r = (ba_gate_results){0};
}

bool ba_gate_summarise(ba_gate_results *r, const ba_gate_limits *limits) {
    bool ok = true;
    for (size_t m = 0; m < r->n_mode; m++) {
        r->summary[m] = summarise(r->row + m * r->n_prompt, r->ref, r->n_prompt);
        ok = judge(&r->summary[m], limits) && ok;
    }
    return ok;
}

void ba_gate_print_table(const ba_gate_results *r) {
    printf("%zu prompt%s; distances are those of the next token's logits from full attention's\n\n", r->n_prompt,
           r->n_prompt == 1 ? "" : "s");
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
    ba_rows_begin(stdout, format, summary_columns);
    for (size_t i = 0; i < r->n_mode; i++) {
        ba_rows_print(stdout, format, summary_columns, &r->summary[i], i == 0);
    }
    ba_rows_end(stdout, format);
}

/* Inside of a mode, layer by layer: means over the prompts looked into. */
typedef struct layer_row {
    char mode[64];
    uint64_t layer;
    double departure, entropy;
} layer_row;

static const ba_column layer_columns[] = {BA_COLUMN(layer_row, mode, BA_COLUMN_TEXT, ""),
                                          BA_COLUMN(layer_row, layer, BA_COLUMN_U64, ""),
                                          BA_COLUMN(layer_row, departure, BA_COLUMN_F64, ""),
                                          BA_COLUMN(layer_row, entropy, BA_COLUMN_F64, "nat"),
                                          {NULL, BA_COLUMN_I64, 0, 0, NULL}};

/* Share of attention on one segment of one prompt. */
typedef struct mass_row {
    char mode[64];
    uint64_t prompt, layer, segment, tokens;
    char role[16];
    double mass, kept;
} mass_row;

static const ba_column mass_columns[] = {BA_COLUMN(mass_row, mode, BA_COLUMN_TEXT, ""),
                                         BA_COLUMN(mass_row, prompt, BA_COLUMN_U64, ""),
                                         BA_COLUMN(mass_row, layer, BA_COLUMN_U64, ""),
                                         BA_COLUMN(mass_row, segment, BA_COLUMN_U64, ""),
                                         BA_COLUMN(mass_row, tokens, BA_COLUMN_U64, "token"),
                                         BA_COLUMN(mass_row, role, BA_COLUMN_TEXT, ""),
                                         BA_COLUMN(mass_row, mass, BA_COLUMN_F64, ""),
                                         BA_COLUMN(mass_row, kept, BA_COLUMN_F64, ""),
                                         {NULL, BA_COLUMN_I64, 0, 0, NULL}};

static int write_prompts(const ba_gate_results *r, ba_trace *t, char err[BA_ERR_LEN]) {
    size_t table;
    int rc = ba_trace_declare(t, "prompts", detail_columns, sizeof(detail), &table, err);
    for (size_t m = 0; !rc && m < r->n_mode; m++) {
        for (size_t i = 0; !rc && i < r->n_prompt; i++) {
            const ba_gate_row *row = &r->row[m * r->n_prompt + i];
            detail d = {.prompt = i,
                        .n_tokens = row->n_tokens,
                        .max_abs = row->far.max_abs,
                        .kl = row->far.kl,
                        .top1 = row->far.top1,
                        .top5 = row->far.top5,
                        .diverges = row->diverges,
                        .n_answer = row->n_answer,
                        .nll_full = r->ref[i].nll,
                        .nll = row->nll,
                        .flops = row->flops,
                        .flops_full = r->ref[i].flops};
            memcpy(d.item, r->prompt[i].name, sizeof d.item);
            memcpy(d.mode, row->mode, sizeof d.mode);
            rc = ba_trace_append(t, table, &d, err);
        }
    }
    return rc;
}

static int write_layers(const ba_gate_results *r, ba_trace *t, char err[BA_ERR_LEN]) {
    size_t table;
    int rc = ba_trace_declare(t, "layers", layer_columns, sizeof(layer_row), &table, err);
    for (size_t m = 0; !rc && r->n_insight && m < r->n_mode; m++) {
        const ba_insight *in = r->insight + m * r->n_insight;
        for (size_t l = 0; !rc && l < in->layers; l++) {
            layer_row row = {.layer = l};
            memcpy(row.mode, r->summary[m].mode, sizeof row.mode);
            for (size_t i = 0; i < r->n_insight; i++) {
                row.departure += ba_insight_departure(&r->full[i], &in[i], l) / (double)r->n_insight;
                row.entropy += in[i].entropy[l] / (double)r->n_insight;
            }
            rc = ba_trace_append(t, table, &row, err);
        }
    }
    return rc;
}

static int write_mass(const ba_gate_results *r, ba_trace *t, char err[BA_ERR_LEN]) {
    size_t table;
    int rc = ba_trace_declare(t, "mass", mass_columns, sizeof(mass_row), &table, err);
    for (size_t m = 0; m < r->n_mode; m++) {
        for (size_t i = 0; i < r->n_insight; i++) {
            const ba_insight *in = &r->insight[m * r->n_insight + i];
            for (size_t k = 0; !rc && k < in->layers * in->n_seg; k++) {
                const ba_segment *seg = &r->ref[i].prompt->seg[k % in->n_seg];
                mass_row row = {.prompt = i,
                                .layer = k / in->n_seg,
                                .segment = k % in->n_seg,
                                .tokens = seg->n,
                                .mass = in->mass[k],
                                .kept = in->kept[k]};
                memcpy(row.mode, r->summary[m].mode, sizeof row.mode);
                snprintf(row.role, sizeof row.role, "%s", ba_role_name(seg->role));
                rc = ba_trace_append(t, table, &row, err);
            }
        }
    }
    return rc;
}

/* What a mode chose while it ran: rows that it refreshed (index: counted over the keys of all it sees), paths with
 * their scores. */
typedef struct choice_row {
    char mode[64];
    uint64_t prompt;
    char kind[8];
    uint64_t index, kept;
    double score;
} choice_row;

static const ba_column choice_columns[] = {BA_COLUMN(choice_row, mode, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(choice_row, prompt, BA_COLUMN_U64, ""),
                                           BA_COLUMN(choice_row, kind, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(choice_row, index, BA_COLUMN_U64, ""),
                                           BA_COLUMN(choice_row, kept, BA_COLUMN_U64, ""),
                                           BA_COLUMN(choice_row, score, BA_COLUMN_F64, "nat"),
                                           {NULL, BA_COLUMN_I64, 0, 0, NULL}};

static int write_choices(const ba_gate_results *r, ba_trace *t, char err[BA_ERR_LEN]) {
    size_t table;
    int rc = ba_trace_declare(t, "choices", choice_columns, sizeof(choice_row), &table, err);
    for (size_t k = 0; !rc && k < r->n_mode * r->n_insight; k++) {
        const ba_insight *in = &r->insight[k];
        choice_row row = {.prompt = k % r->n_insight, .kind = "row", .kept = 1, .score = NAN};
        memcpy(row.mode, r->summary[k / r->n_insight].mode, sizeof row.mode);
        for (size_t i = 0; !rc && i < in->n_row; i++) {
            row.index = in->row[i];
            rc = ba_trace_append(t, table, &row, err);
        }
        snprintf(row.kind, sizeof row.kind, "path");
        for (size_t i = 0; !rc && i < in->n_path; i++) {
            row.index = i;
            row.kept = in->path_kept[i];
            row.score = in->path_score[i];
            rc = ba_trace_append(t, table, &row, err);
        }
    }
    return rc;
}

int ba_gate_write(const ba_gate_results *r, ba_trace *t, char err[BA_ERR_LEN]) {
    size_t table;
    int rc = ba_trace_declare(t, "modes", summary_columns, sizeof *r->summary, &table, err);
    for (size_t m = 0; !rc && m < r->n_mode; m++) {
        rc = ba_trace_append(t, table, &r->summary[m], err);
    }
    rc = rc ? rc : write_prompts(r, t, err);
    rc = rc ? rc : write_layers(r, t, err);
    rc = rc ? rc : write_mass(r, t, err);
    rc = rc ? rc : write_choices(r, t, err);
    return rc ? rc : ba_trace_finish(t, err);
}
