/* Results of `ttft` for people: three tables, at most 130 columns wide, with the paper's rows beside those of `block`. */
#include "ttft.h"

#include "experiments/measure/costing.h"
#include "experiments/measure/paper_row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CELL = 24 };

/* The row of this prompt in another mode, executor or state, or NULL. */
static const ba_ttft_result *find(const ba_ttft_result *r, size_t n, const ba_ttft_result *like, const char *mode,
                                  const char *executor, bool cold) {
    for (size_t i = 0; i < n; i++) {
        if (r[i].length == like->length && r[i].block_tokens == like->block_tokens && (r[i].cold != 0) == cold &&
            strcmp(r[i].mode, mode) == 0 && strcmp(r[i].executor, executor) == 0) {
            return &r[i];
        }
    }
    return NULL;
}

static void print_length(uint64_t length, bool timing_only) {
    char text[CELL];
    snprintf(text, sizeof text, length % 1024 ? "%.0f%s" : "%.0fK%s", (double)length / (length % 1024 ? 1 : 1024),
             timing_only ? "*" : "");
    printf("%7s", text);
}

static void print_text(int width, const char *text) {
    printf(" %*s", width, text);
}

/* A cell of a row: empty if there is no such row, "fail" if its check failed. */
static bool is_shown(const ba_ttft_result *r, double value, int width) {
    if (r && strcmp(r->check, "fail") == 0) {
        print_text(width, "fail");
        return false;
    }
    if (!r || isnan(value)) {
        print_text(width, "-");
        return false;
    }
    return true;
}

static void print_seconds(const ba_ttft_result *r, double seconds, int width) {
    if (is_shown(r, seconds, width)) {
        char text[CELL];
        ba_print_seconds(text, sizeof text, seconds);
        print_text(width, text);
    }
}

/* "1.05 s ±2%": the median with the MAD as a share of it. A "!" follows if there are outliers. */
static void print_spread(const ba_ttft_result *r, int width) {
    if (is_shown(r, r ? r->ttft_s_median : NAN, width)) {
        char text[CELL], cell[2 * CELL];
        double share = 100 * r->ttft_s_mad / r->ttft_s_median;
        ba_print_seconds(text, sizeof text, r->ttft_s_median);
        snprintf(cell, sizeof cell, share > 0 && share < 0.95 ? "%s ±%.1f%%%s" : "%s ±%.0f%%%s", text, share,
                 r->n_outliers ? "!" : "");
        print_text(width + 1, cell); /* ± takes two bytes */
    }
}

/* 7.5e12, as in the paper. */
static void print_flops(const ba_ttft_result *r, double flops, int digits, int width) {
    if (is_shown(r, flops, width)) {
        char text[2 * CELL], head[CELL];
        snprintf(head, sizeof head, "%.*e", digits - 1, flops);
        char *e = strchr(head, 'e');
        *e = '\0';
        snprintf(text, sizeof text, "%se%d", head, (int)strtol(e + 1, NULL, 10));
        print_text(width, text);
    }
}

static void print_number(const ba_ttft_result *r, double value, const char *format, int width) {
    if (is_shown(r, value, width)) {
        char text[CELL];
        snprintf(text, sizeof text, value < 99.5 ? format : "%.0f%s", value, strchr(format, 'x') ? "x" : "");
        print_text(width, text);
    }
}

static void print_percent(const ba_ttft_result *r, double fraction, int width) {
    if (is_shown(r, fraction, width)) {
        char text[CELL];
        snprintf(text, sizeof text, "%.1f%%", 100 * fraction);
        print_text(width, text);
    }
}

static void print_bytes(const ba_ttft_result *r, double bytes, int width) {
    if (is_shown(r, bytes, width)) {
        char text[CELL];
        ba_print_bytes(text, sizeof text, bytes);
        print_text(width, text);
    }
}

/* The rows that one line of a mode's tables shows. */
typedef struct line {
    const ba_ttft_result *full, *cold, *warm, *merge_cold, *merge_warm;
    const ba_paper_row *paper;
    uint64_t length;
    bool timing_only;
} line;

/* The paper timed block attention, with a question of 50 tokens. */
static bool has_paper(const ba_ttft_result *r, const char *mode) {
    return r->question == BA_PAPER_QUESTION && strcmp(mode, "block") == 0;
}

