#include "race.h"

#include "experiments/cli/tracing.h"
#include "experiments/options/tables.h"

#include "experiments/cli/cli.h"
#include "experiments/measure/protocol.h"
#include "experiments/measure/stats.h"
#include "kernels/base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ba_column lane_columns[] = {BA_COLUMN_AS("lane", ba_lane, item, BA_COLUMN_U64, ""),
                                         BA_COLUMN(ba_lane, model, BA_COLUMN_TEXT, ""),
                                         BA_COLUMN_AS("case", ba_lane, name, BA_COLUMN_TEXT, ""),
                                         BA_COLUMN(ba_lane, method, BA_COLUMN_TEXT, ""),
                                         BA_COLUMN(ba_lane, who, BA_COLUMN_TEXT, ""),
                                         BA_COLUMN(ba_lane, length, BA_COLUMN_U64, ""),
                                         BA_COLUMN(ba_lane, question, BA_COLUMN_U64, ""),
                                         BA_COLUMN_AS("block_tokens", ba_lane, block, BA_COLUMN_U64, ""),
                                         BA_COLUMN(ba_lane, rounds, BA_COLUMN_U64, ""),
                                         BA_COLUMNS_END};

static const ba_column sample_columns[] = {BA_COLUMN_AS("lane", ba_race_sample, item, BA_COLUMN_U64, ""),
                                           BA_COLUMN(ba_race_sample, visit, BA_COLUMN_U64, ""),
                                           BA_COLUMN(ba_race_sample, round, BA_COLUMN_U64, ""),
                                           BA_COLUMN(ba_race_sample, order, BA_COLUMN_U64, ""),
                                           BA_COLUMN(ba_race_sample, warmup, BA_COLUMN_U64, ""),
                                           BA_COLUMN(ba_race_sample, start_s, BA_COLUMN_F64, "s"),
                                           BA_COLUMN(ba_race_sample, seconds, BA_COLUMN_F64, "s"),
                                           BA_COLUMN(ba_race_sample, token, BA_COLUMN_I64, ""),
                                           BA_COLUMNS_END};
static const ba_table lane_table = {"lanes", lane_columns, sizeof(ba_lane), "a program on a case"},
                      sample_table = {"samples", sample_columns, sizeof(ba_race_sample), "one run of a lane"};

int ba_race_add(ba_race *race, ba_entrant *entrant, const char *model, const char *name, const char *method,
                const size_t size[3], size_t rounds) {
    if (race->n_lane == BA_MOST_LANES) {
        return ba_cli_fail(BA_EXIT_MACHINE, "more than %d lanes", BA_MOST_LANES);
    }
    ba_lane *l = &race->lane[race->n_lane];
    *l = (ba_lane){.item = race->n_lane++,
                   .length = size[0],
                   .question = size[1],
                   .block = size[2],
                   .rounds = rounds,
                   .entrant = entrant};
    snprintf(l->model, sizeof l->model, "%s", model);
    snprintf(l->name, sizeof l->name, "%s", name);
    snprintf(l->method, sizeof l->method, "%s", method);
    snprintf(l->who, sizeof l->who, "%s", entrant->name);
    return 0;
}

/* ---- trace ---- */

static int trace_failed(int rc, const char *err) {
    return ba_cli_fail(rc == BA_TRACE_MACHINE ? BA_EXIT_MACHINE : BA_EXIT_USAGE, "%s", err);
}

static int remember(ba_race *race, const ba_race_sample *s) {
    if (race->n_sample == race->room) {
        size_t room = race->room ? 2 * race->room : 256;
        ba_race_sample *more = realloc(race->sample, room * sizeof *more);
        if (!more) {
            return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
        }
        race->sample = more;
        race->room = room;
    }
    race->sample[race->n_sample++] = *s;
    return 0;
}

/* Root attributes and tables. */
static int describe(ba_race *race, char err[BA_ERR_LEN]) {
    int rc = ba_tracing_facts(race->trace, &race->env, NULL, err);
    rc = rc ? rc : ba_table_declare(race->trace, &lane_table, &race->t_lane, err);
    return rc ? rc : ba_table_declare(race->trace, &sample_table, &race->t_sample, err);
}

/* Samples of earlier calls. An exit status. */
static int read_samples(ba_race *race, const char *path) {
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < ba_trace_rows(race->trace, race->t_sample); i++) {
        ba_race_sample s = {0};
        int rc = ba_trace_read(race->trace, race->t_sample, i, 1, &s, err);
        if (rc) {
            return trace_failed(rc, err);
        }
        if (s.item >= race->n_lane || s.round >= race->lane[s.item].rounds) {
            return ba_cli_fail(BA_EXIT_USAGE, "%s: table samples: row %zu names no lane of this race", path, i);
        }
        if (remember(race, &s)) {
            return BA_EXIT_MACHINE;
        }
    }
    return 0;
}

