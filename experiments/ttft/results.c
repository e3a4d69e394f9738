/* From samples to rows: statistics, checks, and comparisons between cases. */
#include "ttft.h"

#include "experiments/measure/intervals.h"
#include "experiments/measure/paper_row.h"
#include "experiments/measure/stats.h"
#include "sim/modes/modes.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Median of one member of the counted samples of a case. x: scratch for all samples. */
static ba_stats stats_of(size_t item, const ba_ttft_sample *s, size_t n, size_t offset, double *x) {
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i].item == item && !s[i].warmup) {
            memcpy(&x[used++], (const char *)&s[i] + offset, sizeof *x);
        }
    }
    return ba_stats_of(x, used);
}

/* A row counts only if every sample of the case, warm-ups too, did the work that its plan says, gave the logits of its
 * executor's other samples (cold or warm) to the bit, and those of the other executor within the limit of rounding. */
static void check(const ba_ttft_case *cases, size_t item, const ba_ttft_sample *s, size_t n, ba_ttft_result *r) {
    const ba_ttft_case *mine = &cases[item];
    const ba_ttft_sample *first = NULL;
    double limit = INFINITY;
    r->max_dlogit = 0;
    *r->check_note = '\0';
    for (size_t i = 0; i < n; i++) {
        const ba_ttft_case *other = &cases[s[i].item];
        if (other->unit != mine->unit) {
            continue;
        }
        if (!(s[i].max_dlogit <= r->max_dlogit)) { /* NaN is kept */
            r->max_dlogit = isnan(r->max_dlogit) ? r->max_dlogit : s[i].max_dlogit;
        }
        limit = fmin(limit, s[i].dlogit_limit);
        if (s[i].item == item && !s[i].counted) {
            snprintf(r->check_note, sizeof r->check_note, "counted FLOPs or tokens differ from the plan's");
        }
        if (other->how == mine->how) {
            first = first ? first : &s[i];
            if (s[i].logits_hash != first->logits_hash) {
                snprintf(r->check_note, sizeof r->check_note, "logits differ between samples: warm is not cold");
            }
        }
    }
    if (isnan(r->max_dlogit)) {
        snprintf(r->check_note, sizeof r->check_note, "logits are not finite");
    } else if (r->max_dlogit > limit) {
        snprintf(r->check_note, sizeof r->check_note, "executors differ by %.3g in a logit", r->max_dlogit);
    }
    snprintf(r->check, sizeof r->check, "%s", *r->check_note ? "fail" : "pass");
}

/* Blank unless the check passed. */
static void blank(ba_ttft_result *r) {
    double *const figure[] = {&r->ttft_s_median,   &r->ttft_s_min,  &r->ttft_s_mad, &r->flops_exact,
                              &r->flops_dense,     &r->flops_paper, &r->bytes_read, &r->kv_bytes,
                              &r->n_computed,      &r->n_reused,    &r->other_s,    &r->bytes_written,
                              &r->flops_attention, &r->work_bytes,  &r->floor_s,    &r->kl,
                              &r->kl_low,          &r->kl_high,     &r->top1,       &r->top1_low,
                              &r->top1_high,       &r->max_abs,     &r->charged};
    for (size_t i = 0; i < sizeof figure / sizeof *figure; i++) {
        *figure[i] = NAN;
    }
    for (size_t i = 0; i < BA_STAGE_COUNT; i++) {
        r->stage[i] = NAN;
    }
}

/* Distances of a mode over the prompts of one size. x: scratch for three values a row. */
static void fill_distances(size_t unit, const ba_ttft_measured *m, double *x, ba_ttft_result *r) {
    double *kl = x, *top1 = kl + m->n_distance, *noise = top1 + m->n_distance;
    size_t n = 0;
    r->max_abs = NAN;
    for (size_t i = 0; i < m->n_distance; i++) {
        const ba_ttft_distance *d = &m->distance[i];
        if (d->unit == unit) {
            r->max_abs = fmax(r->max_abs, d->max_abs);
            noise[n] = d->noise_kl;
            kl[n] = d->kl;
            top1[n++] = (double)d->top1;
        }
    }
    ba_mean far = ba_mean_within(ba_mean_of(kl, NULL, n), 0, HUGE_VAL), same = ba_mean_score(top1, n);
    r->n_prompts = n;
    r->kl = far.mean, r->kl_low = far.low, r->kl_high = far.high;
    r->top1 = same.mean, r->top1_low = same.low, r->top1_high = same.high;
    r->noise_kl = ba_mean_of(noise, NULL, n).mean;
}

