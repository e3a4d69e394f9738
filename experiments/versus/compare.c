/* Runs two builds on the same cases in turns, and reports what got slower with which confidence. */
#include "experiments/options/tables.h"
#include "programs.h"
#include "race.h"
#include "scratch.h"

#include "experiments/cli/tracing.h"
#include "experiments/measure/stats.h"
#include "experiments/options/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA "blockattn/versus/2"

enum { K = 1024, IDS = 8192, QUESTION = 50, BLOCK = 128, MOST_ROUNDS = 1024, PATH_SIZE = 4096 };

static const char *const backends[] = {"bf16", "f32"};

static const struct {
    const char *name, *method;
    size_t length;
} cases[] = {
    {"full-2k", "full", 2 * K},  {"full-512", "full", 512},      {"question-50", "full", QUESTION},
    {"warm-8k", "block", 8 * K}, {"cold-16x128", "cold", 2 * K},
};
enum { N_BACKEND = sizeof backends / sizeof *backends, N_CASE = sizeof cases / sizeof *cases };

typedef struct options {
    const char *model, *base, *head, *threads;
    size_t rounds;
    double threshold;
    const char *out; /* a shared option */
} options;

/* A row of the table `verdicts`. */
typedef struct verdict {
    char name[24], backend[16];
    uint64_t n;
    double base_s, head_s, ratio, lo, hi; /* medians; head over base */
    uint64_t slower, faster;              /* by more than the threshold, with 95 % confidence */
} verdict;

static const ba_column verdict_columns[] = {BA_COLUMN_AS("case", verdict, name, BA_COLUMN_TEXT, ""),
                                            BA_COLUMN(verdict, backend, BA_COLUMN_TEXT, ""),
                                            BA_COLUMN(verdict, n, BA_COLUMN_U64, ""),
                                            BA_COLUMN(verdict, base_s, BA_COLUMN_F64, "s"),
                                            BA_COLUMN(verdict, head_s, BA_COLUMN_F64, "s"),
                                            BA_COLUMN(verdict, ratio, BA_COLUMN_F64, ""),
                                            BA_COLUMN(verdict, lo, BA_COLUMN_F64, ""),
                                            BA_COLUMN(verdict, hi, BA_COLUMN_F64, ""),
                                            BA_COLUMN(verdict, slower, BA_COLUMN_U64, ""),
                                            BA_COLUMN(verdict, faster, BA_COLUMN_U64, ""),
                                            BA_COLUMNS_END};

static double median_of(const double *x, size_t n) {
    double there[MOST_ROUNDS];
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(x[i])) {
            there[used++] = x[i];
        }
    }
    return ba_stats_of(there, used).median;
}

static verdict judge(const ba_race *race, const ba_lane *base, const ba_lane *head, const char *backend,
                     double threshold) {
    double a[MOST_ROUNDS], b[MOST_ROUNDS];
    verdict v = {.n = 0};
    ba_race_visits(race, base, a);
    ba_race_visits(race, head, b);
    ba_ratio r = ba_ratio_of(b, a, base->rounds, race->seed);
    snprintf(v.name, sizeof v.name, "%s", base->name);
    snprintf(v.backend, sizeof v.backend, "%s", backend);
    v.n = r.n;
    v.base_s = median_of(a, base->rounds);
    v.head_s = median_of(b, base->rounds);
    v.ratio = r.median;
    v.lo = r.lo;
    v.hi = r.hi;
    v.slower = r.sure && r.lo > 1 + threshold;
    v.faster = r.sure && r.hi < 1 - threshold;
    return v;
}

static void print_verdict(const verdict *v, const ba_lane *base, const ba_lane *head) {
    printf("%-12s %-8s", v->name, v->backend);
    if (v->n == 0) {
        printf("  not measured: %s\n", *base->note ? base->note : head->note);
        return;
    }
    printf("%11.2f %11.2f %5zu %8.3f  %6.3f to %6.3f  %s\n", v->base_s * 1e3, v->head_s * 1e3, (size_t)v->n, v->ratio,
           v->lo, v->hi,
           v->slower   ? "SLOWER"
           : v->faster ? "faster"
                       : "");
}

/* Prints and records the verdicts. 1 if something got slower, 0 if not, or another exit status. */
static int report(ba_race *race, double threshold, bool complete) {
    char err[BA_ERR_LEN];
    size_t table, slower = 0;
    const ba_table verdicts = {"verdicts", verdict_columns, sizeof(verdict), "a case, base against head"};
    int rc = ba_table_declare(race->trace, &verdicts, &table, err);
    if (!rc) {
        rc = ba_trace_clear(race->trace, table, err);
    }
    printf("case         backend      base ms     head ms     n    ratio  95 %%\n");
    for (size_t i = 0; !rc && i < race->n_lane; i += 2) {
        const ba_lane *base = &race->lane[i], *head = &race->lane[i + 1];
        verdict v = judge(race, base, head, strchr(base->who, ' ') + 1, threshold);
        print_verdict(&v, base, head);
        slower += v.slower;
        rc = ba_trace_append(race->trace, table, &v, err);
    }
    if (!rc) {
        rc = complete ? ba_trace_finish(race->trace, err) : ba_trace_commit(race->trace, err);
    }
    if (rc) {
        return ba_cli_fail(BA_EXIT_MACHINE, "%s", err);
    }
    printf("%zu of %zu slower by more than %.0f %%, with 95 %% confidence (bootstrap over the rounds' ratios)\n",
           slower, race->n_lane / 2, 100 * threshold);
    return slower ? BA_EXIT_CHECK : 0;
}

