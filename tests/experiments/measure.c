/* The timing protocol on made-up time; what samples come to; how rows are printed. */
#include "experiments/measure/distance.h"
#include "experiments/measure/protocol.h"
#include "experiments/ttft/ttft.h"
#include "tests/support/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CASES = 6, REPEAT = 4, ROOM = 4096 };

/* Cases of three groups; case i takes takes[i] seconds a sample. */
typedef struct bench {
    double takes[CASES];
    size_t prepared, last_prepared;
    ba_timing kept[ROOM];
    size_t n, stop_after, visits;
} bench;

static int prepare(void *arg, size_t item) {
    bench *b = arg;
    b->prepared++;
    b->last_prepared = item;
    return 0;
}

static int take(void *arg, size_t item, double *seconds) {
    bench *b = arg;
    CU_ASSERT_EQUAL(item, b->last_prepared);
    *seconds = b->takes[item];
    return b->n == b->stop_after ? 42 : 0;
}

static int keep(void *arg, const ba_timing *t) {
    bench *b = arg;
    CU_ASSERT_TRUE_FATAL(b->n < ROOM);
    b->kept[b->n++] = *t;
    return 0;
}

static void visited(void *arg, size_t visit, size_t total) {
    bench *b = arg;
    CU_ASSERT_EQUAL(total, CASES * REPEAT);
    CU_ASSERT_EQUAL(visit, b->visits);
    b->visits++;
}

static const size_t groups[CASES] = {0, 0, 1, 1, 2, 2};

static ba_measure protocol(bench *b) {
    return (ba_measure){REPEAT, 2.0, 5, groups, CASES, prepare, take, keep, visited, b};
}

static bench *new_bench(void) {
    bench *b = calloc(1, sizeof *b);
    const double takes[CASES] = {3.0, 0.1, 0.01, 1.0, 0.5, 0.2};
    memcpy(b->takes, takes, sizeof takes);
    b->stop_after = ROOM;
    return b;
}

static void count_and_time_are_met(void) {
    bench *b = new_bench();
    ba_measure m = protocol(b);
    CU_ASSERT_EQUAL(ba_measure_run(&m, NULL), 0);
    CU_ASSERT_EQUAL(b->prepared, CASES * REPEAT);
    CU_ASSERT_EQUAL(b->visits, CASES * REPEAT);
    for (size_t i = 0; i < CASES; i++) {
        size_t n = 0, warmups = 0;
        double seconds = 0;
        for (size_t s = 0; s < b->n; s++) {
            bool mine = b->kept[s].item == i;
            warmups += mine && b->kept[s].warmup;
            n += mine && !b->kept[s].warmup;
            seconds += mine && !b->kept[s].warmup ? b->kept[s].seconds : 0;
        }
        CU_ASSERT_TRUE(n >= REPEAT);
        CU_ASSERT_TRUE(seconds >= 2.0 - 1e-9);
        /* A visit has half a second: longer samples need no warm-up, shorter ones one a visit. */
        CU_ASSERT_EQUAL(warmups, b->takes[i] < 0.5 ? REPEAT : 0);
        CU_ASSERT_TRUE(seconds <= 2.0 + REPEAT * b->takes[i]);
    }
    free(b);
}

static void order_is_random_and_recorded(void) {
    bench *b = new_bench();
    ba_measure m = protocol(b);
    size_t order[CASES * REPEAT], again[CASES * REPEAT], other[CASES * REPEAT];
    CU_ASSERT_EQUAL(ba_measure_order(&m, order), 0);
    CU_ASSERT_EQUAL(ba_measure_order(&m, again), 0);
    CU_ASSERT_EQUAL(memcmp(order, again, sizeof order), 0);
    m.seed = 6;
    CU_ASSERT_EQUAL(ba_measure_order(&m, other), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(order, other, sizeof order), 0);
    for (size_t round = 0; round < REPEAT; round++) {
        size_t seen[CASES] = {0};
        for (size_t i = 0; i < CASES; i++) {
            size_t item = order[round * CASES + i];
            seen[item]++;
            if (item % 2) { /* right after the other of its group */
                CU_ASSERT_EQUAL(order[round * CASES + i - 1], item - 1);
            }
        }
        for (size_t i = 0; i < CASES; i++) {
            CU_ASSERT_EQUAL(seen[i], 1);
        }
    }
    m.seed = 5;
    ba_measure_run(&m, NULL);
    for (size_t s = 0; s < b->n; s++) {
        CU_ASSERT_EQUAL(order[b->kept[s].visit], b->kept[s].item);
        CU_ASSERT_EQUAL(b->kept[s].round, b->kept[s].visit / CASES);
    }
    free(b);
}

