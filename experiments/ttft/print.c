/* Results of `ttft` for people: three tables, at most 120 columns wide, with the paper's rows beside ours. */
#include "ttft.h"

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
    const ba_table3 *paper;
    uint64_t length;
    bool timing_only;
} line;

static line line_of(const ba_ttft_result *r, size_t n, const ba_ttft_result *of, const char *mode) {
    return (line){.full = find(r, n, of, "full", "place", true),
                  .cold = find(r, n, of, mode, "place", true),
                  .warm = find(r, n, of, mode, "place", false),
                  .merge_cold = find(r, n, of, mode, "merge", true),
                  .merge_warm = find(r, n, of, mode, "merge", false),
                  .paper = of->question == 50 ? ba_table3_of(of->length) : NULL,
                  .length = of->length,
                  .timing_only = of->timing_only};
}

/* Optional parts of the tables. */
typedef struct extras {
    bool blocks;   /* passages of several sizes: one set of tables for each */
    bool distance; /* from full attention */
} extras;

static void print_times(const line *l, extras more) {
    const ba_ttft_result *warm = l->warm ? l->warm : l->merge_warm;
    print_length(l->length, l->timing_only);
    print_seconds(l->full, l->full ? l->full->ttft_s_median : NAN, 8);
    printf(" ");
    print_seconds(l->cold, l->cold ? l->cold->ttft_s_median : NAN, 8);
    print_seconds(l->warm, l->warm ? l->warm->ttft_s_median : NAN, 8);
    printf(" ");
    print_seconds(l->merge_cold, l->merge_cold ? l->merge_cold->ttft_s_median : NAN, 8);
    print_seconds(l->merge_warm, l->merge_warm ? l->merge_warm->ttft_s_median : NAN, 8);
    printf(" ");
    print_number(warm, warm ? warm->speedup : NAN, "%.1fx", 7);
    print_number(warm, warm ? warm->breakeven : NAN, "%.0f", 6);
    printf(" ");
    print_seconds(l->full, l->full ? l->full->floor_s : NAN, 8);
    print_seconds(warm, warm ? warm->floor_s : NAN, 8);
    if (more.distance) {
        const ba_ttft_result *any = warm ? warm : l->cold ? l->cold : l->merge_cold;
        print_number(any, any ? any->kl : NAN, "%.2g", 9);
    }
    if (l->paper) {
        char ratio[CELL];
        snprintf(ratio, sizeof ratio, "%.1fx", l->paper->full_s / l->paper->block_s);
        printf("  %6.0f %5.0f %6s", 1e3 * l->paper->full_s, 1e3 * l->paper->block_s, ratio);
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
    printf(" ");
    print_bytes(warm, warm ? warm->kv_bytes : NAN, 8);
    print_bytes(l->full, l->full ? l->full->bytes_read : NAN, 8);
    print_bytes(warm, warm ? warm->bytes_read : NAN, 8);
    if (l->paper) {
        printf(" ");
        print_flops(l->full, l->paper->full_flops, 2, 8);
        print_flops(l->full, l->paper->block_flops, 2, 8);
        printf(" %7s", l->paper->reduction);
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

static void print_mode(const ba_ttft_result *r, size_t n, const ba_ttft_result *of, extras more) {
    printf("\nTime to first token, median%43s floor%13s%*s paper, 8B model (ms)\n", "", "", more.distance ? 10 : 0, "");
    printf(" length     full      cold     warm  merged: cold  warm   full/   even      full     warm%s    full block  "
           "ratio\n",
           more.distance ? "        KL" : "");
    printf("%63s   warm  after%*s\n", "", more.distance ? 29 : 0, more.distance ? "to full" : "");
    for (size_t i = 0; i < n; i++) {
        if (is_beside(&r[i], of) && is_first(r, i, true)) {
            line l = line_of(r, n, &r[i], of->mode);
            print_times(&l, more);
        }
    }
    printf("\nWork: FLOPs, exact%22s reduction, warm%11s KV, bytes read%12s paper, 8B model\n", "", "", "");
    printf(" length      full      cold      warm    exact   dense   paper        KV     full     warm      full    "
           "block  reduc.\n");
    for (size_t i = 0; i < n; i++) {
        if (is_beside(&r[i], of) && is_first(r, i, true)) {
            line l = line_of(r, n, &r[i], of->mode);
            print_work(&l);
        }
    }
}

static bool is_first_block(const ba_ttft_result *r, size_t i) {
    size_t j = 0;
    while (r[j].block_tokens != r[i].block_tokens) {
        j++;
    }
    return j == i;
}

void ba_ttft_print(const ba_ttft_result *r, size_t n, const ba_peak *peak, bool profile) {
    bool only_full = true, timing_only = false;
    size_t outliers = 0, samples = 0;
    extras more = {0};
    for (size_t i = 0; i < n; i++) {
        only_full &= strcmp(r[i].mode, "full") == 0;
        timing_only |= r[i].timing_only != 0;
        outliers += r[i].n_outliers;
        samples += r[i].n;
        more.blocks |= r[i].block_tokens != r[0].block_tokens;
        more.distance |= !isnan(r[i].kl);
    }
    for (size_t i = 0; i < n; i++) {
        if (is_first(r, i, false) && (only_full || strcmp(r[i].mode, "full") != 0)) {
            if (!only_full) {
                printf("\n=== %s against full", r[i].mode);
                if (more.blocks) {
                    printf(", passages of %.0f", (double)r[i].block_tokens);
                }
                puts(" ===");
            }
            print_mode(r, n, &r[i], more);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (is_first_block(r, i)) {
            print_stages(r, n, r[i].block_tokens, profile);
        }
    }
    printf(
        "\nfloor: measured peaks, %.0f GFLOP/s in fp32 and %.1f GB/s; even after: warm uses until encoding has paid\n",
        peak->flops / 1e9, peak->bytes / 1e9);
    if (timing_only) {
        puts("* longer than the context the model was trained on: timing only");
    }
    if (outliers > 0) {
        printf("%zu of %zu samples are outliers, more than 3 deviations (by MAD) from their median: kept\n", outliers,
               samples);
    }
    for (size_t i = 0; i < n; i++) {
        if (*r[i].check_note) {
            printf("CHECK FAILED: %s %s %s at %.0f tokens: %s\n", r[i].mode, r[i].cold ? "cold" : "warm", r[i].executor,
                   (double)r[i].length, r[i].check_note);
        }
    }
}