static void fill(const ba_ttft_case *c, const ba_ttft_unit *u, const ba_ttft_sample *s, size_t n, const ba_peak *peak,
                 double *x, ba_ttft_result *r) {
    const ba_cost *cost = c->cold ? &u->cold : &u->warm;
    ba_stats ttft = stats_of(c->item, s, n, offsetof(ba_ttft_sample, ttft_s), x);
    r->n = ttft.n;
    r->n_outliers = ttft.n_outliers;
    r->ttft_s_median = ttft.median;
    r->ttft_s_min = ttft.min;
    r->ttft_s_mad = ttft.mad;
    for (size_t i = 0; i < BA_STAGE_COUNT; i++) {
        size_t at = offsetof(ba_ttft_sample, stage) + i * sizeof(double);
        r->stage[i] = stats_of(c->item, s, n, at, x).median;
    }
    r->other_s = stats_of(c->item, s, n, offsetof(ba_ttft_sample, other_s), x).median;
    const ba_ttft_sample *last = NULL;
    for (size_t i = 0; i < n; i++) {
        last = s[i].item == c->item ? &s[i] : last;
    }
    r->flops_exact = (double)last->flops_exact;
    r->flops_dense = (double)last->flops_dense;
    r->flops_paper = (double)cost->flops_paper;
    r->flops_attention = (double)cost->flops_attention;
    r->bytes_read = (double)last->bytes_read;
    r->bytes_written = (double)last->bytes_written;
    r->kv_bytes = (double)cost->kv_bytes;
    r->work_bytes = (double)last->work_bytes;
    r->n_computed = (double)last->n_computed;
    r->n_reused = (double)last->n_reused;
    r->charged = last->charged;
    r->floor_s = ba_peak_floor(peak, r->flops_exact, r->bytes_read);
}

/* The row of another case of this prompt, or NULL. mode NULL: same mode and executor. */
static const ba_ttft_result *find(const ba_ttft_result *r, size_t n, const ba_ttft_result *like, const char *mode,
                                  bool cold) {
    for (size_t i = 0; i < n; i++) {
        bool same = mode ? strcmp(r[i].mode, mode) == 0
                         : strcmp(r[i].mode, like->mode) == 0 && strcmp(r[i].executor, like->executor) == 0;
        if (same && r[i].length == like->length && r[i].block_tokens == like->block_tokens &&
            (r[i].cold != 0) == cold) {
            return &r[i];
        }
    }
    return NULL;
}

/* The paper's figures: of full, and of block with its passages in memory. */
static void fill_paper(ba_ttft_result *r) {
    r->paper_ttft_s = r->paper_flops = NAN;
    const ba_paper_row *paper = r->question == BA_PAPER_QUESTION ? ba_paper_row_at(r->length) : NULL;
    if (paper && strcmp(r->mode, "full") == 0) {
        r->paper_ttft_s = 1e-3 * paper->ttft_full_ms;
        r->paper_flops = strtod(paper->flops_full, NULL);
    } else if (paper && strcmp(r->mode, "block") == 0 && !r->cold) {
        r->paper_ttft_s = 1e-3 * paper->ttft_block_ms;
        r->paper_flops = strtod(paper->flops_block, NULL);
    }
}

/* The counted times of a case into x; how many. */
static size_t times_of(size_t item, const ba_ttft_measured *m, double *x) {
    size_t n = 0;
    for (size_t i = 0; i < m->n_sample; i++) {
        if (m->sample[i].item == item && !m->sample[i].warmup) {
            x[n++] = m->sample[i].ttft_s;
        }
    }
    return n;
}

