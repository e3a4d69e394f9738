#include "ttft_session.h"

#include "ask.h"
#include "environment.h"
#include "measure.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#define SCHEMA "blockattn-ttft-2"

enum { MAX_DATA = 1 << 30 };

/* One call of the program: one row of the table `sessions`. */
typedef struct sitting {
    const char *command;
    double unix_time_s;
    ba_peak peak;
} sitting;

static const ba_column sitting_columns[] = {
    BA_COLUMN(sitting, command, BA_COLUMN_STRING, ""),
    BA_COLUMN(sitting, unix_time_s, BA_COLUMN_F64, "s"),
    {"peak_flops_per_s", BA_COLUMN_F64, offsetof(sitting, peak.flops), sizeof(double), "FLOP/s"},
    {"peak_bytes_per_s", BA_COLUMN_F64, offsetof(sitting, peak.bytes), sizeof(double), "B/s"},
    {.name = NULL}};

typedef struct session {
    const ba_common *common;
    const ba_ttft_wish *w;
    ba_bench b;
    ba_engine_options opt;
    ba_environment env;
    ba_peak peak;
    ba_ttft_prompt *prompt; /* [n_prompt] */
    size_t n_prompt;
    ba_ttft_unit *unit; /* [n_size * n_mode] */
    size_t n_unit;
    ba_ttft_case *cases; /* [n_case] */
    size_t *group;       /* [n_case] */
    size_t n_case;
    ba_ttft_sample *sample; /* [n_sample] all that were ever taken, in order */
    size_t n_sample, room;
    ba_ttft_sample last;
    ba_ttft_account *account; /* [n_case], or NULL: not asked for */
    size_t held;              /* unit whose blocks are in the store; SIZE_MAX: none */
    double start;
    ba_trace *trace; /* or NULL */
    size_t t_result, t_sample, t_case, t_session;
    /* progress */
    ba_progress bar;
    double *weight; /* [n_case] expected seconds of a visit */
    size_t *order;  /* [repeat * n_case] */
    double done, now, total;
} session;

/* ---- cases ---- */

/* A warm case needs a store that holds the whole prompt. */
static int check_store(const session *s, const ba_ttft_unit *u) {
    double reused = (double)u->warm.n_reused, all = reused + (double)u->warm.n_computed;
    double needed = (double)u->warm.kv_bytes * reused / all, budget = (double)ba_store_get_stats(s->b.store).budget;
    if (!s->w->warm || needed <= budget) {
        return 0;
    }
    char want[32], have[32];
    ba_print_bytes(want, sizeof want, needed);
    ba_print_bytes(have, sizeof have, budget);
    return ba_cli_fail(BA_EXIT_USAGE, "--store holds %s, the passages of %zu tokens in mode %s take %s: raise it", have,
                       u->prompt->length, u->mode, want);
}

static int make_prompts(session *s, const char *text, size_t text_len) {
    const ba_ttft_wish *w = s->w;
    char err[BA_ERR_LEN];
    if (!(s->prompt = calloc(w->n_size, sizeof *s->prompt))) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < w->n_size; i++) {
        size_t length = w->size[i].length, block = w->size[i].block;
        const ba_workload_spec spec = {length, w->question, block, text, text_len, s->common->seed};
        ba_ttft_prompt *p = &s->prompt[s->n_prompt++];
        *p = (ba_ttft_prompt){.length = length, .block = block};
        if (ba_workload_new(s->b.tok, &spec, &p->text, err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s%s%zu tokens in passages of %zu: %s", w->data ? w->data : "",
                               w->data ? ": " : "", length, block, err);
        }
    }
    return 0;
}

static int make_units(session *s) {
    const ba_ttft_wish *w = s->w;
    char err[BA_ERR_LEN];
    if (!(s->unit = calloc(w->n_size * w->n_mode, sizeof *s->unit))) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < w->n_size * w->n_mode; i++) {
        ba_ttft_unit *u = &s->unit[s->n_unit++];
        u->mode = w->mode[i % w->n_mode];
        u->prompt = &s->prompt[i / w->n_mode];
        if (ba_ttft_unit_plan(&s->b, u, err)) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s, %zu tokens: %s", u->mode, u->prompt->length, err);
        }
        int status = check_store(s, u);
        if (status) {
            return status;
        }
    }
    return 0;
}