static line line_of(const ba_ttft_result *r, size_t n, const ba_ttft_result *of, const char *mode) {
    return (line){.full = find(r, n, of, "full", "place", true),
                  .cold = find(r, n, of, mode, "place", true),
                  .warm = find(r, n, of, mode, "place", false),
                  .merge_cold = find(r, n, of, mode, "merge", true),
                  .merge_warm = find(r, n, of, mode, "merge", false),
                  .paper = has_paper(of, mode) ? ba_paper_row_at(of->length) : NULL,
                  .length = of->length,
                  .timing_only = of->timing_only};
}

/* Optional parts of the tables. */
typedef struct extras {
    bool blocks;   /* passages of several sizes: one set of tables for each */
    bool distance; /* from full attention */
    bool merge;    /* the merging executor ran */
} extras;

/* "3-41": samples of the cases of a line. */
static void print_samples(const line *l, int width) {
    const ba_ttft_result *all[] = {l->full, l->cold, l->warm, l->merge_cold, l->merge_warm};
    uint64_t least = UINT64_MAX, most = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i]) {
            least = all[i]->n < least ? all[i]->n : least;
            most = all[i]->n > most ? all[i]->n : most;
        }
    }
    char text[CELL];
    snprintf(text, sizeof text, least < most ? "%.0f-%.0f" : "%.0f", (double)least, (double)most);
    print_text(width, text);
}

/* KL with its interval, floor and agreement. */
static void print_distance(const ba_ttft_result *r) {
    char text[2 * CELL] = "-";
    if (r && !isnan(r->kl)) {
        snprintf(text, sizeof text, isnan(r->kl_low) ? "%.2g" : "%.2g [%.2g, %.2g]", r->kl, r->kl_low, r->kl_high);
    }
    print_text(22, text);
    print_number(r, r ? r->noise_kl : NAN, "%.1g", 7);
    print_percent(r, r ? r->top1 : NAN, 7);
}

enum { TIME = 13 }; /* width of a time with its spread */

static void print_times(const line *l, extras more) {
    const ba_ttft_result *warm = l->warm ? l->warm : l->merge_warm;
    print_length(l->length, l->timing_only);
    print_spread(l->full, TIME);
    print_spread(l->cold, TIME);
    print_spread(l->warm, TIME);
    if (more.merge) {
        print_spread(l->merge_cold, TIME);
        print_spread(l->merge_warm, TIME);
    }
    print_samples(l, 6);
    print_number(warm, warm ? warm->speedup : NAN, "%.1fx", 6);
    print_number(warm, warm ? warm->breakeven : NAN, "%.0f", 5);
    print_seconds(l->full, l->full ? l->full->floor_s : NAN, 8);
    print_seconds(warm, warm ? warm->floor_s : NAN, 8);
    if (more.distance) {
        print_distance(warm ? warm : l->cold ? l->cold : l->merge_cold);
    }
    if (l->paper) {
        char ratio[CELL];
        snprintf(ratio, sizeof ratio, "%.1fx", l->paper->ttft_full_ms / l->paper->ttft_block_ms);
        printf("  %6.0f %5.0f %6s", l->paper->ttft_full_ms, l->paper->ttft_block_ms, ratio);
    }
    putchar('\n');
}

static void print_work(const line *l) {
    const ba_ttft_result *warm = l->warm ? l->warm : l->merge_warm, *cold = l->cold ? l->cold : l->merge_cold;
    print_length(l->length, l->timing_only);
    print_flops(l->full, l->full ? l->full->flops_exact : NAN, 3, 9);
    print_flops(cold, cold ? cold->flops_exact : NAN, 3, 9);
    print_flops(warm, warm ? warm->flops_exact : NAN, 3, 9);
    printf(" ");
    print_percent(warm, warm ? warm->reduction_exact : NAN, 7);
    print_percent(warm, warm ? warm->reduction_dense : NAN, 7);
    print_percent(warm, warm ? warm->reduction_paper : NAN, 7);
    print_number(warm, warm ? warm->charged : NAN, "%.3f", 8);
    printf(" ");
    print_bytes(warm, warm ? warm->kv_bytes : NAN, 8);
    print_bytes(l->full, l->full ? l->full->bytes_read : NAN, 8);
    print_bytes(warm, warm ? warm->bytes_read : NAN, 8);
    if (l->paper) {
        printf(" ");
        print_text(8, l->paper->flops_full);
        print_text(8, l->paper->flops_block);
        print_text(7, l->paper->reduction);
    }
    putchar('\n');
}

