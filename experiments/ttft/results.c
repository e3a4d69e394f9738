/* From samples to rows: statistics, checks, and comparisons between cases. */
#include "ttft.h"

#include "experiments/measure/stats.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const ba_table3 *ba_table3_of(size_t length) {
    static const ba_table3 table[] = {
        {50, 0.026, 0.026, 7.5e11, 7.5e11, "-"},         {512, 0.050, 0.026, 7.6e12, 7.5e11, "90.1%"},
        {1024, 0.087, 0.026, 1.5e13, 7.5e11, "95.0%"},   {2048, 0.167, 0.026, 3.0e13, 7.5e11, "97.5%"},
        {4096, 0.330, 0.027, 6.1e13, 7.5e11, "98.7%"},   {8192, 0.691, 0.029, 1.2e14, 7.5e11, "99.3%"},
        {16384, 1.515, 0.034, 2.45e14, 7.5e11, "99.6%"}, {32768, 3.638, 0.045, 4.9e14, 7.5e11, "99.8%"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].length == length) {
            return &table[i];
        }
    }
    return NULL;
}

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
    double *const figure[] = {
        &r->ttft_s_median,   &r->ttft_s_min, &r->ttft_s_mad, &r->flops_exact, &r->flops_dense, &r->flops_paper,
        &r->bytes_read,      &r->kv_bytes,   &r->n_computed, &r->n_reused,    &r->other_s,     &r->bytes_written,
        &r->flops_attention, &r->work_bytes, &r->floor_s,    &r->kl,          &r->max_abs};
    for (size_t i = 0; i < sizeof figure / sizeof *figure; i++) {
        *figure[i] = NAN;
    }
    for (size_t i = 0; i < BA_STAGE_COUNT; i++) {
        r->stage[i] = NAN;
    }
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
    r->kl = last->kl;
    r->max_abs = last->max_abs;
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

static void compare(ba_ttft_result *r, const ba_ttft_result *all, size_t n) {
    const ba_ttft_result *full = find(all, n, r, "full", true);
    r->speedup = r->reduction_exact = r->reduction_dense = r->reduction_paper = r->breakeven = NAN;
    r->paper_ttft_s = r->paper_flops = NAN;
    const ba_table3 *paper = ba_table3_of(r->length);
    if (paper && r->question == 50 && strcmp(r->mode, "full") == 0) {
        r->paper_ttft_s = paper->full_s;
        r->paper_flops = paper->full_flops;
    } else if (paper && r->question == 50 && strcmp(r->mode, "block") == 0 && !r->cold) {
        r->paper_ttft_s = paper->block_s;
        r->paper_flops = paper->block_flops;
    }
    if (!full || full == r || strcmp(r->check, "pass") != 0 || strcmp(full->check, "pass") != 0) {
        return;
    }
    r->speedup = full->ttft_s_median / r->ttft_s_median;
    r->reduction_exact = 1 - r->flops_exact / full->flops_exact;
    r->reduction_dense = 1 - r->flops_dense / full->flops_dense;
    r->reduction_paper = 1 - r->flops_paper / full->flops_paper;
    const ba_ttft_result *cold = find(all, n, r, NULL, true), *warm = find(all, n, r, NULL, false);
    if (cold && warm && warm->ttft_s_median < full->ttft_s_median) {
        double paid = cold->ttft_s_median - full->ttft_s_median, saved = full->ttft_s_median - warm->ttft_s_median;
        r->breakeven = paid <= 0 ? 0 : ceil(paid / saved);
    }
}

int ba_ttft_results(const ba_ttft_case *cases, size_t n_case, const ba_ttft_unit *units, const ba_ttft_sample *samples,
                    size_t n_sample, const ba_peak *peak, ba_ttft_result *out) {
    double *x = malloc((n_sample + 1) * sizeof *x);
    if (!x) {
        return -1;
    }
    for (size_t i = 0; i < n_case; i++) {
        const ba_ttft_case *c = &cases[i];
        ba_ttft_result *r = &out[i];
        *r = (ba_ttft_result){.length = c->length,
                              .question = c->question,
                              .block_tokens = c->block_tokens,
                              .passages = c->passages,
                              .cold = c->cold,
                              .timing_only = c->timing_only,
                              .max_dlogit = NAN};
        snprintf(r->mode, sizeof r->mode, "%s", c->mode);
        snprintf(r->executor, sizeof r->executor, "%s", c->executor);
        const ba_key key = units[c->unit].hash;
        snprintf(r->plan_hash, sizeof r->plan_hash, "%016" PRIx64 "%016" PRIx64, key.hi, key.lo);
        if (stats_of(i, samples, n_sample, offsetof(ba_ttft_sample, ttft_s), x).n > 0) {
            check(cases, i, samples, n_sample, r);
            fill(c, &units[c->unit], samples, n_sample, peak, x, r);
        }
        if (strcmp(r->check, "pass") != 0) {
            blank(r);
        }
    }
    free(x);
    for (size_t i = 0; i < n_case; i++) {
        compare(&out[i], out, n_case);
    }
    return 0;
}
