#include "report.h"

#include "experiments/cli/cli.h"
#include "experiments/measure/stats.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CASE(row)                                                                                                      \
    BA_COLUMN_AS("world", row, c.world, BA_COLUMN_STRING, ""),                                                         \
        BA_COLUMN_AS("mode", row, c.mode, BA_COLUMN_STRING, ""),                                                       \
        BA_COLUMN_AS("max_tokens", row, c.max_tokens, BA_COLUMN_U64, ""),                                              \
        BA_COLUMN_AS("change", row, c.change, BA_COLUMN_F64, "")
#define FRAME(member, type, unit) BA_COLUMN_AS(#member, ba_game_frame, r.member, type, unit)
#define MEAN(member, unit)        BA_COLUMN(ba_game_summary, member, BA_COLUMN_F64, unit)

const ba_column ba_game_frame_columns[] = {CASE(ba_game_frame),
                                           FRAME(frame, BA_COLUMN_U64, ""),
                                           FRAME(tokens, BA_COLUMN_U64, ""),
                                           FRAME(blocks, BA_COLUMN_U64, ""),
                                           FRAME(changed_tokens, BA_COLUMN_U64, ""),
                                           FRAME(new_blocks, BA_COLUMN_U64, ""),
                                           FRAME(new_tokens, BA_COLUMN_U64, ""),
                                           FRAME(common_prefix, BA_COLUMN_U64, ""),
                                           FRAME(new_bytes, BA_COLUMN_U64, "B"),
                                           FRAME(kv_bytes, BA_COLUMN_U64, "B"),
                                           FRAME(cut_s, BA_COLUMN_F64, "s"),
                                           FRAME(lookup_s, BA_COLUMN_F64, "s"),
                                           FRAME(encode_s, BA_COLUMN_F64, "s"),
                                           FRAME(prefill_s, BA_COLUMN_F64, "s"),
                                           FRAME(first_s, BA_COLUMN_F64, "s"),
                                           FRAME(block_s, BA_COLUMN_F64, "s"),
                                           FRAME(prefix_s, BA_COLUMN_F64, "s"),
                                           FRAME(full_s, BA_COLUMN_F64, "s"),
                                           FRAME(block_cpu_s, BA_COLUMN_F64, "s"),
                                           FRAME(prefix_cpu_s, BA_COLUMN_F64, "s"),
                                           FRAME(full_cpu_s, BA_COLUMN_F64, "s"),
                                           FRAME(block_flops, BA_COLUMN_U64, "FLOP"),
                                           FRAME(prefix_flops, BA_COLUMN_U64, "FLOP"),
                                           FRAME(full_flops, BA_COLUMN_U64, "FLOP"),
                                           FRAME(kl, BA_COLUMN_F64, ""),
                                           FRAME(top1, BA_COLUMN_F64, ""),
                                           FRAME(prefix_max_abs, BA_COLUMN_F64, ""),
                                           BA_COLUMNS_END};

const ba_column ba_game_summary_columns[] = {CASE(ba_game_summary),
                                             BA_COLUMN(ba_game_summary, frames, BA_COLUMN_U64, ""),
                                             BA_COLUMN(ba_game_summary, measured, BA_COLUMN_U64, ""),
                                             MEAN(tokens, ""),
                                             MEAN(blocks, ""),
                                             MEAN(changed_share, ""),
                                             MEAN(new_share, ""),
                                             MEAN(prefix_share, ""),
                                             MEAN(new_bytes, "B"),
                                             MEAN(cold_s, "s"),
                                             MEAN(block_p50, "s"),
                                             MEAN(block_p90, "s"),
                                             MEAN(block_p99, "s"),
                                             MEAN(prefix_p50, "s"),
                                             MEAN(prefix_p90, "s"),
                                             MEAN(prefix_p99, "s"),
                                             MEAN(full_p50, "s"),
                                             MEAN(full_p90, "s"),
                                             MEAN(full_p99, "s"),
                                             MEAN(over_prefix, ""),
                                             MEAN(over_full, ""),
                                             MEAN(over_prefix_cpu, ""),
                                             MEAN(over_full_cpu, ""),
                                             MEAN(block_flops, "FLOP"),
                                             MEAN(prefix_flops, "FLOP"),
                                             MEAN(full_flops, "FLOP"),
                                             MEAN(kl, ""),
                                             BA_COLUMN_AS("top1", ba_game_summary, agreement, BA_COLUMN_F64, ""),
                                             MEAN(prefix_max_abs, ""),
                                             BA_COLUMNS_END};