static void add_case(session *s, size_t unit, ba_executor how, bool cold) {
    ba_ttft_case *c = &s->cases[s->n_case];
    const ba_ttft_prompt *p = s->unit[unit].prompt;
    *c = (ba_ttft_case){.item = s->n_case,
                        .length = p->length,
                        .question = s->w->question,
                        .block_tokens = p->block,
                        .passages = p->text.n - 1,
                        .cold = cold,
                        .timing_only = p->length > ba_engine_shape(s->b.engine)->ctx,
                        .unit = unit,
                        .how = how};
    snprintf(c->mode, sizeof c->mode, "%s", s->unit[unit].mode);
    snprintf(c->executor, sizeof c->executor, "%s", how == BA_MERGE_KEYS ? "merge" : "place");
    s->group[s->n_case++] = unit;
}

/* Whether a mode keeps anything at all shows at the longest length: a prompt that is all question keeps nothing in any
 * mode, and is measured all the same. */
static int make_cases(session *s) {
    const ba_ttft_wish *w = s->w;
    size_t most = 4 * s->n_unit;
    s->cases = calloc(most, sizeof *s->cases);
    s->group = calloc(most, sizeof *s->group);
    s->account = s->w->profile ? calloc(most, sizeof *s->account) : NULL;
    if (!s->cases || !s->group || (s->w->profile && !s->account)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t unit = 0; unit < s->n_unit; unit++) {
        size_t longest = s->n_unit - w->n_mode + unit % w->n_mode;
        if (!s->unit[longest].stores) {
            add_case(s, unit, BA_IN_PLACE, true);
            continue;
        }
        for (int how = BA_IN_PLACE; how <= BA_MERGE_KEYS; how++) {
            if (w->executor[how] && w->cold) {
                add_case(s, unit, (ba_executor)how, true);
            }
            if (w->executor[how] && w->warm) {
                add_case(s, unit, (ba_executor)how, false);
            }
        }
    }
    return 0;
}

/* ---- samples ---- */

static int run_failed(const ba_ttft_case *c, int rc, const char *err) {
    if (rc == BA_INTERRUPTED || ba_interrupted()) {
        return BA_EXIT_INTERRUPTED;
    }
    bool machine = strstr(err, "out of memory") != NULL;
    return ba_cli_fail(machine ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s, %.0f tokens: %s", c->mode, (double)c->length,
                       err);
}

static int run_case(session *s, const ba_ttft_case *c, ba_ttft_sample *out) {
    char err[BA_ERR_LEN] = "";
    if (c->cold) {
        ba_store_clear(s->b.store);
        s->held = SIZE_MAX;
    }
    int rc = ba_ttft_take(&s->b, &s->unit[c->unit], c, &s->opt, out, err);
    if (rc) {
        return run_failed(c, rc, err);
    }
    s->held = c->unit;
    return 0;
}

/* Logits of full attention for the case's prompt, if distances are wanted. */
static int know_full(session *s, const ba_ttft_case *c) {
    ba_ttft_prompt *p = &s->prompt[c->unit / s->w->n_mode];
    char err[BA_ERR_LEN] = "";
    int rc = s->w->distance && !p->full ? ba_ttft_prompt_full(&s->b, p, &s->opt, err) : 0;
    return rc ? run_failed(c, rc, err) : 0;
}

/* Not timed: a warm case finds its blocks in the store, and logits of full attention and of the first executor are
 * there to compare with. */