typedef struct session {
    ba_race race;
    ba_entrant entrant[2 * N_BACKEND]; /* base, head of each backend */
    char scratch[PATH_SIZE / 2], ids[PATH_SIZE], log[PATH_SIZE];
} session;

/* Both builds with one backend, as lanes next to each other. */
static int add_backend(session *s, const options *w, size_t b, size_t rounds) {
    for (size_t side = 0; side < 2; side++) {
        ba_entrant *e = &s->entrant[2 * b + side];
        *e = (ba_entrant){.argv = {(char *)(side ? w->head : w->base), (char *)w->model, (char *)backends[b],
                                   (char *)w->threads, s->ids}};
        snprintf(e->name, sizeof e->name, "%s %s", side ? "head" : "base", backends[b]);
    }
    for (size_t i = 0; i < 2 * N_CASE; i++) {
        const size_t c = i / 2, size[3] = {cases[c].length, QUESTION, BLOCK};
        int status =
            ba_race_add(&s->race, &s->entrant[2 * b + i % 2], w->model, cases[c].name, cases[c].method, size, rounds);
        if (status) {
            return status;
        }
    }
    return 0;
}

static int prepare(session *s, const options *w, size_t rounds, int argc, char **argv) {
    int status = ba_versus_scratch(s->scratch, sizeof s->scratch);
    if (status) {
        return status;
    }
    snprintf(s->ids, sizeof s->ids, "%s/ids", s->scratch);
    snprintf(s->log, sizeof s->log, "%s.log", w->out);
    status = ba_versus_ids(w->model, IDS, s->race.seed, s->ids);
    for (size_t b = 0; !status && b < N_BACKEND; b++) {
        status = add_backend(s, w, b, rounds);
    }
    if (status) {
        return status;
    }
    if (ba_environment_capture(&s->race.env, argc, argv, NULL, strtoul(w->threads, NULL, 10))) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    return ba_race_open(&s->race, w->out, SCHEMA, false);
}

static int race(session *s, const options *w, const ba_call *call) {
    int status = prepare(s, w, w->rounds, call->argc, call->argv);
    if (!status) {
        status = ba_race_run(&s->race, 0, s->entrant, 2 * N_BACKEND, "compare", s->log);
        if (status == 0 || status == BA_EXIT_INTERRUPTED) {
            int reported = report(&s->race, w->threshold, status == 0);
            status = status ? status : reported;
        }
    }
    unlink(s->ids);
    rmdir(s->scratch);
    return status;
}

static int run(const ba_call *call) {
    options w = *(const options *)call->options;
    ba_common c = *call->common;
    char cores[16];
    c.out = w.out = c.out ? c.out : "results/compare.h5";
    int status = ba_out_check(&c, false);
    if (status) {
        return status;
    }
    snprintf(cores, sizeof cores, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    w.threads = w.threads ? w.threads : cores;
    session *s = calloc(1, sizeof *s);
    if (!s) {
        return ba_cli_fail(BA_EXIT_MACHINE, "out of memory");
    }
    s->race.quiet = c.quiet;
    s->race.min_time = 0.2;
    status = race(s, &w, call);
    ba_race_close(&s->race);
    free(s);
    return status;
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"model", "PATH", BA_FILE, AT(model), .needed = true, .help = "GGUF file"},
    {"base", "PATH", BA_FILE, AT(base), .needed = true, .help = "bench-worker of the build to compare with"},
    {"head", "PATH", BA_FILE, AT(head), .needed = true, .help = "bench-worker of the build in question"},
    {"threads", "N", BA_TEXT, AT(threads), .help = "threads of each; default: all processors"},
    {"rounds", "N", BA_COUNT, AT(rounds), .standard = "15", .least = 6, .most = MOST_ROUNDS,
     .help = "visits of each case"},
    {"threshold", "X", BA_REAL, AT(threshold), .standard = "0.03", .most = 0.999,
     .help = "how much slower is too slow"},
    {.name = NULL}};

static const ba_command command = {
    .name = "compare",
    .usage = "--model PATH --base PATH --head PATH [OPTIONS]",
    .about = "Two builds at the same cases, in turns: what `make bench-compare` runs. Exit status 1 if something got "
             "slower. The trace is results/compare.h5 without --out.",
    .own = own,
    .size = sizeof(options),
    .takes = BA_TAKES_OUT | BA_TAKES_QUIET,
    .run = run,
};

int ba_versus_compare(int argc, char **argv) {
    return ba_command_start(&command, NULL, argc, argv);
}