static void print_stage_line(const ba_ttft_result *r, bool share) {
    char name[48];
    snprintf(name, sizeof name, "%.11s %s %s", r->mode, r->cold ? "cold" : "warm", r->executor);
    print_length(r->length, r->timing_only);
    printf("  %-22s", name);
    double total = r->ttft_s_median;
    print_seconds(r, total, 8);
    for (size_t i = 0; i <= BA_STAGE_COUNT; i++) {
        double seconds = i < BA_STAGE_COUNT ? r->stage[i] : r->other_s;
        if (share) {
            print_percent(r, seconds / total, 9);
        } else {
            print_seconds(r, seconds, 9);
        }
    }
    putchar('\n');
}

/* Of the longest prompt in passages of this size, or (profile) of all of them. */
static void print_stages(const ba_ttft_result *r, size_t n, uint64_t block, bool profile) {
    uint64_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        longest = r[i].n > 0 && r[i].block_tokens == block && r[i].length > longest ? r[i].length : longest;
    }
    printf("\nStages, passages of %.0f%s\n length  case                       TTFT", (double)block,
           profile ? ", share of the time to first token" : "");
    for (size_t i = 0; i < BA_STAGE_COUNT; i++) {
        print_text(9, i == BA_STAGE_FIRST ? "first" : ba_stage_name((ba_stage)i));
    }
    puts("     other");
    for (size_t i = 0; i < n; i++) {
        if (r[i].n > 0 && r[i].block_tokens == block && (profile || r[i].length == longest)) {
            print_stage_line(&r[i], profile);
        }
    }
}

/* Rows of one table: one mode, passages of one size. */
static bool is_beside(const ba_ttft_result *a, const ba_ttft_result *b) {
    return strcmp(a->mode, b->mode) == 0 && a->block_tokens == b->block_tokens;
}

/* Whether this is the first row of its table, or (with length) of its line in the table. */
static bool is_first(const ba_ttft_result *r, size_t i, bool length) {
    for (size_t j = 0; j < i; j++) {
        if (is_beside(&r[j], &r[i]) && (!length || r[j].length == r[i].length)) {
            return false;
        }
    }
    return true;
}

static void print_heads(bool paper, extras more) {
    printf("\nTime to first token: median ±MAD, n samples a case%*s%5s%*s%s\n", more.merge ? 56 : 28, "", "floor",
           paper ? more.distance ? 51 : 13 : 0, "", paper ? "paper, 8B model (ms)" : "");
    printf(" length%*s%*s%*s", TIME + 1, "full", TIME + 1, "cold", TIME + 1, "warm");
    if (more.merge) {
        printf("%*s%*s", TIME + 1, "merged: cold", TIME + 1, "warm");
    }
    printf("%7s%7s%6s%9s%9s%s%s\n", "n", "full/", "even", "full", "warm",
           more.distance ? "       KL to full, nats   noise   top-1" : "", paper ? "    full block  ratio" : "");
    printf("%*s%7s%6s\n", 7 + (TIME + 1) * (more.merge ? 5 : 3) + 7, "", "warm", "after");
}

static void print_mode(const ba_ttft_result *r, size_t n, const ba_ttft_result *of, extras more) {
    const bool paper = has_paper(of, of->mode);
    print_heads(paper, more);
    for (size_t i = 0; i < n; i++) {
        if (is_beside(&r[i], of) && is_first(r, i, true)) {
            line l = line_of(r, n, &r[i], of->mode);
            print_times(&l, more);
        }
    }
    printf("\nWork: FLOPs, exact%22s reduction, warm%20s KV, bytes read%12s%s\n", "", "", "",
           paper ? " paper, 8B model" : "");
    printf(" length      full      cold      warm    exact   dense   paper charged        KV     full     warm%s\n",
           paper ? "      full    block  reduc." : "");
    for (size_t i = 0; i < n; i++) {
        if (is_beside(&r[i], of) && is_first(r, i, true)) {
            line l = line_of(r, n, &r[i], of->mode);
            print_work(&l);
        }
    }
}