int ba_race_open(ba_race *race, const char *path, const char *schema, bool resume) {
    char err[BA_ERR_LEN];
    int rc =
        resume ? ba_trace_resume(path, schema, &race->trace, err) : ba_trace_create(path, schema, &race->trace, err);
    if (!rc) {
        rc = describe(race, err);
    }
    if (rc) {
        return trace_failed(rc, err);
    }
    size_t known = ba_trace_rows(race->trace, race->t_lane);
    if (known != 0 && known != race->n_lane) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s: has other lanes than this race; start again without --resume", path);
    }
    for (size_t i = known; i < race->n_lane; i++) {
        rc = ba_trace_append(race->trace, race->t_lane, &race->lane[i], err);
        if (rc) {
            return trace_failed(rc, err);
        }
    }
    int status = read_samples(race, path);
    if (status) {
        return status;
    }
    rc = ba_trace_commit(race->trace, err);
    return rc ? trace_failed(rc, err) : 0;
}

void ba_race_close(ba_race *race) {
    ba_trace_close(race->trace);
    ba_environment_free(&race->env);
    free(race->sample);
}

/* ---- running ---- */

/* What the callbacks of one ba_measure_run see. */
typedef struct heat {
    ba_race *race;
    size_t first; /* lane of item 0 */
    ba_race_sample last;
    double start;
    ba_progress bar;
} heat;

static int prepare(void *arg, size_t item) {
    (void)arg;
    (void)item;
    return 0;
}

/* A lane that cannot be measured reports infinite time, so that it is tried once per visit and not recorded. */
static int leave_out(ba_lane *lane, const char *why, double *seconds) {
    snprintf(lane->note, sizeof lane->note, "%.*s", (int)sizeof lane->note - 1, why);
    *seconds = INFINITY;
    return 0;
}

/* Reads "time SECONDS TOKEN". 0, or -1 for another line. */
static int read_time(const char *answer, double *seconds, long long *token) {
    char *end, *last;
    if (strncmp(answer, "time ", 5) != 0) {
        return -1;
    }
    *seconds = strtod(answer + 5, &end);
    *token = strtoll(end, &last, 10);
    return end > answer + 5 && last > end && *last == '\0' && *seconds > 0 && isfinite(*seconds) ? 0 : -1;
}

static int take(void *arg, size_t item, double *seconds) {
    heat *h = arg;
    ba_lane *lane = &h->race->lane[h->first + item];
    ba_entrant *e = lane->entrant;
    char question[96], answer[BA_ERR_LEN];
    long long token = -1;
    h->last = (ba_race_sample){.item = h->first + item, .start_s = ba_now() - h->start, .token = -1};
    if (e->skipped || *lane->note) {
        return leave_out(lane, e->skipped ? e->program : lane->note, seconds);
    }
    if (e->command) {
        if (ba_process_time(e->argv, seconds)) {
            leave_out(lane, "the command failed", seconds);
        }
    } else {
        snprintf(question, sizeof question, "%s %zu %zu %zu", lane->method, (size_t)lane->length,
                 (size_t)lane->question, (size_t)lane->block);
        if (ba_process_ask(&e->process, question, answer, sizeof answer)) {
            if (!ba_interrupted()) {
                e->skipped = true;
                snprintf(e->program, sizeof e->program, "it ended in the middle of %s", lane->name);
                leave_out(lane, e->program, seconds);
            }
        } else if (read_time(answer, seconds, &token)) {
            leave_out(lane, answer, seconds);
        }
    }
    h->last.seconds = *seconds;
    h->last.token = token;
    return ba_interrupted() ? BA_EXIT_INTERRUPTED : 0;
}

static int keep(void *arg, const ba_timing *t) {
    heat *h = arg;
    ba_race *race = h->race;
    char err[BA_ERR_LEN];
    if (!isfinite(t->seconds)) {
        return 0;
    }
    h->last.visit = t->visit;
    h->last.round = t->round;
    h->last.warmup = t->warmup;
    h->last.order = race->n_sample;
    int status = remember(race, &h->last);
    if (status) {
        return status;
    }
    int rc = ba_trace_append(race->trace, race->t_sample, &h->last, err);
    if (!rc) {
        rc = ba_trace_commit(race->trace, err);
    }
    if (rc) {
        return trace_failed(rc, err);
    }
    return ba_interrupted() ? BA_EXIT_INTERRUPTED : 0;
}

static void visited(void *arg, size_t visit, size_t total) {
    heat *h = arg;
    ba_progress_update(&h->bar, (double)(visit + 1) / (double)total);
}