/* Collects the finite values of a figure over all frames but the first; returns their number. */
static size_t gather(const ba_play_row *row, size_t n, double (*figure)(const ba_play_row *), double *out) {
    size_t used = 0;
    for (size_t i = 1; i < n; i++) {
        double x = figure(&row[i]);
        if (isfinite(x)) {
            out[used++] = x;
        }
    }
    return used;
}

static double block_time(const ba_play_row *r) {
    return r->block_s;
}
static double prefix_time(const ba_play_row *r) {
    return r->prefix_s;
}
static double full_time(const ba_play_row *r) {
    return r->full_s;
}
static double over_prefix(const ba_play_row *r) {
    return r->prefix_s / r->block_s;
}
static double over_full(const ba_play_row *r) {
    return r->full_s / r->block_s;
}
static double over_prefix_cpu(const ba_play_row *r) {
    return r->prefix_cpu_s / r->block_cpu_s;
}
static double over_full_cpu(const ba_play_row *r) {
    return r->full_cpu_s / r->block_cpu_s;
}
static double divergence(const ba_play_row *r) {
    return r->kl;
}
static double agreement(const ba_play_row *r) {
    return r->top1;
}
static double prefix_error(const ba_play_row *r) {
    return r->prefix_max_abs;
}

static double mean(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i];
    }
    return n ? sum / (double)n : NAN;
}

int ba_game_summarise(const ba_game_case *c, const ba_play_row *row, size_t n, ba_game_summary *out) {
    double *x = malloc(n * sizeof *x), frames = (double)(n - 1);
    if (!x) {
        return -1;
    }
    *out = (ba_game_summary){.c = *c, .frames = n - 1, .cold_s = row[0].block_s};
    for (size_t i = 1; i < n; i++) {
        double tokens = (double)row[i].tokens;
        out->tokens += tokens / frames;
        out->blocks += (double)row[i].blocks / frames;
        out->changed_share += (double)row[i].changed_tokens / tokens / frames;
        out->new_share += (double)row[i].new_tokens / tokens / frames;
        out->prefix_share += (double)row[i].common_prefix / tokens / frames;
        out->new_bytes += (double)row[i].new_bytes / frames;
        out->block_flops += (double)row[i].block_flops / frames;
        out->prefix_flops += (double)row[i].prefix_flops / frames;
        out->full_flops += (double)row[i].full_flops / frames;
    }
    size_t used = gather(row, n, block_time, x);
    out->block_p50 = ba_quantile(x, used, 0.5);
    out->block_p90 = ba_quantile(x, used, 0.9);
    out->block_p99 = ba_quantile(x, used, 0.99);
    used = gather(row, n, prefix_time, x);
    out->prefix_p50 = ba_quantile(x, used, 0.5);
    out->prefix_p90 = ba_quantile(x, used, 0.9);
    out->prefix_p99 = ba_quantile(x, used, 0.99);
    used = gather(row, n, full_time, x);
    out->measured = used;
    out->full_p50 = ba_quantile(x, used, 0.5);
    out->full_p90 = ba_quantile(x, used, 0.9);
    out->full_p99 = ba_quantile(x, used, 0.99);
    used = gather(row, n, over_prefix, x);
    out->over_prefix = ba_quantile(x, used, 0.5);
    used = gather(row, n, over_full, x);
    out->over_full = ba_quantile(x, used, 0.5);
    used = gather(row, n, over_prefix_cpu, x);
    out->over_prefix_cpu = ba_quantile(x, used, 0.5);
    used = gather(row, n, over_full_cpu, x);
    out->over_full_cpu = ba_quantile(x, used, 0.5);
    used = gather(row, n, divergence, x);
    out->kl = mean(x, used);
    used = gather(row, n, agreement, x);
    out->agreement = mean(x, used);
    used = gather(row, n, prefix_error, x);
    out->prefix_max_abs = ba_quantile(x, used, 1);
    free(x);
    return 0;
}