/* Cases with outliers by name, so that a reader knows which medians were disturbed. */
static void print_outliers(const ba_ttft_result *r, size_t n) {
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (r[i].n_outliers) {
            printf("%s %s%s%s at %.0f tokens (%.0f of %.0f)",
                   any ? ";"
                       : "! outliers, more than 3 deviations (by MAD) from "
                         "the median, kept:",
                   r[i].mode,
                   strcmp(r[i].mode, "full") == 0 ? ""
                   : r[i].cold                    ? " cold"
                                                  : " warm",
                   strcmp(r[i].executor, "merge") == 0 ? " merged" : "", (double)r[i].length, (double)r[i].n_outliers,
                   (double)r[i].n);
            any = true;
        }
    }
    fputs(any ? "\n" : "", stdout);
}

static bool is_first_block(const ba_ttft_result *r, size_t i) {
    size_t j = 0;
    while (r[j].block_tokens != r[i].block_tokens) {
        j++;
    }
    return j == i;
}

static void print_heading(const ba_ttft_result *r, size_t n, const ba_ttft_result *of, extras more) {
    bool same_set = false; /* of a prompt of one passage it cannot be told */
    for (size_t i = 0; i < n; i++) {
        same_set |= strcmp(r[i].mode, of->mode) == 0 && strcmp(r[i].reuse, BA_REUSE_SET) == 0;
    }
    printf("\n=== %s against full", of->mode);
    if (more.blocks) {
        printf(", passages of %.0f", (double)of->block_tokens);
    }
    printf(*of->budget ? ", budget %s" : "%s", of->budget);
    puts(same_set ? " (reuses KV only for the same passages in the same order) ===" : " ===");
}

static void print_notes(const ba_ttft_result *r, size_t n, const ba_peak *peak, extras more) {
    bool timing_only = false, floors = false;
    for (size_t i = 0; i < n; i++) {
        floors |= !isnan(r[i].floor_s);
    }
    printf("\nfloor: measured peaks, %.0f GFLOP/s in %s and %.1f GB/s%s; even after: warm uses until encoding has "
           "paid, - "
           "where times cannot be told from full's\n",
           peak->flops / 1e9, peak->what, peak->bytes / 1e9,
           floors ? "" : " (some case was faster, so that the machine was busy when they were measured: not shown)");
    puts("charged: share of the prefix's and passages' tokens that a warm prompt computes again, over all layers; "
         "probes "
         "are paid in full");
    if (more.distance) {
        printf(
            "KL: mean over n = %.0f prompt%s, [low, high]: 95 %%%s; noise: KL of full in this precision from full in "
            "fp32\n",
            (double)r[0].n_prompts, r[0].n_prompts == 1 ? "" : "s",
            r[0].n_prompts == 1 ? " (one prompt has none, see --prompts)" : "");
    }
    print_outliers(r, n);
    for (size_t i = 0; i < n; i++) {
        timing_only |= r[i].timing_only != 0;
    }
    if (timing_only) {
        puts("* longer than the context the model was trained on: timing only");
    }
    for (size_t i = 0; i < n; i++) {
        if (*r[i].check_note) {
            printf("CHECK FAILED: %s %s %s at %.0f tokens: %s\n", r[i].mode, r[i].cold ? "cold" : "warm", r[i].executor,
                   (double)r[i].length, r[i].check_note);
        }
    }
}

void ba_ttft_print(const ba_ttft_result *r, size_t n, const ba_peak *peak, bool profile) {
    bool only_full = true;
    extras more = {0};
    for (size_t i = 0; i < n; i++) {
        only_full &= strcmp(r[i].mode, "full") == 0;
        more.blocks |= r[i].block_tokens != r[0].block_tokens;
        more.distance |= r[i].n_prompts > 0;
        more.merge |= strcmp(r[i].executor, "merge") == 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (is_first(r, i, false) && (only_full || strcmp(r[i].mode, "full") != 0)) {
            if (!only_full) {
                print_heading(r, n, &r[i], more);
            }
            print_mode(r, n, &r[i], more);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (is_first_block(r, i)) {
            print_stages(r, n, r[i].block_tokens, profile);
        }
    }
    print_notes(r, n, peak, more);
}