static int start(ba_entrant *e, const char *log, bool quiet) {
    char answer[BA_ERR_LEN], err[BA_ERR_LEN];
    if (e->command || e->skipped) {
        return 0;
    }
    const char *why = err;
    if (ba_process_start(e->argv, e->setting, log, &e->process, err) == 0) {
        if (ba_process_ask(&e->process, NULL, answer, sizeof answer) == 0 && strncmp(answer, "hello ", 6) == 0) {
            snprintf(e->program, sizeof e->program, "%s", answer + 6);
            return 0;
        }
        if (ba_interrupted()) {
            return BA_EXIT_INTERRUPTED;
        }
        ba_process_end(&e->process);
        why = strncmp(answer, "skip ", 5) == 0 ? answer + 5 : "it does not start";
    }
    e->skipped = true;
    snprintf(e->program, sizeof e->program, "%s", why);
    if (!quiet) {
        fprintf(stderr, "%s: skipped: %s (its messages are in %s)\n", e->name, why, log);
    }
    return 0;
}

/* Seconds measured by each visit; visits beyond a lane's rounds count as done. */
static double *measured_of(const ba_race *race, size_t first, size_t n, size_t rounds, const size_t *order) {
    double *measured = calloc(rounds * n + 1, sizeof *measured);
    for (size_t v = 0; measured && v < rounds * n; v++) {
        const ba_lane *lane = &race->lane[first + order[v]];
        measured[v] = v / n >= lane->rounds ? INFINITY : 0;
        for (size_t i = 0; i < race->n_sample; i++) {
            const ba_race_sample *s = &race->sample[i];
            measured[v] += s->item == lane->item && s->round == v / n && !s->warmup ? s->seconds : 0;
        }
    }
    return measured;
}

static int run_lanes(ba_race *race, size_t first, const char *label) {
    size_t n = race->n_lane - first, rounds = 1, *group = calloc(n + 1, sizeof *group);
    for (size_t i = 0; i < n && group; i++) {
        group[i] = i;
        rounds = race->lane[first + i].rounds > rounds ? (size_t)race->lane[first + i].rounds : rounds;
    }
    heat h = {.race = race, .first = first, .start = ba_now()};
    const ba_measure m = {.repeat = rounds,
                          .min_time = race->min_time * (double)rounds,
                          .seed = race->seed + first,
                          .group = group,
                          .n = n,
                          .prepare = prepare,
                          .take = take,
                          .keep = keep,
                          .visited = visited,
                          .arg = &h};
    size_t *order = calloc(rounds * n + 1, sizeof *order);
    double *measured =
        group && order && ba_measure_order(&m, order) == 0 ? measured_of(race, first, n, rounds, order) : NULL;
    int status = -1;
    if (measured) {
        ba_progress_start(&h.bar, label, race->quiet);
        status = ba_measure_run(&m, measured);
        ba_progress_end(&h.bar);
    }
    free(group);
    free(order);
    free(measured);
    return status < 0 ? ba_cli_fail(BA_EXIT_MACHINE, "out of memory") : status;
}

int ba_race_run(ba_race *race, size_t first, ba_entrant *entrant, size_t n_entrant, const char *label,
                const char *log) {
    int status = 0;
    for (size_t i = 0; i < n_entrant; i++) {
        status = start(&entrant[i], log, race->quiet);
        if (status) {
            goto done;
        }
    }
    status = run_lanes(race, first, label);
done:
    for (size_t i = 0; i < n_entrant; i++) {
        ba_process_end(&entrant[i].process);
    }
    return status;
}

/* ---- what was measured ---- */

size_t ba_race_visits(const ba_race *race, const ba_lane *lane, double *out) {
    double *x = malloc((race->n_sample + 1) * sizeof *x);
    size_t n = 0;
    for (size_t r = 0; r < lane->rounds; r++) {
        size_t used = 0;
        for (size_t i = 0; x && i < race->n_sample; i++) {
            const ba_race_sample *s = &race->sample[i];
            if (s->item == lane->item && s->round == r && !s->warmup) {
                x[used++] = s->seconds;
            }
        }
        out[r] = ba_stats_of(x, used).median;
        n += used > 0;
    }
    free(x);
    return n;
}

const ba_lane *ba_race_find(const ba_race *race, const char *model, const char *name, const char *who,
                            const char *method) {
    for (size_t i = 0; i < race->n_lane; i++) {
        const ba_lane *l = &race->lane[i];
        if (!strcmp(l->model, model) && !strcmp(l->name, name) && !strcmp(l->who, who) &&
            (!method || !strcmp(l->method, method))) {
            return l;
        }
    }
    return NULL;
}