/* --- for people ------------------------------------------------------------------------------------------------- */

typedef char cell[32];

static const char *seconds(cell out, double s) {
    if (isfinite(s)) {
        ba_print_seconds(out, sizeof(cell), s);
    } else {
        stpcpy(out, "");
    }
    return out;
}

static const char *number(cell out, const char *format, double x) {
    snprintf(out, sizeof(cell), isfinite(x) ? format : "", x);
    return out;
}

static const char *times(cell out, double wall, double cpu) {
    if (isfinite(wall)) {
        snprintf(out, sizeof(cell), "%.1fx; %.1fx", wall, cpu);
    } else {
        *out = 0;
    }
    return out;
}

void ba_game_print_frame(const ba_play_row *r, bool head) {
    cell a, b, c, d, e, f, g, h;
    if (head) {
        printf("\n%6s %7s %8s %7s %10s %7s %9s | %8s %8s %8s %9s %9s %9s  %7s %5s\n", "frame", "tokens", "changed",
               "blocks", "encoded", "tokens", "prefix", "cut", "encode", "question", "TTFT", "prefix", "full", "KL",
               "top-1");
    }
    printf("%6" PRIu64 " %7" PRIu64 " %8" PRIu64 " %7" PRIu64 " %10" PRIu64 " %7" PRIu64 " %9" PRIu64
           " | %8s %8s %8s %9s %9s %9s  %7s %5s\n",
           r->frame, r->tokens, r->changed_tokens, r->blocks, r->new_blocks, r->new_tokens, r->common_prefix,
           seconds(a, r->cut_s), seconds(b, r->encode_s), seconds(c, r->prefill_s), seconds(d, r->block_s),
           seconds(e, r->prefix_s), seconds(f, r->full_s), number(g, "%.4f", r->kl),
           isnan(r->top1) ? number(h, "", NAN)
           : r->top1 > 0  ? "yes"
                          : "no");
    fflush(stdout);
}

static void print_case(const ba_game_case *c) {
    printf("\n%s, mode %s", c->world, c->mode);
    if (!isnan(c->change)) {
        printf(", %.3g %% of the tokens asked to change", 100 * c->change);
    }
    if (c->max_tokens != UINT64_MAX) {
        printf(", blocks of at most %" PRIu64 " tokens", c->max_tokens);
    }
    puts("");
}

void ba_game_print_summary(const ba_game_summary *s, size_t n) {
    cell a, b, c, d;
    char bytes[32];
    for (; n; n--, s++) {
        print_case(&s->c);
        ba_print_bytes(bytes, sizeof bytes, s->new_bytes);
        printf(
            "  %.0f tokens in %.0f blocks; a frame changes %.2f %% and encodes %.2f %% (%s of KV); the common prefix "
            "is %.0f %%\n",
            s->tokens, s->blocks, 100 * s->changed_share, 100 * s->new_share, bytes, 100 * s->prefix_share);
        printf("  %-16s %9s %9s %9s %10s %s\n", "TTFT", "p50", "p90", "p99", "FLOPs",
               "block is faster by (median; of processor time)");
        printf("  %-16s %9s %9s %9s %10.2e\n", "block", seconds(a, s->block_p50), seconds(b, s->block_p90),
               seconds(c, s->block_p99), s->block_flops);
        printf("  %-16s %9s %9s %9s %10.2e %s\n", "prefix caching", seconds(a, s->prefix_p50),
               seconds(b, s->prefix_p90), seconds(c, s->prefix_p99), s->prefix_flops,
               times(d, s->over_prefix, s->over_prefix_cpu));
        printf("  %-16s %9s %9s %9s %10.2e %s\n", "full prefill", seconds(a, s->full_p50), seconds(b, s->full_p90),
               seconds(c, s->full_p99), s->full_flops, times(d, s->over_full, s->over_full_cpu));
        if (s->measured) {
            printf("  block against full on %" PRIu64 " frames: KL %.4f nats, top-1 agreement %.0f %%; prefix caching "
                   "differs by %.1e at most\n",
                   s->measured, s->kl, 100 * s->agreement, s->prefix_max_abs);
        }
        printf("  first frame, with nothing in the store: %s\n", seconds(a, s->cold_s));
    }
}