static int prepare(void *arg, size_t item) {
    session *s = arg;
    ba_ttft_case first = s->cases[item];
    int status = know_full(s, &first);
    if (status) {
        return status;
    }
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
    session *s = arg;
    double start = ba_clock() - s->start;
    s->last = (ba_ttft_sample){.item = item, .start_s = start};
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

static int remember(session *s, const ba_ttft_sample *sample) {
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

/* Exit status of a trace function that failed. */
static int trace_failed(int rc, const char *err) {
    return ba_cli_fail(rc == BA_TRACE_MACHINE ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err);
}

static int keep(void *arg, const ba_timing *t) {
    session *s = arg;
    char err[BA_ERR_LEN];
    s->last.visit = t->visit;
    s->last.round = t->round;
    s->last.warmup = t->warmup;
    s->last.order = s->n_sample;
    int rc = remember(s, &s->last);
    if (rc || !s->trace) {
        return rc;
    }
    if ((rc = ba_trace_append(s->trace, s->t_sample, &s->last, err)) || (rc = ba_trace_commit(s->trace, err))) {
        return trace_failed(rc, err);
    }
    return ba_interrupted() ? BA_EXIT_INTERRUPTED : 0;
}

/* ---- progress ---- */

static int within_sample(void *arg, ba_stage stage, uint64_t done, uint64_t total) {
    session *s = arg;
    (void)stage;
    double part = total ? (double)done / (double)total : 0;
    ba_progress_update(&s->bar, (s->done + part * s->now) / s->total);
    return ba_interrupted();
}

static void visited(void *arg, size_t visit, size_t total) {
    session *s = arg;
    (void)total;
    s->done += s->weight[s->order[visit]];
    s->now = 0;
    ba_progress_update(&s->bar, s->done / s->total);
}

/* Expected seconds, for the bar only: half of the peak rate. */
static int expect(session *s, const ba_measure *m) {
    s->weight = calloc(s->n_case, sizeof *s->weight);
    s->order = calloc(m->repeat * m->n, sizeof *s->order);
    if (!s->weight || !s->order || ba_measure_order(m, s->order)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    for (size_t i = 0; i < s->n_case; i++) {
        const ba_ttft_unit *u = &s->unit[s->cases[i].unit];
        double flops = (double)(s->cases[i].cold ? u->cold : u->warm).flops_exact;
        s->weight[i] = 2 * flops / s->peak.flops + m->min_time / (double)m->repeat;
        s->total += s->weight[i] * (double)m->repeat;
    }
    return 0;
}

/* ---- trace ---- */

/* Everything that decides what the rows mean goes into the root attributes; a resumed trace must have the same. */
static int describe(session *s, int argc, char **argv, const char *text, size_t text_len) {
    const ba_ttft_wish *w = s->w;
    const ba_common *c = s->common;
    ba_environment *e = &s->env;
    if (ba_environment_capture(e, argc, argv, s->b.be, c->threads)) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    int failed =
        ba_environment_add(e, "model", "%s (%s)", ba_model_name(s->b.model), ba_model_types(s->b.model)) ||
        ba_environment_add(e, "model_hash", "%s", ba_model_hash(s->b.model)) ||
        ba_environment_add(e, "adapter", "%s", c->adapter ? c->adapter : "") ||
        ba_environment_add(e, "lengths", "%s", w->lengths ? w->lengths : "") ||
        ba_environment_add(e, "passages", "%s", w->passages ? w->passages : "") ||
        ba_environment_add(e, "modes", "%s", w->modes) || ba_environment_add(e, "executors", "%s", w->executors) ||
        ba_environment_add(e, "states", "%s%s", w->cold ? "cold " : "", w->warm ? "warm" : "") ||
        ba_environment_add(e, "question_tokens", "%zu", w->question) ||
        ba_environment_add(e, "block_tokens", "%s", w->blocks) ||
        ba_environment_add(e, "distance", "%s", w->distance ? "yes" : "no") ||
        ba_environment_add(e, "repeat", "%zu", w->repeat) || ba_environment_add(e, "min_time_s", "%g", w->min_time) ||
        ba_environment_add(e, "seed", "%" PRIu64, c->seed) ||
        ba_environment_add(e, "data_hash", "%016" PRIx64, text ? XXH3_64bits(text, text_len) : 0);
    return failed ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : 0;
}

/* Samples of an earlier session. */
static int read_samples(session *s) {
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < ba_trace_rows(s->trace, s->t_sample); i++) {
        ba_ttft_sample sample = {0};
        int rc = ba_trace_read(s->trace, s->t_sample, i, 1, &sample, err);
        if (rc) {
            return trace_failed(rc, err);
        }
        if (sample.item >= s->n_case || sample.visit >= s->n_case * s->w->repeat) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s: table samples: row %zu names no case of this run", s->common->out,
                               i);
        }
        if ((rc = remember(s, &sample))) {
            return rc;
        }
    }
    return 0;
}

