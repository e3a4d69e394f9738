#include "summary.h"

#include "experiments/measure/stats.h"
#include "sim/modes/modes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY(member, type, unit) BA_COLUMN(ba_eval_summary, member, type, unit)
const ba_column ba_eval_summary_columns[] = {SUMMARY(label, BA_COLUMN_TEXT, ""),
                                             SUMMARY(task, BA_COLUMN_TEXT, ""),
                                             SUMMARY(mode, BA_COLUMN_TEXT, ""),
                                             SUMMARY(metric, BA_COLUMN_TEXT, ""),
                                             SUMMARY(n, BA_COLUMN_U64, ""),
                                             SUMMARY(n_long, BA_COLUMN_U64, ""),
                                             SUMMARY(n_no_answer, BA_COLUMN_U64, ""),
                                             SUMMARY(score, BA_COLUMN_F64, ""),
                                             SUMMARY(score_low, BA_COLUMN_F64, ""),
                                             SUMMARY(score_high, BA_COLUMN_F64, ""),
                                             SUMMARY(em, BA_COLUMN_F64, ""),
                                             SUMMARY(f1, BA_COLUMN_F64, ""),
                                             SUMMARY(nll, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(nll_low, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(nll_high, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(n_answerable, BA_COLUMN_U64, ""),
                                             SUMMARY(answerable, BA_COLUMN_F64, ""),
                                             SUMMARY(answerable_low, BA_COLUMN_F64, ""),
                                             SUMMARY(answerable_high, BA_COLUMN_F64, ""),
                                             SUMMARY(score_change, BA_COLUMN_F64, ""),
                                             SUMMARY(score_change_low, BA_COLUMN_F64, ""),
                                             SUMMARY(score_change_high, BA_COLUMN_F64, ""),
                                             SUMMARY(p, BA_COLUMN_F64, ""),
                                             SUMMARY(nll_change, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(nll_change_low, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(nll_change_high, BA_COLUMN_F64, "nat/token"),
                                             SUMMARY(verdict, BA_COLUMN_TEXT, ""),
                                             SUMMARY(nll_verdict, BA_COLUMN_TEXT, ""),
                                             SUMMARY(ttft_s, BA_COLUMN_F64, "s"),
                                             SUMMARY(ttft_cold_s, BA_COLUMN_F64, "s"),
                                             SUMMARY(flops, BA_COLUMN_F64, "FLOP"),
                                             SUMMARY(flops_fraction, BA_COLUMN_F64, ""),
                                             SUMMARY(budget, BA_COLUMN_TEXT, ""),
                                             SUMMARY(charged, BA_COLUMN_F64, ""),
                                             BA_COLUMNS_END};

static bool is_done(const ba_eval_row *r) {
    return r->state && strcmp(r->state, "done") == 0;
}

static bool is_of(const ba_eval_row *r, const char *label, const char *task, const char *mode) {
    return !strcmp(r->label, label) && !strcmp(r->task, task) && !strcmp(r->mode, mode);
}

static const ba_eval_row *find(const ba_eval_rows *rows, const char *label, const char *task, const char *mode,
                               uint64_t index) {
    ba_eval_row like = {.index = index};
    snprintf(like.label, sizeof like.label, "%s", label);
    snprintf(like.task, sizeof like.task, "%s", task);
    snprintf(like.mode, sizeof like.mode, "%s", mode);
    const ba_eval_row *found = ba_eval_rows_find(rows, &like);
    return found && is_done(found) ? found : NULL;
}

/* Values of some items, and what they are divided by. */
typedef struct sample {
    double *top, *bottom; /* [n] */
    size_t n;
} sample;

static int sample_new(sample *s, size_t room) {
    *s = (sample){calloc(room + 1, sizeof(double)), calloc(room + 1, sizeof(double)), 0};
    return s->top && s->bottom ? 0 : -1;
}

static void sample_free(sample *s) {
    free(s->top);
    free(s->bottom);
}

static void put(sample *s, double top, double bottom) {
    if (isfinite(top) && bottom > 0) {
        s->top[s->n] = top;
        s->bottom[s->n++] = bottom;
    }
}

static ba_mean mean_of(const sample *s) {
    return ba_mean_of(s->top, s->bottom, s->n);
}

static double median(sample *s) {
    return ba_stats_of(s->top, s->n).median;
}

int ba_eval_contrast_of(const ba_eval_rows *rows, const char *label_a, const char *mode_a, const char *label_b,
                        const char *mode_b, const char *task, ba_eval_contrast *out) {
    sample score = {0}, nll = {0};
    *out = (ba_eval_contrast){.p = NAN};
    if (sample_new(&score, rows->n) || sample_new(&nll, rows->n)) {
        sample_free(&score);
        sample_free(&nll);
        return -1;
    }
    for (size_t i = 0; i < rows->n; i++) {
        const ba_eval_row *a = &rows->row[i];
        const ba_eval_row *b =
            is_done(a) && is_of(a, label_a, task, mode_a) ? find(rows, label_b, task, mode_b, a->index) : NULL;
        if (b) {
            put(&score, a->score - b->score, 1);
            put(&nll, a->nll - b->nll, (double)a->n_answer_tokens);
            out->only_a += a->score > b->score;
            out->only_b += a->score < b->score;
            out->graded = out->graded || (a->score != 0 && a->score != 1) || (b->score != 0 && b->score != 1);
            out->n++;
        }
    }
    out->score = ba_mean_change(score.top, score.n);
    out->nll = mean_of(&nll);
    out->p = score.n ? ba_mcnemar(out->only_a, out->only_b) : NAN;
    sample_free(&score);
    sample_free(&nll);
    return 0;
}

ba_equivalence ba_eval_score_verdict(const ba_eval_contrast *c, const ba_margins *m) {
    return ba_equivalence_of(c->score.low, c->score.high, m->score, true);
}

ba_equivalence ba_eval_nll_verdict(const ba_eval_contrast *c, const ba_margins *m) {
    return ba_equivalence_of(c->nll.low, c->nll.high, m->nll, false);
}

enum { SCORE, EM, F1, NLL, ANSWERABLE, TTFT, COLD, FLOPS, FLOPS_FULL, CHARGED, SAMPLES };

/* Collects the values of one summary. */
static void collect(const ba_eval_rows *rows, const ba_eval_row *like, sample s[SAMPLES], ba_eval_summary *out) {
    for (size_t i = 0; i < rows->n; i++) {
        const ba_eval_row *r = &rows->row[i];
        if (!is_of(r, like->label, like->task, like->mode)) {
            continue;
        }
        if (!is_done(r)) {
            bool is_long = r->state && !strcmp(r->state, "too long");
            out->n_long += is_long;
            out->n_no_answer += !is_long;
            continue;
        }
        const ba_eval_row *full = find(rows, r->label, r->task, "full", r->index);
        out->n++;
        put(&s[SCORE], r->score, 1);
        put(&s[EM], r->em, 1);
        put(&s[F1], r->f1, 1);
        put(&s[NLL], r->nll, (double)r->n_answer_tokens);
        put(&s[TTFT], r->ttft_s, 1);
        put(&s[COLD], r->ttft_cold_s, 1);
        put(&s[FLOPS], r->flops, 1);
        put(&s[CHARGED], r->charged, 1);
        if (full) {
            put(&s[FLOPS_FULL], r->flops, full->flops);
            if (full->score >= 0.5) {
                put(&s[ANSWERABLE], r->score, 1);
            }
        }
    }
}

/* The change from full attention, if it was run; full itself is not held against itself. */
static int contrast(const ba_eval_rows *rows, const ba_margins *margins, ba_eval_summary *out) {
    ba_eval_contrast c;
    if (ba_eval_contrast_of(rows, out->label, out->mode, out->label, "full", out->task, &c)) {
        return -1;
    }
    bool against_full = c.n > 0 && strcmp(out->mode, "full") != 0;
    out->score_change = c.score.mean, out->score_change_low = c.score.low, out->score_change_high = c.score.high;
    out->nll_change = c.nll.mean, out->nll_change_low = c.nll.low, out->nll_change_high = c.nll.high;
    out->p = c.p;
    if (against_full && c.score.n) {
        snprintf(out->verdict, sizeof out->verdict, "%s", ba_equivalence_name(ba_eval_score_verdict(&c, margins)));
    }
    if (against_full && c.nll.n) {
        snprintf(out->nll_verdict, sizeof out->nll_verdict, "%s",
                 ba_equivalence_name(ba_eval_nll_verdict(&c, margins)));
    }
    return 0;
}

static int summarise(const ba_eval_rows *rows, const ba_eval_row *like, const ba_margins *margins, sample s[SAMPLES],
                     ba_eval_summary *out) {
    const ba_task *task = ba_task_by_name(like->task);
    *out = (ba_eval_summary){0};
    memcpy(out->label, like->label, sizeof out->label);
    memcpy(out->task, like->task, sizeof out->task);
    memcpy(out->mode, like->mode, sizeof out->mode);
    snprintf(out->metric, sizeof out->metric, "%s", task ? task->metric : "best_subspan_em");
    collect(rows, like, s, out);
    ba_mean score = ba_mean_score(s[SCORE].top, s[SCORE].n), nll = mean_of(&s[NLL]),
            answerable = ba_mean_score(s[ANSWERABLE].top, s[ANSWERABLE].n);
    out->score = score.mean, out->score_low = score.low, out->score_high = score.high;
    out->em = mean_of(&s[EM]).mean, out->f1 = mean_of(&s[F1]).mean;
    out->nll = nll.mean, out->nll_low = nll.low, out->nll_high = nll.high;
    out->n_answerable = s[ANSWERABLE].n;
    out->answerable = answerable.mean;
    out->answerable_low = answerable.low, out->answerable_high = answerable.high;
    out->ttft_s = median(&s[TTFT]), out->ttft_cold_s = median(&s[COLD]);
    out->flops = mean_of(&s[FLOPS]).mean, out->flops_fraction = mean_of(&s[FLOPS_FULL]).mean;
    out->charged = mean_of(&s[CHARGED]).mean;
    ba_mode_budget(out->mode, out->budget, sizeof out->budget);
    return contrast(rows, margins, out);
}

ba_eval_summary *ba_eval_summarise(const ba_eval_rows *rows, const ba_margins *margins, size_t *n) {
    ba_eval_summary *out = calloc(rows->n + 1, sizeof *out);
    *n = 0;
    for (size_t i = 0; out && i < rows->n; i++) {
        const ba_eval_row *r = &rows->row[i];
        bool known = false;
        for (size_t k = 0; k < *n && !known; k++) {
            known = is_of(r, out[k].label, out[k].task, out[k].mode);
        }
        if (known) {
            continue;
        }
        sample s[SAMPLES] = {{0}};
        int rc = 0;
        for (size_t k = 0; k < SAMPLES; k++) {
            rc = sample_new(&s[k], rows->n) || rc;
        }
        if (!rc) {
            rc = summarise(rows, r, margins, s, &out[(*n)++]);
        }
        for (size_t k = 0; k < SAMPLES; k++) {
            sample_free(&s[k]);
        }
        if (rc) {
            free(out);
            out = NULL;
        }
    }
    return out;
}
