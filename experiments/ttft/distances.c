/* Distances from full attention: every mode on several prompts of every size, not timed. */
#include "parts.h"

#include "experiments/measure/distance.h"
#include "experiments/measure/noise.h"
#include "sim/modes/modes.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One prompt in full attention. */
typedef struct reference {
    ba_prompt *prompt;
    double *logits; /* [vocab] */
    double noise_kl;
} reference;

int ba_ttft_make_distances(ba_ttft_state *s) {
    if (!s->w->distance) {
        return 0;
    }
    s->distance = calloc(s->n_unit * s->w->prompts + 1, sizeof *s->distance);
    return s->distance ? 0 : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
}

/* Logits of a mode into out [vocab]. 0, -1 and err, or BA_INTERRUPTED. */
static int logits_of(ba_ttft_state *s, const ba_prompt *prompt, const char *mode, double *out, char err[BA_ERR_LEN]) {
    ba_engine_options options = s->opt;
    ba_plan *plan = NULL;
    ba_run *run = NULL;
    const double *logits;
    options.executor = s->w->executor[BA_IN_PLACE] ? BA_IN_PLACE : BA_MERGE_KEYS;
    options.max_rows = BA_PASS_ROWS;
    int rc = ba_mode_plan(mode, prompt, &plan, err) ? -1 : ba_engine_run(s->b.engine, plan, &options, 0, &run, err);
    if (!rc && !(logits = ba_run_logits(run))) {
        rc = BA_INTERRUPTED;
    } else if (!rc && !(rc = ba_run_check(run, err))) {
        memcpy(out, logits, ba_engine_shape(s->b.engine)->vocab * sizeof *out);
    }
    ba_run_free(run);
    ba_plan_free(plan);
    return rc;
}

static int make_reference(ba_ttft_state *s, const ba_workload *text, const ba_noise *noise, reference *out,
                          char err[BA_ERR_LEN]) {
    out->prompt = ba_workload_prompt(s->b.tok, text, err);
    out->logits = malloc(ba_engine_shape(s->b.engine)->vocab * sizeof *out->logits);
    if (!out->prompt || !out->logits) {
        return out->prompt ? ba_fail(err, "out of memory") : -1;
    }
    int rc = logits_of(s, out->prompt, "full", out->logits, err);
    return rc ? rc : ba_noise_of(noise, out->prompt, &s->opt, out->logits, &out->noise_kl, err);
}

/* Prompt number k of a size in every mode: n_mode rows. */
static int measure_prompt(ba_ttft_state *s, size_t size, size_t k, const ba_noise *noise) {
    char err[BA_ERR_LEN];
    const ba_ttft_prompt *p = &s->prompt[size];
    const size_t vocab = ba_engine_shape(s->b.engine)->vocab;
    double *logits = malloc(vocab * sizeof *logits);
    reference full = {0};
    int rc =
        logits ? make_reference(s, k ? &p->more[k - 1] : &p->text, noise, &full, err) : ba_fail(err, "out of memory");
    const char *mode = "full";
    for (size_t m = 0; !rc && m < s->w->n_mode; m++) {
        mode = s->w->mode[m];
        if ((rc = logits_of(s, full.prompt, mode, logits, err))) {
            break;
        }
        ba_logit_distance far = ba_logit_compare(full.logits, logits, vocab);
        ba_ttft_distance *d = &s->distance[s->n_distance + m];
        *d = (ba_ttft_distance){.length = p->length,
                                .block_tokens = p->block,
                                .passages = p->text.n - 1,
                                .prompt = k,
                                .kl = far.kl,
                                .noise_kl = full.noise_kl,
                                .max_abs = far.max_abs,
                                .top1 = far.top1,
                                .top5 = far.top5,
                                .unit = size * s->w->n_mode + m};
        snprintf(d->mode, sizeof d->mode, "%s", mode);
    }
    free(logits);
    free(full.logits);
    ba_prompt_free(full.prompt);
    return rc ? ba_ttft_failed(mode, p->length, rc, err) : 0;
}

/* The rows of the prompt that was measured last. */
static int keep(ba_ttft_state *s) {
    char err[BA_ERR_LEN];
    int rc = 0;
    for (size_t m = 0; s->trace && !rc && m < s->w->n_mode; m++) {
        rc = ba_trace_append(s->trace, s->t_distance, &s->distance[s->n_distance + m], err);
    }
    rc = rc || !s->trace ? rc : ba_trace_commit_due(s->trace, err);
    s->n_distance += s->w->n_mode;
    return ba_tracing_exit(rc, err);
}

static int stop_on_interrupt(void *arg, ba_stage stage, uint64_t done, uint64_t total) {
    (void)arg;
    (void)stage;
    (void)done;
    (void)total;
    return ba_interrupted();
}

/* Without the floor the distances are still worth something: it goes on, and says so. */
static void open_noise(const ba_ttft_state *s, ba_noise *noise) {
    char err[BA_ERR_LEN];
    *noise = (ba_noise){.constant = NAN};
    if (!s->w->no_noise && ba_noise_open(s->b.model, s->b.engine, s->common->threads, s->opt.memory, noise, err) &&
        !s->common->quiet) {
        fprintf(stderr, "%s: the noise floor is not measured: %s\n", program_invocation_short_name, err);
    }
}

/* How many prompts of a size have their distances. */
static size_t measured_of(const ba_ttft_state *s, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_distance; i += s->w->n_mode) {
        n += ba_ttft_size_of(s, s->distance[i].unit) == size;
    }
    return n;
}

/* The missing prompts of a size. */
static int measure_size(ba_ttft_state *s, size_t size, ba_noise *noise) {
    int status = 0;
    for (size_t k = measured_of(s, size); !status && k < s->w->prompts; k++) {
        ba_store_clear(s->b.store);
        status = measure_prompt(s, size, k, noise);
        status = status ? status : keep(s);
        double sizes = s->only == SIZE_MAX ? (double)s->w->n_size : 1, before = s->only == SIZE_MAX ? (double)size : 0;
        ba_progress_update(&s->bar, (before + (double)(k + 1) / (double)s->w->prompts) / sizes);
    }
    return status;
}

int ba_ttft_measure_distances(ba_ttft_state *s) {
    const size_t first = s->only == SIZE_MAX ? 0 : s->only, end = s->only == SIZE_MAX ? s->w->n_size : s->only + 1;
    size_t missing = 0;
    ba_noise noise;
    int status = 0;
    for (size_t size = first; s->w->distance && size < end; size++) {
        missing += s->w->prompts - measured_of(s, size);
    }
    if (!missing) {
        return 0;
    }
    s->opt.progress = stop_on_interrupt;
    s->held = SIZE_MAX;
    open_noise(s, &noise);
    ba_progress_start(&s->bar, "distances", s->common->quiet);
    for (size_t size = first; !status && size < end; size++) {
        status = measure_size(s, size, &noise);
    }
    ba_progress_end(&s->bar);
    ba_noise_close(&noise);
    return status;
}