/* Opens the trace, and proves that it can be written before hours are spent. */
static int open_trace(session *s) {
    if (!s->common->out) {
        return 0;
    }
    char err[BA_ERR_LEN];
    const char *path = s->common->out;
    int rc =
        s->w->resume ? ba_trace_resume(path, SCHEMA, &s->trace, err) : ba_trace_create(path, SCHEMA, &s->trace, err);
    for (size_t i = 0; i < s->env.n && !rc; i++) {
        if (strcmp(s->env.key[i], "command") != 0) { /* may differ in what is printed: one a session */
            rc = ba_trace_set(s->trace, s->env.key[i], s->env.value[i], err);
        }
    }
    if (rc ||
        (rc = ba_trace_declare(s->trace, "results", ba_ttft_result_columns, sizeof(ba_ttft_result), &s->t_result,
                               err)) ||
        (rc = ba_trace_declare(s->trace, "samples", ba_ttft_sample_columns, sizeof(ba_ttft_sample), &s->t_sample,
                               err)) ||
        (rc = ba_trace_declare(s->trace, "cases", ba_ttft_case_columns, sizeof(ba_ttft_case), &s->t_case, err)) ||
        (rc = ba_trace_declare(s->trace, "sessions", sitting_columns, sizeof(sitting), &s->t_session, err))) {
        return trace_failed(rc, err);
    }
    for (size_t i = ba_trace_rows(s->trace, s->t_case); i < s->n_case && !rc; i++) {
        rc = ba_trace_append(s->trace, s->t_case, &s->cases[i], err);
    }
    /* Of several sessions the best peak counts: a floor is what the machine can do. */
    const sitting now = {ba_environment_get(&s->env, "command"), (double)time(NULL), s->peak};
    for (size_t i = 0; i < ba_trace_rows(s->trace, s->t_session) && !rc; i++) {
        sitting earlier;
        if (!(rc = ba_trace_read(s->trace, s->t_session, i, 1, &earlier, err))) {
            s->peak.flops = fmax(s->peak.flops, earlier.peak.flops);
            s->peak.bytes = fmax(s->peak.bytes, earlier.peak.bytes);
            ba_trace_release(s->trace, s->t_session, &earlier, 1);
        }
    }
    if (rc || (rc = ba_trace_append(s->trace, s->t_session, &now, err)) || (rc = ba_trace_commit(s->trace, err))) {
        return trace_failed(rc, err);
    }
    return read_samples(s);
}

/* ---- results ---- */

