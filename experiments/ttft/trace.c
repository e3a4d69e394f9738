/* The tables of a trace of `ttft`. */
#include "parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

/* One call of the program: one row of the table `sessions`. */
typedef struct session_row {
    const char *command;
    char date[32]; /* UTC */
    ba_peak peak;
    const char *device; /* clocks, temperature, power and trouble at its beginning; "": the backend has none */
} session_row;

static const ba_column session_columns[] = {
    BA_COLUMN(session_row, command, BA_COLUMN_STRING, ""),
    BA_COLUMN(session_row, date, BA_COLUMN_TEXT, ""),
    BA_COLUMN_AS("peak_flops_per_s", session_row, peak.flops, BA_COLUMN_F64, "FLOP/s"),
    BA_COLUMN_AS("peak_bytes_per_s", session_row, peak.bytes, BA_COLUMN_F64, "B/s"),
    BA_COLUMN(session_row, device, BA_COLUMN_STRING, ""),
    BA_COLUMNS_END};

/* Without --profile the last one is not made. */
const ba_table ba_ttft_tables[] = {
    {"results", ba_ttft_result_columns, sizeof(ba_ttft_result), "a mode on one size of prompt, cold or warm: medians"},
    {"samples", ba_ttft_sample_columns, sizeof(ba_ttft_sample), "one first token, warm-ups too"},
    {"distances", ba_ttft_distance_columns, sizeof(ba_ttft_distance),
     "how far a mode is from full attention on one prompt"},
    {"cases", ba_ttft_case_columns, sizeof(ba_ttft_case), "what was timed, in the order of `case_index`"},
    {"sessions", session_columns, sizeof(session_row), "one call of the command; `--resume` adds one"},
    {"operations", ba_ttft_operation_columns, sizeof(ba_ttft_operation),
     "with `--profile`: one operation of a case, means"},
    {"work", ba_work_columns, sizeof(ba_work_row), "with `--shard`: an item of the work that is finished"},
    {.name = NULL}};

int ba_ttft_describe(ba_ttft_state *s, int argc, char **argv, const char *text, size_t text_len) {
    const ba_ttft_options *w = s->w;
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
        ba_environment_add_count(e, "question_tokens", w->question) ||
        ba_environment_add(e, "block_tokens", "%s", w->blocks) ||
        ba_environment_add(e, "distance", "%s", w->distance ? "yes" : "no") ||
        ba_environment_add_count(e, "prompts", w->prompts) || ba_environment_add_count(e, "repeat", w->repeat) ||
        ba_environment_add_real(e, "min_time_s", w->min_time) || ba_environment_add_count(e, "seed", c->seed) ||
        ba_environment_add(e, "data_hash", "%016" PRIx64, text ? XXH3_64bits(text, text_len) : 0);
    return failed ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : 0;
}

/* Samples of an earlier session. */
static int read_samples(ba_ttft_state *s) {
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < ba_trace_rows(s->trace, s->t_sample); i++) {
        ba_ttft_sample sample = {0};
        int rc = ba_trace_read(s->trace, s->t_sample, i, 1, &sample, err);
        if (rc) {
            return ba_tracing_exit(rc, err);
        }
        if (sample.item >= s->n_case || sample.visit >= s->n_case * s->w->repeat) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s: table samples: row %zu names no case of this run", s->common->out,
                               i);
        }
        if ((rc = ba_ttft_remember(s, &sample))) {
            return rc;
        }
    }
    return 0;
}

/* The number of a size; n_size: there is none. */
static size_t find_size(const ba_ttft_state *s, size_t length, size_t block) {
    size_t i = 0;
    while (i < s->w->n_size && (s->w->size[i].length != length || s->w->size[i].block != block)) {
        i++;
    }
    return i;
}

/* Distances of an earlier session: those of whole prompts. */
static int read_distances(ba_ttft_state *s) {
    char err[BA_ERR_LEN];
    size_t n = ba_trace_rows(s->trace, s->t_distance), room = s->distance ? s->n_unit * s->w->prompts : 0;
    if (n > room || n % s->w->n_mode) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s: table distances: %zu rows are not those of this run", s->common->out, n);
    }
    for (size_t i = 0; i < n; i++) {
        ba_ttft_distance *d = &s->distance[i];
        int rc = ba_trace_read(s->trace, s->t_distance, i, 1, d, err);
        if (rc) {
            return ba_tracing_exit(rc, err);
        }
        size_t size = find_size(s, d->length, d->block_tokens);
        if (size == s->w->n_size) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s: table distances: row %zu is of no size of this run", s->common->out,
                               i);
        }
        d->unit = size * s->w->n_mode + i % s->w->n_mode;
    }
    s->n_distance = n;
    return 0;
}

