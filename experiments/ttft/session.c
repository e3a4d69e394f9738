#include "parts.h"

#include "experiments/cli/ask.h"
#include "experiments/work/timing_lock.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DATA = 1 << 30 };

/* ---- results ---- */

static void fill_facts(const ba_ttft_state *s, ba_ttft_result *r) {
    snprintf(r->schema, sizeof r->schema, "%s", BA_TTFT_SCHEMA);
    snprintf(r->model_hash, sizeof r->model_hash, "%s", ba_environment_get(&s->env, "model_hash"));
    snprintf(r->commit, sizeof r->commit, "%s", ba_environment_get(&s->env, "commit"));
    r->model = ba_environment_get(&s->env, "model");
    r->backend = ba_environment_get(&s->env, "backend");
    r->libraries = ba_environment_get(&s->env, "libraries");
    r->cpu = ba_environment_get(&s->env, "cpu");
    r->command = ba_environment_get(&s->env, "command");
    r->threads = s->common->threads;
    r->seed = s->common->seed;
}

static void print_results(const ba_ttft_state *s, const ba_ttft_result *r, size_t n) {
    ba_rows_format format = s->common->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV;
    if (s->common->format != BA_FORMAT_TABLE) {
        ba_rows_begin(stdout, format, ba_ttft_result_columns);
        for (size_t i = 0; i < n; i++) {
            ba_rows_print(stdout, format, ba_ttft_result_columns, &r[i], i == 0);
        }
        ba_rows_end(stdout, format);
        return;
    }
    if (s->b.be->ops->device) {
        printf("%s, %s, %s, driver %s, %s\n", ba_environment_get(&s->env, "model"),
               ba_environment_get(&s->env, "backend"), ba_environment_get(&s->env, "device"), s->device.driver,
               s->device.state);
    } else {
        printf("%s, %s, %zu thread%s, %s\n", ba_environment_get(&s->env, "model"),
               ba_environment_get(&s->env, "backend"), s->common->threads, s->common->threads == 1 ? "" : "s",
               ba_environment_get(&s->env, "cpu"));
    }
    printf("question of %zu tokens, passages of %s; at least %zu samples and %g s a case\n", s->w->question,
           s->w->blocks, s->w->repeat, s->w->min_time);
    ba_ttft_print(r, n, &s->peak, s->w->profile);
    if (s->account) {
        ba_ttft_print_profile(r, s->account, s->n_case);
    }
}

/* Of a shard, only the results of its own cases, which come first then; how many there are. */
static size_t keep_measured(const ba_ttft_state *s, ba_ttft_result *r) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_case; i++) {
        bool own = false;
        for (size_t k = 0; k < s->n_sample; k++) {
            own = own || s->sample[k].item == i;
        }
        if (own) {
            r[n++] = r[i];
        }
    }
    return n;
}

/* Prints and writes the results so far, also after an interruption. 0 or 1, or another exit status if they cannot be
 * written. */
