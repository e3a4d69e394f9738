#include "experiments/options/tables.h"
#include "versus.h"

#include "experiments/cli/cli.h"
#include "experiments/measure/stats.h"
#include "sim/model/shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROUNDS = 1024 };

/* Result of a lane. ratio: its time over ours in bf16 on the same case, round by round. */
typedef struct result {
    char model[64], name[24], who[32], method[16];
    uint64_t length, question, block, n;
    double seconds_median, seconds_min, seconds_mad, ratio, ratio_lo, ratio_hi;
    char note[256];
    const char *program, *cpu, *isa, *libraries, *commit;
    uint64_t threads;
} result;

static const ba_column result_columns[] = {BA_COLUMN(result, model, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN_AS("case", result, name, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(result, who, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(result, method, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(result, length, BA_COLUMN_U64, ""),
                                           BA_COLUMN(result, question, BA_COLUMN_U64, ""),
                                           BA_COLUMN_AS("block_tokens", result, block, BA_COLUMN_U64, ""),
                                           BA_COLUMN(result, n, BA_COLUMN_U64, ""),
                                           BA_COLUMN(result, seconds_median, BA_COLUMN_F64, "s"),
                                           BA_COLUMN(result, seconds_min, BA_COLUMN_F64, "s"),
                                           BA_COLUMN(result, seconds_mad, BA_COLUMN_F64, "s"),
                                           BA_COLUMN(result, ratio, BA_COLUMN_F64, ""),
                                           BA_COLUMN(result, ratio_lo, BA_COLUMN_F64, ""),
                                           BA_COLUMN(result, ratio_hi, BA_COLUMN_F64, ""),
                                           BA_COLUMN(result, note, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(result, program, BA_COLUMN_STRING, ""),
                                           BA_COLUMN(result, cpu, BA_COLUMN_STRING, ""),
                                           BA_COLUMN(result, isa, BA_COLUMN_STRING, ""),
                                           BA_COLUMN(result, threads, BA_COLUMN_U64, ""),
                                           BA_COLUMN(result, libraries, BA_COLUMN_STRING, ""),
                                           BA_COLUMN(result, commit, BA_COLUMN_STRING, ""),
                                           BA_COLUMNS_END};

static const ba_column kernel_columns[] = {BA_COLUMN(ba_kernel_rate, backend, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(ba_kernel_rate, kernel, BA_COLUMN_TEXT, ""),
                                           BA_COLUMN(ba_kernel_rate, flops, BA_COLUMN_F64, "FLOP"),
                                           BA_COLUMN(ba_kernel_rate, bytes, BA_COLUMN_F64, "B"),
                                           BA_COLUMN(ba_kernel_rate, flops_per_s, BA_COLUMN_F64, "FLOP/s"),
                                           BA_COLUMN(ba_kernel_rate, peak_flops_per_s, BA_COLUMN_F64, "FLOP/s"),
                                           BA_COLUMN(ba_kernel_rate, busy_flops_per_s, BA_COLUMN_F64, "FLOP/s"),
                                           BA_COLUMN(ba_kernel_rate, busy_peak_flops_per_s, BA_COLUMN_F64, "FLOP/s"),
                                           BA_COLUMNS_END};

static const ba_column machine_columns[] = {BA_COLUMN_AS("peak_flops_per_s", ba_peak, flops, BA_COLUMN_F64, "FLOP/s"),
                                            BA_COLUMN_AS("peak_bytes_per_s", ba_peak, bytes, BA_COLUMN_F64, "B/s"),
                                            BA_COLUMNS_END};

/* The project's targets: time of the fastest of some others over ours, or (kernel) a fraction of the measured peak. */
typedef struct target {
    const char *figure, *name;
    const char *others[2], *method; /* names of entrants; method of theirs */
    const char *ours, *kernel;      /* entrant; or NULL and a kernel, taken from the best of the backends in `others` */
    double at_least;
    bool gpu; /* of a shape with random weights on a GPU */
} target;

static const target targets[] = {
    {"full prefill 2K, against the faster of the others",
     "full-2k",
     {"transformers bf16", "llama.cpp bf16"},
     "full",
     BA_OURS,
     NULL,
     2.2,
     false},
    {"full prefill 8K, the same",
     "full-8k",
     {"transformers bf16", "llama.cpp bf16"},
     "full",
     BA_OURS,
     NULL,
     2.8,
     false},
    {"warm block 32K + 50, against the released method",
     "warm-32k",
     {"transformers bf16"},
     "released",
     BA_OURS,
     NULL,
     8,
     false},
    {"warm block 8K + 50, against llama.cpp's prefix cache",
     "warm-8k",
     {"llama.cpp bf16"},
     "ready",
     BA_OURS,
     NULL,
     5,
     false},
    {"question of 50 alone, against the faster of the others",
     "question-50",
     {"transformers bf16", "llama.cpp bf16"},
     "full",
     BA_OURS,
     NULL,
     1.7,
     false},
    {"64 blocks of 128 encoded, against one by one",
     "cold-64x128",
     {"transformers bf16"},
     "cold",
     BA_OURS,
     NULL,
     2.2,
     false},
    {"fp32: full 2K, against transformers fp32", "full-2k", {"transformers f32"}, "full", "ours f32", NULL, 1.8, false},
    {"AVX2 only: full 2K, against transformers fp32",
     "full-2k",
     {"transformers f32"},
     "full",
     "ours avx2",
     NULL,
     1,
     false},
    {"attention 2K x 2K causal, of the measured peak",
     NULL,
     {"cpu/bf16"},
     NULL,
     NULL,
     "attention 2K x 2K, causal",
     0.6,
     false},
    {"attention 50 x 32K, of the measured peak", NULL, {"cpu/bf16"}, NULL, NULL, "attention 50 x 32K", 0.6, false},
    {"full prefill 2K, against transformers", "full-2k", {"transformers bf16"}, "full", BA_OURS, NULL, 1.11, true},
    {"full prefill 8K, the same", "full-8k", {"transformers bf16"}, "full", BA_OURS, NULL, 1.11, true},
    {"full prefill 32K, the same", "full-32k", {"transformers bf16"}, "full", BA_OURS, NULL, 1.11, true},
    {"warm block 32K + 50, against the released method",
     "warm-32k",
     {"transformers bf16"},
     "released",
     BA_OURS,
     NULL,
     10,
     true},
};
enum { N_TARGETS = sizeof targets / sizeof *targets };

typedef struct goal {
    char model[64], figure[64], against[32];
    double at_least, measured, lo, hi;
    uint64_t n, met; /* met: the median is at least what was aimed at */
} goal;

static const ba_column goal_columns[] = {
    BA_COLUMN(goal, model, BA_COLUMN_TEXT, ""),   BA_COLUMN(goal, figure, BA_COLUMN_TEXT, ""),
    BA_COLUMN(goal, against, BA_COLUMN_TEXT, ""), BA_COLUMN(goal, at_least, BA_COLUMN_F64, ""),
    BA_COLUMN(goal, measured, BA_COLUMN_F64, ""), BA_COLUMN(goal, lo, BA_COLUMN_F64, ""),
    BA_COLUMN(goal, hi, BA_COLUMN_F64, ""),       BA_COLUMN(goal, n, BA_COLUMN_U64, ""),
    BA_COLUMN(goal, met, BA_COLUMN_U64, ""),      BA_COLUMNS_END};

/* Time of a over time of b, round by round. */
static ba_ratio ratio_of(const ba_race *race, const ba_lane *a, const ba_lane *b) {
    double x[MOST_ROUNDS], y[MOST_ROUNDS];
    if (!a || !b) {
        return (ba_ratio){.median = NAN, .lo = NAN, .hi = NAN};
    }
    ba_race_visits(race, a, x);
    ba_race_visits(race, b, y);
    return ba_ratio_of(x, y, (size_t)(a->rounds < b->rounds ? a->rounds : b->rounds), race->seed);
}

static result result_of(const ba_race *race, const ba_lane *l) {
    double x[MOST_ROUNDS];
    size_t n = 0;
    result r = {.length = l->length, .question = l->question, .block = l->block};
    snprintf(r.model, sizeof r.model, "%s", l->model);
    snprintf(r.name, sizeof r.name, "%s", l->name);
    snprintf(r.who, sizeof r.who, "%s", l->who);
    snprintf(r.method, sizeof r.method, "%s", l->method);
    snprintf(r.note, sizeof r.note, "%s", l->note);
    ba_race_visits(race, l, x);
    for (size_t i = 0; i < l->rounds; i++) {
        if (!isnan(x[i])) {
            x[n++] = x[i];
        }
    }
    ba_stats s = ba_stats_of(x, n);
    r.n = s.n;
    r.seconds_median = s.median;
    r.seconds_min = s.min;
    r.seconds_mad = s.mad;
    ba_ratio ratio = ratio_of(race, l, ba_race_find(race, l->model, l->name, BA_OURS, NULL));
    r.ratio = ratio.median;
    r.ratio_lo = ratio.lo;
    r.ratio_hi = ratio.hi;
    r.program = l->entrant->program;
    r.cpu = ba_environment_get(&race->env, "cpu");
    r.isa = ba_environment_get(&race->env, "isa");
    r.libraries = ba_environment_get(&race->env, "libraries");
    r.commit = ba_environment_get(&race->env, "commit");
    r.threads = strtoul(ba_environment_get(&race->env, "threads"), NULL, 10);
    return r;
}

static goal goal_of(const ba_race *race, const ba_kernel_rates *kernels, const target *w, const char *model) {
    goal g = {.at_least = w->at_least, .measured = NAN, .lo = NAN, .hi = NAN};
    snprintf(g.model, sizeof g.model, "%s", w->kernel ? "" : model);
    snprintf(g.figure, sizeof g.figure, "%s", w->figure);
    for (size_t i = 0; w->kernel && i < kernels->n; i++) {
        const ba_kernel_rate *k = &kernels->row[i];
        bool one = !strcmp(k->backend, w->others[0]) || !strcmp(k->backend, w->others[1]);
        double fraction = k->flops_per_s / k->peak_flops_per_s;
        if (one && !strcmp(k->kernel, w->kernel) && isfinite(fraction) && !(fraction <= g.measured)) {
            g.measured = fraction;
            g.n = 1;
            snprintf(g.against, sizeof g.against, "%s", k->backend);
        }
    }
    for (size_t i = 0; !w->kernel && i < 2 && w->others[i]; i++) {
        ba_ratio r = ratio_of(race, ba_race_find(race, model, w->name, w->others[i], w->method),
                              ba_race_find(race, model, w->name, w->ours, NULL));
        if (r.n > 0 && !(r.median >= g.measured)) { /* the fastest so far */
            g.measured = r.median;
            g.lo = r.lo;
            g.hi = r.hi;
            g.n = r.n;
            snprintf(g.against, sizeof g.against, "%s", w->others[i]);
        }
    }
    g.met = g.measured >= g.at_least;
    return g;
}

static bool is_new_model(const ba_race *race, size_t lane) {
    return lane == 0 || strcmp(race->lane[lane].model, race->lane[lane - 1].model) != 0;
}

/* ---- for people ---- */

static void print_number(double x, int width, int digits) {
    if (isnan(x)) {
        printf("%*s", width, "-");
    } else {
        printf("%*.*f", width, digits, x);
    }
}

static void print_result(const result *r) {
    printf("%-12s %-18s %-9s", r->name, r->who, r->method);
    if (r->n == 0) {
        printf("  not measured%s%s\n", *r->note ? ": " : "", r->note);
        return;
    }
    print_number(r->seconds_median * 1e3, 11, 1);
    print_number(r->seconds_min * 1e3, 11, 1);
    printf("%5zu", (size_t)r->n);
    print_number(r->ratio, 10, 2);
    if (!isnan(r->ratio)) {
        printf("  %.2f to %.2f", r->ratio_lo, r->ratio_hi);
    }
    putchar('\n');
}

static void print_goal(const goal *g) {
    printf("%-56s", g->figure);
    print_number(g->at_least, 9, 2);
    print_number(g->measured, 10, 2);
    if (isnan(g->lo)) {
        printf("%18s", "");
    } else {
        printf("  %6.2f to %6.2f", g->lo, g->hi);
    }
    printf("  %s%s%s\n", g->n == 0 ? "not measured" : g->met ? "met" : "missed", *g->against ? "; " : "", g->against);
}

static void print_kernels(const ba_kernel_rates *kernels) {
    puts("\nKernels                                     GFLOP/s   of peak   by processor time   FLOP/B");
    for (size_t i = 0; i < kernels->n; i++) {
        const ba_kernel_rate *k = &kernels->row[i];
        printf("%-10s %-30s", k->backend, k->kernel);
        print_number(k->flops_per_s / 1e9, 10, 1);
        print_number(k->peak_flops_per_s > 0 ? k->flops_per_s / k->peak_flops_per_s : NAN, 10, 2);
        print_number(k->busy_peak_flops_per_s > 0 ? k->busy_flops_per_s / k->busy_peak_flops_per_s : NAN, 20, 2);
        print_number(k->flops / k->bytes, 9, 1);
        putchar('\n');
    }
}

static void print_facts(const ba_race *race, const ba_peak *peak) {
    const ba_environment *e = &race->env;
    printf("%s: %s; %s threads; OPENBLAS_CORETYPE %s\n", ba_environment_get(e, "cpu"), ba_environment_get(e, "isa"),
           ba_environment_get(e, "threads"), ba_environment_get(e, "OPENBLAS_CORETYPE"));
    printf("measured: %.0f GFLOP/s in fp32, %.1f GB/s of memory\n", peak->flops / 1e9, peak->bytes / 1e9);
    for (size_t i = 0; i < race->n_lane; i++) {
        const ba_entrant *who = race->lane[i].entrant;
        bool first = true;
        for (size_t j = 0; j < i; j++) {
            first = first && strcmp(race->lane[j].who, who->name) != 0;
        }
        if (first && *who->program) {
            printf("%-18s %s%s\n", who->name, who->skipped ? "skipped: " : "", who->program);
        }
    }
}

/* ---- all together ---- */

static int write_table(ba_trace *t, const char *name, const ba_column *columns, size_t size, const void *rows, size_t n,
                       char err[BA_ERR_LEN]) {
    size_t table;
    int rc = ba_table_declare(t, &(ba_table){name, columns, size, ""}, &table, err);
    if (!rc) {
        rc = ba_trace_clear(t, table, err);
    }
    for (size_t i = 0; !rc && i < n; i++) {
        rc = ba_trace_append(t, table, (const char *)rows + i * size, err);
    }
    return rc;
}

int ba_versus_report(ba_race *race, const ba_kernel_rates *kernels, const ba_peak *peak, bool complete) {
    result results[BA_MOST_LANES];
    goal goals[BA_MOST_LANES];
    size_t n_goal = 0;
    char err[BA_ERR_LEN];
    print_facts(race, peak);
    for (size_t i = 0; i < race->n_lane; i++) {
        results[i] = result_of(race, &race->lane[i]);
        if (is_new_model(race, i)) {
            printf("\n%s\ncase         who                method     median ms     min ms    n  time / " BA_OURS
                   ", 95 %%\n",
                   results[i].model);
        }
        print_result(&results[i]);
    }
    print_kernels(kernels);
    for (size_t i = 0; i < race->n_lane; i++) {
        if (is_new_model(race, i)) {
            printf("\n%-56s at least  measured              95 %%\n", race->lane[i].model);
        }
        for (size_t w = 0; is_new_model(race, i) && w < N_TARGETS && n_goal < BA_MOST_LANES; w++) {
            const bool gpu = ba_shape_by_name(race->lane[i].model);
            if (targets[w].gpu == gpu && (!targets[w].kernel || i == 0)) {
                goals[n_goal] = goal_of(race, kernels, &targets[w], race->lane[i].model);
                print_goal(&goals[n_goal++]);
            }
        }
    }
    int rc = write_table(race->trace, "results", result_columns, sizeof *results, results, race->n_lane, err) ||
             write_table(race->trace, "goals", goal_columns, sizeof *goals, goals, n_goal, err) ||
             write_table(race->trace, "kernels", kernel_columns, sizeof *kernels->row, kernels->row, kernels->n, err) ||
             write_table(race->trace, "machine", machine_columns, sizeof *peak, peak, 1, err) ||
             (complete ? ba_trace_finish(race->trace, err) : ba_trace_commit(race->trace, err));
    return rc ? ba_cli_fail(BA_EXIT_MACHINE, "%s", err) : 0;
}