/* Root attributes and tables, with the rows of the cases. */
static int describe_trace(ba_ttft_state *s, char err[BA_ERR_LEN]) {
    size_t *const index[] = {&s->t_result, &s->t_sample, &s->t_distance, &s->t_case, &s->t_session};
    int facts = ba_tracing_facts(s->trace, &s->env, "command", err); /* that may differ: recorded for each session */
    if (facts) {
        return facts;
    }
    for (size_t i = 0; i < sizeof index / sizeof *index; i++) {
        int rc = ba_table_declare(s->trace, &ba_ttft_tables[i], index[i], err);
        if (rc) {
            return rc;
        }
    }
    if (s->common->part.count) {
        size_t table;
        int rc = ba_table_declare_named(s->trace, ba_ttft_tables, "work", &table, err);
        rc = rc ? rc : ba_work_begin(&s->work, s->trace, table, s->common->out, s->common->resume, err);
        if (rc) {
            return rc;
        }
    }
    for (size_t i = ba_trace_rows(s->trace, s->t_case); i < s->n_case; i++) {
        int rc = ba_trace_append(s->trace, s->t_case, &s->cases[i], err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* Adds this session. The best peak of all sessions counts, because it gives the least time on this machine. */
static int add_session(ba_ttft_state *s, char err[BA_ERR_LEN]) {
    char device[sizeof s->device.state + sizeof s->device.warning + 2];
    snprintf(device, sizeof device, "%s%s%s", s->device.state, *s->device.warning ? "; " : "", s->device.warning);
    session_row now = {.command = ba_environment_get(&s->env, "command"), .peak = s->peak, .device = device};
    const time_t seconds = time(NULL);
    struct tm utc;
    if (gmtime_r(&seconds, &utc)) {
        strftime(now.date, sizeof now.date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    for (size_t i = 0; i < ba_trace_rows(s->trace, s->t_session); i++) {
        session_row earlier;
        int rc = ba_trace_read(s->trace, s->t_session, i, 1, &earlier, err);
        if (rc) {
            return rc;
        }
        s->peak.flops = fmax(s->peak.flops, earlier.peak.flops);
        s->peak.bytes = fmax(s->peak.bytes, earlier.peak.bytes);
        ba_trace_release(s->trace, s->t_session, &earlier, 1);
    }
    return ba_trace_append(s->trace, s->t_session, &now, err);
}

int ba_ttft_open_trace(ba_ttft_state *s) {
    if (!s->common->out) {
        return 0;
    }
    char err[BA_ERR_LEN];
    const char *path = s->common->out;
    int rc = s->common->resume ? ba_trace_resume(path, BA_TTFT_SCHEMA, &s->trace, err)
                               : ba_trace_create(path, BA_TTFT_SCHEMA, &s->trace, err);
    if (!rc) {
        rc = describe_trace(s, err);
    }
    if (!rc) {
        rc = add_session(s, err);
    }
    if (!rc) {
        rc = ba_trace_commit(s->trace, err);
    }
    int status = rc ? ba_tracing_exit(rc, err) : read_samples(s);
    return status ? status : read_distances(s);
}

static int write_operations(ba_ttft_state *s, char err[BA_ERR_LEN]) {
    size_t table;
    int rc = ba_table_declare_named(s->trace, ba_ttft_tables, "operations", &table, err);
    if (rc) {
        return rc;
    }
    rc = ba_trace_clear(s->trace, table, err);
    for (size_t i = 0; !rc && i < s->n_case * BA_OP_COUNT; i++) {
        const ba_ttft_account *a = &s->account[i / BA_OP_COUNT];
        if (a->n > 0) {
            ba_ttft_operation o = ba_ttft_operation_of(a, i / BA_OP_COUNT, (ba_op)(i % BA_OP_COUNT));
            rc = ba_trace_append(s->trace, table, &o, err);
        }
    }
    return rc;
}

static int write_results(ba_ttft_state *s, const ba_ttft_result *r, size_t n, char err[BA_ERR_LEN]) {
    int rc = ba_trace_clear(s->trace, s->t_result, err);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = ba_trace_append(s->trace, s->t_result, &r[i], err);
    }
    return rc;
}

int ba_ttft_write(ba_ttft_state *s, const ba_ttft_result *r, size_t n, bool complete) {
    char err[BA_ERR_LEN];
    if (!s->trace) {
        return 0;
    }
    int rc = write_results(s, r, n, err);
    if (!rc && s->account) {
        rc = write_operations(s, err);
    }
    if (!rc) {
        rc = complete ? ba_trace_finish(s->trace, err) : ba_trace_commit(s->trace, err);
    }
    return ba_tracing_exit(rc, err);
}
