/* Samples of the cases, in the order of visits. */
#include "experiments/cli/announce.h"
#include "parts.h"

#include "experiments/measure/protocol.h"
#include "kernels/base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int ba_ttft_failed(const char *mode, size_t length, int rc, const char *err) {
    if (rc == BA_INTERRUPTED || ba_interrupted()) {
        return BA_EXIT_INTERRUPTED;
    }
    bool machine = strstr(err, "out of memory") || strstr(err, BA_DEVICE_FAILED);
    return ba_cli_fail(machine ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s, %zu tokens: %s", mode, length, err);
}

static int run_case(ba_ttft_state *s, const ba_ttft_case *c, ba_ttft_sample *out) {
    char err[BA_ERR_LEN] = "";
    if (c->cold) {
        ba_store_clear(s->b.store);
        if (s->b.tok) {
            ba_tokenizer_forget(s->b.tok); /* text that never came before is tokenised, too */
        }
        s->held = SIZE_MAX;
    }
    int rc = ba_ttft_take(&s->b, &s->unit[c->unit], c, &s->opt, out, err);
    if (rc) {
        return ba_ttft_failed(c->mode, c->length, rc, err);
    }
    s->held = c->unit;
    return 0;
}

/* Not timed: puts the blocks of a warm case into the store, and computes the logits of the first executor for the
 * comparison. */
static int prepare(void *arg, size_t item) {
    ba_ttft_state *s = arg;
    ba_ttft_case first = s->cases[item];
    ba_executor how = s->w->executor[BA_IN_PLACE] ? BA_IN_PLACE : BA_MERGE_KEYS;
    bool reference = s->unit[first.unit].reference || (first.cold && first.how == how);
    if (reference && (first.cold || s->held == first.unit)) {
        return 0;
    }
    ba_ttft_sample unused;
    first.cold = true;
    first.how = how;
    return run_case(s, &first, &unused);
}

static int take(void *arg, size_t item, double *seconds) {
    ba_ttft_state *s = arg;
    double start = ba_now() - s->start;
    const ba_ttft_case *c = &s->cases[item];
    s->last = (ba_ttft_sample){
        .item = item, .start_s = start, .length = c->length, .block_tokens = c->block_tokens, .cold = c->cold};
    snprintf(s->last.mode, sizeof s->last.mode, "%s", c->mode);
    snprintf(s->last.executor, sizeof s->last.executor, "%s", c->executor);
    s->now = s->weight[item];
    s->opt.profile = s->account ? &s->account[item].profile : NULL;
    int status = run_case(s, &s->cases[item], &s->last);
    s->opt.profile = NULL;
    *seconds = s->last.ttft_s;
    if (s->account && !status) {
        s->account[item].n++;
        s->account[item].seconds += s->last.ttft_s;
    }
    return status;
}

int ba_ttft_remember(ba_ttft_state *s, const ba_ttft_sample *sample) {
    if (s->n_sample == s->room) {
        size_t room = s->room ? 2 * s->room : 256;
        ba_ttft_sample *more = realloc(s->sample, room * sizeof *more);
        if (!more) {
            return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        }
        s->sample = more;
        s->room = room;
    }
    s->sample[s->n_sample++] = *sample;
    return 0;
}

static int keep(void *arg, const ba_timing *t) {
    ba_ttft_state *s = arg;
    char err[BA_ERR_LEN];
    s->last.visit = t->visit;
    s->last.round = t->round;
    s->last.warmup = t->warmup;
    s->last.order = s->n_sample;
    int rc = ba_ttft_remember(s, &s->last);
    if (rc || !s->trace) {
        return rc;
    }
    rc = ba_trace_append(s->trace, s->t_sample, &s->last, err);
    if (!rc) {
        rc = ba_trace_commit_due(s->trace, err);
    }
    if (rc) {
        return ba_tracing_exit(rc, err);
    }
    return ba_interrupted() ? BA_EXIT_INTERRUPTED : 0;
}

static int within_sample(void *arg, ba_stage stage, uint64_t done, uint64_t total) {
    ba_ttft_state *s = arg;
    (void)stage;
    double part = total ? (double)done / (double)total : 0;
    ba_progress_update(&s->bar, (s->done + part * s->now) / s->total);
    return ba_interrupted();
}

static void visited(void *arg, size_t visit, size_t total) {
    ba_ttft_state *s = arg;
    (void)total;
    s->done += s->weight[s->order[visit]];
    s->now = 0;
    ba_progress_update(&s->bar, s->done / s->total);
}

/* Whether a case is of the size that is measured. */
static bool is_asked(const ba_ttft_state *s, size_t item) {
    return s->only == SIZE_MAX || ba_ttft_size_of(s, s->cases[item].unit) == s->only;
}

/* Expected seconds at two thirds of the peak rate. */
static int expect(ba_ttft_state *s, const ba_measure *m) {
    free(s->weight);
    free(s->order);
    s->total = s->done = 0;
    s->weight = calloc(s->n_case, sizeof *s->weight);
    s->order = calloc(m->repeat * m->n, sizeof *s->order);
    if (!s->weight || !s->order || ba_measure_order(m, s->order)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < s->n_case; i++) {
        const ba_ttft_unit *u = &s->unit[s->cases[i].unit];
        double flops = (double)(s->cases[i].cold ? u->cold : u->warm).flops_exact;
        s->weight[i] = 1.5 * flops / s->peak.flops + m->min_time / (double)m->repeat;
        s->weight[i] = is_asked(s, i) ? s->weight[i] : 0;
        s->total += s->weight[i] * (double)m->repeat;
    }
    return 0;
}

/* What is left to do. measured: [n] seconds of each visit so far. */
static void announce(const ba_ttft_state *s, const double *measured, size_t n) {
    double left = 0;
    for (size_t v = 0; v < n; v++) {
        left += measured[v] > 0 ? 0 : s->weight[s->order[v]];
    }
    ba_announce(s->n_case, "cases", left, s->trace, s->common->quiet);
}

int ba_ttft_measure(ba_ttft_state *s) {
    const ba_ttft_options *w = s->w;
    ba_measure m = {.repeat = w->repeat,
                    .min_time = w->min_time,
                    .seed = s->common->seed,
                    .group = s->group,
                    .n = s->n_case,
                    .prepare = prepare,
                    .take = take,
                    .keep = keep,
                    .visited = visited,
                    .arg = s};
    int status = expect(s, &m);
    if (status) {
        return status;
    }
    double *measured = calloc(m.repeat * m.n, sizeof *measured);
    if (!measured) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < s->n_sample; i++) {
        measured[s->sample[i].visit] += s->sample[i].warmup ? 0 : s->sample[i].ttft_s;
    }
    for (size_t v = 0; v < m.repeat * m.n; v++) {
        measured[v] = is_asked(s, s->order[v]) ? measured[v] : HUGE_VAL; /* as if there were enough samples */
    }
    announce(s, measured, m.repeat * m.n);
    s->opt.progress = within_sample;
    s->opt.arg = s;
    s->start = ba_now();
    ba_progress_start(&s->bar, "ttft", s->common->quiet);
    status = ba_measure_run(&m, measured);
    ba_progress_end(&s->bar);
    if (status < 0) {
        status = ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    free(measured);
    return status;
}