static void resumed_visits_are_not_repeated(void) {
    bench *b = new_bench();
    ba_measure m = protocol(b);
    b->stop_after = 30;
    CU_ASSERT_EQUAL(ba_measure_run(&m, NULL), 42);
    CU_ASSERT_EQUAL(b->n, 30);
    double measured[CASES * REPEAT] = {0};
    for (size_t s = 0; s < b->n; s++) {
        measured[b->kept[s].visit] += b->kept[s].warmup ? 0 : b->kept[s].seconds;
    }
    size_t stopped_in = b->kept[b->n - 1].visit;
    b->stop_after = ROOM;
    b->visits = 0;
    CU_ASSERT_EQUAL(ba_measure_run(&m, measured), 0);
    for (size_t s = 30; s < b->n; s++) {
        CU_ASSERT_TRUE(b->kept[s].visit >= stopped_in);
    }
    free(b);
}

/* ---- results ---- */

enum { FULL, COLD, WARM };

static void three_cases(ba_ttft_case *c) {
    for (size_t i = 0; i < 3; i++) {
        c[i] = (ba_ttft_case){.item = i,
                              .executor = "place",
                              .length = 512,
                              .question = 50,
                              .block_tokens = 128,
                              .cold = i != WARM,
                              .unit = i != FULL};
        snprintf(c[i].mode, sizeof c[i].mode, "%s", i == FULL ? "full" : "block");
    }
}

static ba_ttft_sample sample_of(size_t item, double seconds) {
    return (ba_ttft_sample){.item = item,
                            .ttft_s = seconds,
                            .flops_exact = item == WARM ? 100 : 1000,
                            .bytes_read = 10,
                            .logits_hash = item == FULL ? 1 : 2,
                            .counted = 1,
                            .dlogit_limit = BA_MERGE_LIMIT};
}

static void results_of(const ba_ttft_sample *s, size_t n, ba_ttft_result *r) {
    ba_ttft_case c[3];
    three_cases(c);
    const ba_ttft_unit unit[2] = {{.cold = {.flops_paper = 2000}, .reuse = "none"},
                                  {.cold = {.flops_paper = 2000}, .warm = {.flops_paper = 500}, .reuse = "passage"}};
    const ba_ttft_distance far[] = {{.unit = 1, .kl = 1, .noise_kl = 0.1, .max_abs = 2, .top1 = 1},
                                    {.unit = 1, .kl = 3, .noise_kl = 0.3, .max_abs = 1}};
    const ba_peak peak = {.flops = 1000, .bytes = 20};
    const ba_ttft_measured all = {c, 3, unit, s, n, far, 2, &peak};
    CU_ASSERT_EQUAL_FATAL(ba_ttft_results(&all, r), 0);
}