/* Results are in the order of the cases. x: scratch for twice all samples. */
static bool differ(const ba_ttft_result *a, const ba_ttft_result *b, const ba_ttft_result *all,
                   const ba_ttft_measured *m, double *x) {
    size_t n_a = times_of((size_t)(a - all), m, x), n_b = times_of((size_t)(b - all), m, x + n_a);
    return ba_told_apart(x, n_a, x + n_a, n_b);
}

static void compare(ba_ttft_result *r, const ba_ttft_result *all, const ba_ttft_measured *m, double *x) {
    const ba_ttft_result *full = find(all, m->n_case, r, "full", true);
    r->speedup = r->reduction_exact = r->reduction_dense = r->reduction_paper = r->breakeven = NAN;
    fill_paper(r);
    if (!full || full == r || strcmp(r->check, "pass") != 0 || strcmp(full->check, "pass") != 0) {
        return;
    }
    r->speedup = full->ttft_s_median / r->ttft_s_median;
    r->reduction_exact = 1 - r->flops_exact / full->flops_exact;
    r->reduction_dense = 1 - r->flops_dense / full->flops_dense;
    r->reduction_paper = 1 - r->flops_paper / full->flops_paper;
    const ba_ttft_result *cold = find(all, m->n_case, r, NULL, true), *warm = find(all, m->n_case, r, NULL, false);
    if (cold && warm && warm->ttft_s_median < full->ttft_s_median && differ(cold, full, all, m, x) &&
        differ(warm, full, all, m, x)) {
        double paid = cold->ttft_s_median - full->ttft_s_median, saved = full->ttft_s_median - warm->ttft_s_median;
        r->breakeven = paid <= 0 ? 0 : ceil(paid / saved);
    }
}

/* What a case is, before anything of it was measured. */
static ba_ttft_result result_of(const ba_ttft_case *c, const ba_ttft_unit *u) {
    ba_ttft_result r = {.length = c->length,
                        .question = c->question,
                        .block_tokens = c->block_tokens,
                        .passages = c->passages,
                        .cold = c->cold,
                        .timing_only = c->timing_only,
                        .max_dlogit = NAN};
    snprintf(r.mode, sizeof r.mode, "%s", c->mode);
    snprintf(r.executor, sizeof r.executor, "%s", c->executor);
    snprintf(r.reuse, sizeof r.reuse, "%s", u->reuse);
    ba_mode_budget(r.mode, r.budget, sizeof r.budget);
    snprintf(r.plan_hash, sizeof r.plan_hash, "%016" PRIx64 "%016" PRIx64, u->hash.hi, u->hash.lo);
    return r;
}

/* A least time above a measured one is none: its rates were measured while others used the machine. Then there is none
 * for any case. */
static void drop_broken_floors(ba_ttft_result *r, size_t n) {
    bool broken = false;
    for (size_t i = 0; i < n; i++) {
        broken |= r[i].floor_s > r[i].ttft_s_min;
    }
    for (size_t i = 0; i < n && broken; i++) {
        r[i].floor_s = NAN;
    }
}

int ba_ttft_results(const ba_ttft_measured *m, ba_ttft_result *out) {
    double *x = malloc((2 * m->n_sample + 3 * m->n_distance + 1) * sizeof *x);
    if (!x) {
        return -1;
    }
    for (size_t i = 0; i < m->n_case; i++) {
        const ba_ttft_case *c = &m->cases[i];
        ba_ttft_result *r = &out[i];
        *r = result_of(c, &m->units[c->unit]);
        fill_distances(c->unit, m, x, r);
        if (stats_of(i, m->sample, m->n_sample, offsetof(ba_ttft_sample, ttft_s), x).n > 0) {
            check(m->cases, i, m->sample, m->n_sample, r);
            fill(c, &m->units[c->unit], m->sample, m->n_sample, m->peak, x, r);
        }
        if (strcmp(r->check, "pass") != 0) {
            blank(r);
        }
    }
    drop_broken_floors(out, m->n_case);
    for (size_t i = 0; i < m->n_case; i++) {
        compare(&out[i], out, m, x);
    }
    free(x);
    return 0;
}