static int report(ba_ttft_state *s, bool complete) {
    ba_ttft_result *r = calloc(s->n_case, sizeof *r);
    const ba_ttft_measured all = {s->cases,    s->n_case,   s->unit,       s->sample,
                                  s->n_sample, s->distance, s->n_distance, &s->peak};
    if (!r || ba_ttft_results(&all, r)) {
        free(r);
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    bool failed = false;
    for (size_t i = 0; i < s->n_case; i++) {
        fill_facts(s, &r[i]);
        failed |= strcmp(r[i].check, "fail") == 0;
    }
    const size_t n = s->common->part.count ? keep_measured(s, r) : s->n_case;
    int status = ba_ttft_write(s, r, n, complete);
    if (s->n_sample > 0) {
        print_results(s, r, n);
    }
    if (s->trace && !complete && !status) {
        fprintf(stderr, "%s: not finished; finished samples are kept in %s; --resume continues\n",
                program_invocation_short_name, ba_trace_path(s->trace));
    }
    free(r);
    return status ? status : failed ? BA_EXIT_CHECK : BA_EXIT_OK;
}

/* ---- all together ---- */

/* Opens the model, makes prompts and cases from the text of --data (or NULL), and describes the run. */
static int make_cases(ba_ttft_state *s, const char *text, size_t text_len, int argc, char **argv) {
    int status = ba_session_open(s->common, &s->b);
    if (status) {
        return status;
    }
    status = ba_ttft_make_prompts(s, text, text_len);
    if (status) {
        return status;
    }
    ba_store_use_tiers(s->b.store, false); /* a cold case starts with an empty store, also after earlier runs */
    status = ba_ttft_make_units(s);
    if (status) {
        return status;
    }
    status = ba_ttft_make_cases(s);
    status = status ? status : ba_ttft_plan_work(s);
    status = status ? status : ba_ttft_make_distances(s);
    return status ? status : ba_ttft_describe(s, argc, argv, text, text_len);
}

/* The text of --data decides prompts; it is not needed afterwards. */
static int prepare_session(ba_ttft_state *s, int argc, char **argv) {
    char err[BA_ERR_LEN], *text = NULL;
    size_t text_len = 0;
    if (s->w->data && s->common->shape.name) {
        return ba_cli_fail(BA_EXIT_USAGE, "--data: a shape has no vocabulary for texts; its prompts are random ids");
    }
    if (s->w->data && ba_read_file(s->w->data, MAX_DATA, &text, &text_len, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    bool binary = text && memchr(text, 0, text_len);
    int status = binary ? ba_cli_fail(BA_EXIT_USAGE, "%s: holds a NUL byte: --data needs a text", s->w->data)
                        : make_cases(s, text, text_len, argc, argv);
    free(text);
    return status;
}

/* One line on what makes timings on the device unreliable, at the beginning and at the end of the measurement. */
static void warn_of_device(ba_ttft_state *s) {
    if (s->b.be->ops->device) {
        s->b.be->ops->device(s->b.be, &s->device);
        if (*s->device.warning && !s->common->quiet) {
            fprintf(stderr, "%s: %s: %s: timings are not those of a quiet card\n", program_invocation_short_name,
                    s->device.name, s->device.warning);
        }
    }
}

/* A size of prompts, or all: times, then distances. */
static int measure_only(ba_ttft_state *s, size_t size) {
    s->only = size;
    int status = ba_ttft_measure(s);
    return status ? status : ba_ttft_measure_distances(s);
}

/* An item of the list of work, with the sockets and the card for this process alone. */
static int measure_item(ba_ttft_state *s, size_t item) {
    char err[BA_ERR_LEN];
    ba_timing_lock lock;
    int locked = ba_timing_lock_take(&lock, s->b.be, s->common->quiet, err);
    if (locked) {
        return locked > 0 ? BA_EXIT_INTERRUPTED : ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    int status = measure_only(s, (size_t)s->work.item[item].index);
    ba_timing_lock_drop(&lock);
    if (!status) {
        int rc = ba_work_finish(&s->work, s->trace, item, err);
        status = ba_tracing_exit(rc ? rc : ba_trace_commit(s->trace, err), err);
    }
    return status;
}

static int measure_part(ba_ttft_state *s) {
    char err[BA_ERR_LEN];
    for (size_t item;;) {
        if (ba_work_next(&s->work, &item, err)) {
            return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
        }
        int status = item == SIZE_MAX ? 0 : measure_item(s, item);
        if (status || item == SIZE_MAX) {
            return status;
        }
    }
}

static int run_session(ba_ttft_state *s, int argc, char **argv) {
    int status = prepare_session(s, argc, argv);
    if (status) {
        return status;
    }
    warn_of_device(s);
    if (ba_peak_of(s->b.be, s->common->threads, &s->peak)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "the peaks of the machine: no memory, or no threads (ulimit -u)");
    }
    status = ba_ttft_open_trace(s);
    if (status) {
        return status;
    }
    status = s->common->part.count ? measure_part(s) : measure_only(s, SIZE_MAX);
    if (status && status != BA_EXIT_INTERRUPTED && status != BA_EXIT_MACHINE) {
        return status;
    }
    warn_of_device(s);
    ba_peak after;
    if (!status &&
        !ba_peak_of(s->b.be, s->common->threads, &after)) { /* the machine may have been busy the first time */
        s->peak.flops = fmax(s->peak.flops, after.flops);
        s->peak.bytes = fmax(s->peak.bytes, after.bytes);
    }
    int reported = report(s, status == 0);
    return status ? status : reported;
}

static void close_session(ba_ttft_state *s) {
    ba_trace_close(s->trace);
    for (size_t i = 0; i < s->n_unit; i++) {
        ba_ttft_unit_free(&s->unit[i]);
    }
    for (size_t i = 0; i < s->n_prompt; i++) {
        ba_ttft_prompt_free(&s->prompt[i]);
    }
    free(s->unit);
    free(s->prompt);
    free(s->cases);
    free(s->account);
    free(s->group);
    free(s->sample);
    free(s->distance);
    free(s->weight);
    free(s->order);
    ba_work_free(&s->work);
    ba_environment_free(&s->env);
    ba_session_close(&s->b);
}

int ba_ttft_session(const ba_ttft_options *options, const ba_common *common, int argc, char **argv) {
    ba_ttft_state s = {.common = common, .w = options, .held = SIZE_MAX, .opt = ba_run_options(common)};
    ba_catch_interrupt();
    int status = run_session(&s, argc, argv);
    close_session(&s);
    return status;
}