static void figures_and_comparisons(void) {
    ba_ttft_sample s[] = {sample_of(FULL, 4),   sample_of(COLD, 7),   sample_of(WARM, 1.9), sample_of(WARM, 100),
                          sample_of(WARM, 2),   sample_of(WARM, 2.1), sample_of(FULL, 3.9), sample_of(FULL, 4.1),
                          sample_of(COLD, 7.1), sample_of(COLD, 6.9)};
    s[3].warmup = 1;
    ba_ttft_result r[3];
    results_of(s, 6, r);
    CU_ASSERT_TRUE(isnan(r[WARM].breakeven)); /* one sample of full cannot be told from anything */
    results_of(s, 10, r);
    CU_ASSERT_STRING_EQUAL(r[WARM].check, "pass");
    CU_ASSERT_EQUAL(r[WARM].n, 3); /* the warm-up is not counted */
    CU_ASSERT_EQUAL(r[WARM].ttft_s_median, 2);
    CU_ASSERT_EQUAL(r[WARM].ttft_s_min, 1.9);
    CU_ASSERT_EQUAL(r[WARM].speedup, 2);
    CU_ASSERT_DOUBLE_EQUAL(r[WARM].reduction_exact, 0.9, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(r[WARM].reduction_paper, 0.75, 1e-12);
    CU_ASSERT_EQUAL(r[WARM].breakeven, 2); /* 7 + 2 r <= 4 + 4 r from r = 1.5 on */
    CU_ASSERT_EQUAL(r[WARM].floor_s, 0.5); /* 10 B at 20 B/s, longer than 100 FLOP at 1000 FLOP/s */
    CU_ASSERT_TRUE(r[WARM].n_prompts == 2 && r[WARM].kl == 2 && r[WARM].kl_low == 0 && r[WARM].max_abs == 2);
    CU_ASSERT_DOUBLE_EQUAL(r[WARM].kl_high, 2 + 12.706205, 1e-5);
    CU_ASSERT_TRUE(fabs(r[WARM].noise_kl - 0.2) < 1e-12 && r[WARM].top1 == 0.5);
    CU_ASSERT_TRUE(r[FULL].n_prompts == 0 && isnan(r[FULL].kl) && isnan(r[FULL].max_abs));
    CU_ASSERT_DOUBLE_EQUAL(r[WARM].paper_ttft_s, 0.026, 1e-12);
    CU_ASSERT_TRUE(isnan(r[FULL].speedup));
    s[2].ttft_s = 0.4; /* below the floor, which is then none */
    results_of(s, 10, r);
    CU_ASSERT_TRUE(isnan(r[WARM].floor_s) && isnan(r[FULL].floor_s));
}

static void failed_checks_leave_no_figures(void) {
    ba_ttft_result r[3];
    const ba_ttft_sample good[] = {sample_of(FULL, 4), sample_of(COLD, 7), sample_of(WARM, 1)};
    ba_ttft_sample s[3];

    memcpy(s, good, sizeof s);
    s[2].logits_hash++; /* warm logits that are not the cold ones */
    results_of(s, 3, r);
    CU_ASSERT_STRING_EQUAL(r[WARM].check, "fail");
    CU_ASSERT_STRING_EQUAL(r[COLD].check, "fail");
    CU_ASSERT_STRING_EQUAL(r[FULL].check, "pass");
    CU_ASSERT_TRUE(isnan(r[WARM].ttft_s_median) && isnan(r[WARM].flops_exact) && isnan(r[WARM].speedup));
    CU_ASSERT_EQUAL(r[FULL].ttft_s_median, 4);

    memcpy(s, good, sizeof s);
    s[2].counted = 0;
    results_of(s, 3, r);
    CU_ASSERT_STRING_EQUAL(r[WARM].check, "fail");
    CU_ASSERT_STRING_EQUAL(r[COLD].check, "pass");
    CU_ASSERT_TRUE(isnan(r[COLD].breakeven)); /* nothing to compare with */

    memcpy(s, good, sizeof s);
    s[2].max_dlogit = 2e-3;
    results_of(s, 3, r);
    CU_ASSERT_STRING_EQUAL(r[WARM].check, "fail");
    s[2].max_dlogit = NAN;
    results_of(s, 3, r);
    CU_ASSERT_STRING_EQUAL(r[WARM].check, "fail");
    CU_ASSERT_PTR_NOT_NULL(strstr(r[WARM].check_note, "finite"));

    results_of(s, 2, r); /* interrupted before the warm case */
    CU_ASSERT_STRING_EQUAL(r[WARM].check, "");
    CU_ASSERT_TRUE(isnan(r[WARM].ttft_s_median));
}

static void csv_columns_are_the_contract(void) {
    static const char *const wanted[] = {
        "mode",       "length",     "question",   "block_tokens", "cold",        "ttft_s_median",
        "ttft_s_min", "ttft_s_mad", "n",          "flops_exact",  "flops_dense", "flops_paper",
        "bytes_read", "kv_bytes",   "n_computed", "n_reused",     "check"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        CU_ASSERT_STRING_EQUAL(ba_ttft_result_columns[i].name, wanted[i]);
    }
}

/* ---- rows ---- */

typedef struct row {
    char text[16];
    double x;
    uint64_t u;
    const char *note;
} row;

static char *print(ba_rows_format format, const row *r) {
    static const ba_column columns[] = {BA_COLUMN(row, text, BA_COLUMN_TEXT, ""), BA_COLUMN(row, x, BA_COLUMN_F64, "s"),
                                        BA_COLUMN(row, u, BA_COLUMN_U64, ""),
                                        BA_COLUMN(row, note, BA_COLUMN_STRING, ""), BA_COLUMNS_END};
    char *text = calloc(1, 1000);
    FILE *f = fmemopen(text, 1000, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    ba_rows_begin(f, format, columns);
    ba_rows_print(f, format, columns, r, true);
    ba_rows_end(f, format);
    fclose(f);
    return text;
}

static void rows_are_quoted(void) {
    const row r = {.text = "a,\"b\"", .x = 0.1, .u = UINT64_MAX, .note = NULL};
    char *csv = print(BA_ROWS_CSV, &r), *json = print(BA_ROWS_JSON, &r), *markdown = print(BA_ROWS_MARKDOWN, &r),
         *lines = print(BA_ROWS_JSONL, &r);
    CU_ASSERT_STRING_EQUAL(lines,
                           "{\"text\": \"a,\\\"b\\\"\", \"x\": 0.1, \"u\": 18446744073709551615, \"note\": null}\n");
    free(lines);
    CU_ASSERT_STRING_EQUAL(csv, "text,x,u,note\n\"a,\"\"b\"\"\",0.1,18446744073709551615,\n");
    CU_ASSERT_STRING_EQUAL(
        json, "[\n{\"text\": \"a,\\\"b\\\"\", \"x\": 0.1, \"u\": 18446744073709551615, \"note\": null}\n]\n");
    CU_ASSERT_STRING_EQUAL(markdown, "| text | x (s) | u | note |\n|---|---:|---:|---|\n"
                                     "| a,\"b\" | 0.1 | 18446744073709551615 |  |\n");
    free(csv);
    free(json);
    free(markdown);
}

static void blanks_and_exact_numbers(void) {
    const row blank = {.text = "", .x = NAN, .note = "x|y"}, third = {.text = "t", .x = 1.0 / 3, .note = "z"};
    char *csv = print(BA_ROWS_CSV, &blank), *json = print(BA_ROWS_JSON, &blank), *exact = print(BA_ROWS_CSV, &third);
    CU_ASSERT_STRING_EQUAL(csv, "text,x,u,note\n,,0,x|y\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(json, "\"x\": null"));
    CU_ASSERT_EQUAL(strtod(strchr(strchr(exact, '\n'), ',') + 1, NULL), 1.0 / 3);
    free(csv);
    free(json);
    free(exact);
}

/* bf16 is allowed what its roundings come to: of 3 layers with logits of 20 +- 4, 24 roundings relative to the 4. */
static void executors_may_differ_by_noise(void) {
    double logits[1000];
    for (size_t i = 0; i < 1000; i++) {
        logits[i] = i % 2 ? 24 : 16;
    }
    CU_ASSERT_EQUAL(ba_merge_limit(8, 3, logits, 1000), BA_MERGE_LIMIT);
    CU_ASSERT_EQUAL(ba_merge_limit(4, 3, logits, 1000), BA_MERGE_LIMIT);
    CU_ASSERT_DOUBLE_EQUAL(ba_bf16_noise(3, logits, 1000), 4 * sqrt(8) / 512, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(ba_merge_limit(2, 3, logits, 1000), 16 * sqrt(8) / 512 * sqrt(2 * log(1000)), 1e-12);
}

int ba_suite_measure(void) {
    CU_pSuite s = CU_add_suite("measure", NULL, NULL);
    if (!s || !CU_add_test(s, "count and time are met, short cases warmed up", count_and_time_are_met) ||
        !CU_add_test(s, "the order is random, recorded and decided by the seed", order_is_random_and_recorded) ||
        !CU_add_test(s, "a resumed measurement repeats no visit", resumed_visits_are_not_repeated) ||
        !CU_add_test(s, "figures and comparisons of ttft", figures_and_comparisons) ||
        !CU_add_test(s, "executors may differ by bf16's noise", executors_may_differ_by_noise) ||
        !CU_add_test(s, "a failed check leaves no figures", failed_checks_leave_no_figures) ||
        !CU_add_test(s, "the columns of ttft --csv", csv_columns_are_the_contract) ||
        !CU_add_test(s, "texts are quoted in CSV, JSON and Markdown", rows_are_quoted) ||
        !CU_add_test(s, "blank is empty, numbers read back", blanks_and_exact_numbers)) {
        return -1;
    }
    return 0;
}