static void fill_facts(const session *s, ba_ttft_result *r) {
    snprintf(r->schema, sizeof r->schema, "%s", SCHEMA);
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

static int write_operations(session *s, char err[BA_ERR_LEN]) {
    size_t table;
    int rc =
        ba_trace_declare(s->trace, "operations", ba_ttft_operation_columns, sizeof(ba_ttft_operation), &table, err);
    rc = rc ? rc : ba_trace_clear(s->trace, table, err);
    for (size_t i = 0; i < s->n_case * BA_OP_COUNT && !rc; i++) {
        const ba_ttft_account *a = &s->account[i / BA_OP_COUNT];
        if (a->n > 0) {
            ba_ttft_operation o = ba_ttft_operation_of(a, i / BA_OP_COUNT, (ba_op)(i % BA_OP_COUNT));
            rc = ba_trace_append(s->trace, table, &o, err);
        }
    }
    return rc;
}

static int write_results(session *s, const ba_ttft_result *r, bool complete) {
    char err[BA_ERR_LEN];
    int rc = s->trace ? ba_trace_clear(s->trace, s->t_result, err) : 0;
    for (size_t i = 0; s->trace && i < s->n_case && !rc; i++) {
        rc = ba_trace_append(s->trace, s->t_result, &r[i], err);
    }
    if (s->trace && s->account && !rc) {
        rc = write_operations(s, err);
    }
    if (s->trace && !rc) {
        rc = complete ? ba_trace_finish(s->trace, err) : ba_trace_commit(s->trace, err);
    }
    return rc ? trace_failed(rc, err) : 0;
}

static void print_results(const session *s, const ba_ttft_result *r) {
    ba_rows_format format = s->common->format == BA_FORMAT_JSON ? BA_ROWS_JSON : BA_ROWS_CSV;
    if (s->common->format != BA_FORMAT_TABLE) {
        ba_rows_begin(stdout, format, ba_ttft_result_columns);
        for (size_t i = 0; i < s->n_case; i++) {
            ba_rows_print(stdout, format, ba_ttft_result_columns, &r[i], i == 0);
        }
        ba_rows_end(stdout, format);
        return;
    }
    printf("%s, %s, %zu thread%s, %s\n", ba_environment_get(&s->env, "model"), ba_environment_get(&s->env, "backend"),
           s->common->threads, s->common->threads == 1 ? "" : "s", ba_environment_get(&s->env, "cpu"));
    printf("question of %zu tokens, passages of %s; at least %zu samples and %g s a case\n", s->w->question,
           s->w->blocks, s->w->repeat, s->w->min_time);
    ba_ttft_print(r, s->n_case, &s->peak, s->w->profile);
    if (s->account) {
        ba_ttft_print_profile(r, s->account, s->n_case);
    }
}

/* What there is, also after an interruption. 0 or 1, or another exit status if it cannot be written. */
static int report(session *s, bool complete) {
    ba_ttft_result *r = calloc(s->n_case, sizeof *r);
    if (!r || ba_ttft_results(s->cases, s->n_case, s->unit, s->sample, s->n_sample, &s->peak, r)) {
        free(r);
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    bool failed = false;
    for (size_t i = 0; i < s->n_case; i++) {
        fill_facts(s, &r[i]);
        failed |= strcmp(r[i].check, "fail") == 0;
    }
    int status = write_results(s, r, complete);
    if (s->n_sample > 0) {
        print_results(s, r);
    }
    if (s->trace && !complete && !status) {
        fprintf(stderr, "%s: interrupted; what is finished is kept in %s, --resume goes on\n",
                program_invocation_short_name, ba_trace_path(s->trace));
    }
    free(r);
    return status ? status : failed ? BA_EXIT_CHECK : BA_EXIT_OK;
}

/* ---- all together ---- */

static int measure(session *s) {
    const ba_ttft_wish *w = s->w;
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
    double *measured = calloc(m.repeat * m.n, sizeof *measured);
    int status = measured ? expect(s, &m) : ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    if (!status) {
        for (size_t i = 0; i < s->n_sample; i++) {
            measured[s->sample[i].visit] += s->sample[i].warmup ? 0 : s->sample[i].ttft_s;
        }
        s->opt.progress = within_sample;
        s->opt.arg = s;
        s->start = ba_clock();
        ba_progress_start(&s->bar, "ttft", s->common->quiet);
        status = ba_measure_run(&m, measured);
        ba_progress_end(&s->bar);
        status = status < 0 ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : status;
    }
    free(measured);
    return status;
}

static int run_session(session *s, int argc, char **argv) {
    char err[BA_ERR_LEN], *text = NULL;
    size_t text_len = 0;
    int status;
    if (s->w->data && (ba_read_file(s->w->data, MAX_DATA, &text, &text_len, err))) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    if (text && memchr(text, 0, text_len)) {
        status = ba_cli_fail(BA_EXIT_USAGE, "%s: holds a NUL byte: --data needs a text", s->w->data);
    } else if (!(status = ba_bench_open(s->common, &s->b))) {
        status = make_prompts(s, text, text_len);
    }
    if (!status) { /* cold is cold, whatever was kept before */
        ba_store_use_tiers(s->b.store, false);
    }
    if (!status && !(status = make_units(s)) && !(status = make_cases(s)) &&
        !(status = describe(s, argc, argv, text, text_len))) {
        status = ba_peak_measure(s->common->threads, &s->peak) ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory")
                                                               : open_trace(s);
    }
    free(text);
    if (!status) {
        status = measure(s);
        ba_peak after;
        if (status == 0 && ba_peak_measure(s->common->threads, &after) == 0) { /* the machine may have been busy */
            s->peak.flops = fmax(s->peak.flops, after.flops);
            s->peak.bytes = fmax(s->peak.bytes, after.bytes);
        }
        if (status == 0 || status == BA_EXIT_INTERRUPTED) {
            int reported = report(s, status == 0);
            status = status ? status : reported;
        }
    }
    return status;
}

static void close_session(session *s) {
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
    free(s->weight);
    free(s->order);
    ba_environment_free(&s->env);
    ba_bench_close(&s->b);
}

int ba_ttft_session(const ba_ttft_wish *wish, const ba_common *common, int argc, char **argv) {
    session s = {.common = common, .w = wish, .held = SIZE_MAX};
    int status = ba_run_options(NULL, wish->memory, &s.opt);
    if (!status) {
        ba_catch_interrupt();
        status = run_session(&s, argc, argv);
        close_session(&s);
    }
    return status;
}
