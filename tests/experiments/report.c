/* The report: means, claims and gaps against figures by hand, and pages from single and merged traces. */
#include "experiments/report/report.h"
#include "experiments/eval/trace.h"
#include "experiments/report/claims.h"
#include "experiments/report/common_items.h"
#include "experiments/report/estimate.h"
#include "experiments/report/inputs.h"
#include "sim/trace/merged.h"
#include "tests/support/program.h"
#include "tests/support/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add(ba_eval_rows *rows, const char *label, const char *mode, const char *task, size_t index, double score,
                double nll) {
    ba_eval_row r = {
        .index = index, .state = "done", .score = score, .nll = nll, .n_answer_tokens = 1 + index, .flops = 10};
    snprintf(r.label, sizeof r.label, "%s", label);
    snprintf(r.mode, sizeof r.mode, "%s", mode);
    snprintf(r.task, sizeof r.task, "%s", task);
    r.id = strdup("x");
    r.em = r.f1 = r.ttft_s = r.ttft_cold_s = NAN;
    CU_ASSERT_EQUAL_FATAL(ba_eval_rows_add(rows, &r), 0);
}

/* Task a: 1, 0 (mean 1/2, standard error 1/2); task b: 1, 1. Mean 3/4, standard error 1/4, one degree of freedom. */
static void means_by_hand(void) {
    static const char *const tasks[] = {"a", "b", "not run"};
    ba_eval_rows rows = {0};
    const ba_row_key key = {"m", "block"}, other = {"m", "full"};
    add(&rows, "m", "block", "a", 0, 1, 2);
    add(&rows, "m", "block", "a", 1, 0, 2);
    add(&rows, "m", "block", "b", 0, 1, 3);
    add(&rows, "m", "block", "b", 1, 1, 9);
    add(&rows, "m", "full", "a", 1, 1, 1);
    add(&rows, "m", "full", "b", 0, 1, 3);
    ba_estimate e = ba_estimate_of(&rows, BA_OF_SCORE, key, NULL, tasks, 3);
    CU_ASSERT_EQUAL(e.n_task, 2);
    CU_ASSERT_EQUAL(e.n_item, 4);
    CU_ASSERT_DOUBLE_EQUAL(e.mean, 0.75, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(e.high - e.low, 2 * 12.706205 * 0.25, 1e-6);
    const char *const one[] = {"b"};
    e = ba_estimate_of(&rows, BA_OF_SCORE, key, NULL, one, 1); /* two of two: not certain */
    CU_ASSERT_TRUE(e.mean == 1 && e.low == ba_wilson(2, 2).low && e.low < 0.5);
    /* NLL a token: (2 + 2) / (1 + 2) and (3 + 9) / (1 + 2). */
    e = ba_estimate_of(&rows, BA_OF_NLL, key, NULL, tasks, 3);
    CU_ASSERT_DOUBLE_EQUAL(e.mean, (4.0 / 3 + 4) / 2, 1e-12);
    /* Paired: only items that both have. */
    e = ba_estimate_of(&rows, BA_OF_SCORE, key, &other, tasks, 3);
    CU_ASSERT_EQUAL(e.n_item, 2);
    CU_ASSERT_DOUBLE_EQUAL(e.mean, -0.5, 1e-12);
    e = ba_estimate_of(&rows, BA_OF_SCORE, (ba_row_key){"m", "lego"}, NULL, tasks, 3);
    CU_ASSERT_TRUE(isnan(e.mean) && e.n_task == 0);
    ba_eval_rows_free(&rows);
}

static ba_report_spec spec_of_project(void) {
    char err[BA_ERR_LEN];
    ba_report_spec spec;
    CU_ASSERT_EQUAL_FATAL(ba_report_spec_read("experiments/configs/report.json", &spec, err), 0);
    return spec;
}

/* All pages one after the other: the first one, the tables', and the gaps. Not inline: gcc 12 at -O3 would take the text for
 * the variable that points to it, and warn of its end. */
__attribute__((noinline)) static char *page_of(const ba_report_spec *spec, const ba_eval_rows *rows) {
    const ba_margins margins = {0.02, 0.05};
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(ba_report_first_page(f, spec, rows, &margins), 0);
    ba_report_data data;
    CU_ASSERT_EQUAL_FATAL(ba_report_data_make(spec, rows, &margins, &data), 0);
    for (size_t i = 0; i < spec->n_table; i++) {
        CU_ASSERT_EQUAL(ba_report_table_page(f, spec, i, &data, "made at night"), 0);
    }
    ba_report_data_free(&data);
    ba_report_gaps(f, spec, rows);
    fclose(f);
    return text;
}

/* The paper has the first gap, the second is measured only, the others were not run. */
static void gaps_by_hand(const char *page) {
#define GAP_HEAD "| | gap | closed | share, % | goal, % | |\n|---|---:|---:|---:|---:|---|\n"
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "\n## LoRA, half the samples\n\nFrom *RAG-tuned, block, not tuned for it* to "
                                        "*RAG-tuned, full*; closed by *block-ft, block*.\n\n" GAP_HEAD
                                        "| the paper's points, all tasks | 21.4 | 20.0 | 94 | | |\n"
                                        "| points, 2wiki, hotpotqa, nq | 30.0 [20.2, 38.7] | 27.0 [17.5, 35.5] | "
                                        "90 [78, 100] | 80 | met |\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "\n## LoRA, as many samples\n\nFrom *RAG-tuned LoRA, block, not tuned for it* "
                                        "to *RAG-tuned LoRA, full*; closed by *block-ft LoRA, as many samples, "
                                        "block*.\n\n" GAP_HEAD
                                        "| points, 2wiki, hotpotqa, nq | 30.0 [20.2, 38.7] | 20.0 [11.4, 27.8] | "
                                        "67 [50, 83] | 80 | missed |\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| -0.016 [-0.018, -0.014] | 80 [80, 80] | 50 | met |"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| -0.008 [-0.009, -0.007] | 40 [40, 40] | 50 | missed |"));
    CU_ASSERT_PTR_NULL(strstr(page, "## All weights"));
    /* All that were measured, a line each. */
    CU_ASSERT_PTR_NOT_NULL(
        strstr(page, "| 2wiki, hotpotqa, nq | points | closed | share, % | goal 80 | NLL a token |"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| LoRA, half the samples | 30.0 [20.2, 38.7] | 27.0 [17.5, 35.5] | "
                                        "90 [78, 100] | met | "));
    CU_ASSERT_PTR_NULL(strstr(page, "| All weights, half the samples |"));
#undef GAP_HEAD
}

/* A tuned model that heals what block mode loses, on the tables of the project. */
static void page_by_hand(void) {
    ba_report_spec spec = spec_of_project();
    ba_eval_rows rows = {0};
    for (size_t i = 0; i < 100; i++) {
        add(&rows, "rag", "full", "nq", i, i < 60, 1);
        add(&rows, "rag", "block", "nq", i, i < 30, 2);
        add(&rows, "block-ft", "block", "nq", i, i < 57, 1.2);
        add(&rows, "block-ft-64", "block", "nq", i, i < 50, 1.6);
        add(&rows, "block-ft@120", "block", "nq", i, i < 55, 1.3);
        add(&rows, "block-ft@40", "block", "nq", i, i < 50, 1.5);
    }
    char *page = page_of(&spec, &rows);
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| RAG-tuned, full | 73.2 | 74.8 | 61.5 | 75.8 | 71.3 |"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| - | - | **60.0 [50.2, 69.1]** | - |"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(page, "| without tuning for it, full mode beats block mode | +21.4 | 30.0 [20.2, 38.7] | agrees |"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| block fine-tuning heals block mode | +20.0 | 27.0 "));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| not measured |")); /* superposition was not run */
    CU_ASSERT_PTR_NOT_NULL(
        strstr(page, "| block fine-tuning heals block mode | - | - | 27.0 [17.5, 35.5], p < 0.001, n 100 | - |"));
    gaps_by_hand(page);
    /* A table of which the paper has nothing begins with ours. */
    const char *tuned = strstr(page, "has the commands.\n\nScores in per cent");
    CU_ASSERT_TRUE(tuned && strstr(tuned, "| here: score % |") && !strstr(tuned, "| paper |"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "Remark of the traces: made at night."));
    CU_ASSERT_PTR_NULL(strstr(page, "nan"));
    free(page);
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    ba_validation check = {.label = "t.h5", .mode = "full", .step = 20, .nll = 1.25};
    const ba_validations checks = {&check, 1, 1};
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    ba_report_steps(f, &spec, &rows, &checks);
    fclose(f);
    const char *at_40 = strstr(text, "eval,block-ft,40,block,0.5,"),
               *at_120 = strstr(text, "eval,block-ft,120,block,0.55,");
    CU_ASSERT_TRUE(at_40 && at_120 && at_40 < at_120); /* in the order of their steps */
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "validation,t.h5,20,full,NaN,NaN,NaN,1.25,"));
    size_t lines = 0;
    for (const char *c = text; *c; c++) {
        lines += *c == '\n';
    }
    CU_ASSERT_EQUAL(lines, 1 + 3);
    free(text);
    ba_eval_rows_free(&rows);
    ba_report_spec_free(&spec);
}

/* The points of a table's figure: what a mode loses against full attention of its model, beside both budgets. */
static void points(void) {
    ba_report_table t = {.name = "by hand", .task = {"nq"}, .n_task = 1, .n_row = 3};
    t.row[0].key = (ba_row_key){"m", "full"};
    t.row[1].key = (ba_row_key){"m", "lego:k=4"};
    t.row[2].key = (ba_row_key){"other", "block"}; /* without full attention there is nothing to lose */
    ba_eval_rows rows = {0};
    for (size_t i = 0; i < 100; i++) {
        add(&rows, "m", "full", "nq", i, i < 60, 1);
        add(&rows, "m", "lego:k=4", "nq", i, i < 50, 1.5);
        add(&rows, "other", "block", "nq", i, i < 50, 1.5);
    }
    for (size_t i = 0; i < rows.n; i++) {
        bool full = strcmp(rows.row[i].mode, "full") == 0;
        rows.row[i].flops = full ? 8 : 2;
        rows.row[i].charged = full ? 1 : 0.125;
    }
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    ba_report_points(f, &t, &rows);
    fclose(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nm,lego:k=4,0.25,0.125,0.1,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, ",100\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "other"));
    CU_ASSERT_PTR_NULL(strstr(text, ",full,"));
    free(text);
    ba_eval_rows_free(&rows);
}

/* One row has 60 items, another 40 of them: a table shows these. What is in no table stays. */
static void common_items(void) {
    ba_report_spec spec = spec_of_project();
    ba_eval_rows rows = {0};
    for (size_t i = 0; i < 60; i++) {
        add(&rows, "rag", "full", "nq", i, i < 30, 1);
        add(&rows, "block-ft@40", "block", "nq", i, 1, 1);
        if (i >= 20) {
            add(&rows, "rag", "block", "nq", i, 0, 2);
        }
        add(&rows, "base", "full", "2wiki", i, 1, 1);
    }
    ba_eval_rows common;
    CU_ASSERT_EQUAL(ba_common_items(&spec, &rows, &common), 0);
    CU_ASSERT_EQUAL(common.n, 40 + 60 + 40 + 60);
    ba_eval_row like = {.label = "rag", .mode = "full", .task = "nq", .index = 19};
    CU_ASSERT_PTR_NULL(ba_eval_rows_find(&common, &like));
    like.index = 20;
    CU_ASSERT_PTR_NOT_NULL(ba_eval_rows_find(&common, &like));
    ba_eval_rows_forget(&common);
    char *page = page_of(&spec, &rows);
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "- mmlu: - % of 0 items right (RAG-tuned, full), guessing gives 25 %."));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| *items* | 60 | - | 40 | - | |"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| RAG-tuned, full | - | - | **25.0 ")); /* 10 of 40 */
    free(page);
    ba_eval_rows_free(&rows);
    ba_report_spec_free(&spec);
}

/* Block mode is better than full, so there is nothing to close. */
static void no_gap(void) {
    ba_report_spec spec = spec_of_project();
    ba_eval_rows rows = {0};
    for (size_t i = 0; i < 100; i++) {
        add(&rows, "rag", "full", "nq", i, i < 30, 2);
        add(&rows, "rag", "block", "nq", i, i < 60, 1);
        add(&rows, "block-ft", "block", "nq", i, i < 57, 1.2);
    }
    char *page = page_of(&spec, &rows);
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| points, nq | -30.0 [-38.7, -20.2] | -3.0 [-7.2, 1.3] | - | | |"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| NLL a token, nq | 0.020 [0.018, 0.022] | 0.004 [0.004, 0.004] | - | | |"));
    free(page);
    ba_eval_rows_free(&rows);
    ba_report_spec_free(&spec);
}

/* Writes a file of tables and reads it. */
static int read_spec(const char *text, ba_report_spec *spec, char err[BA_ERR_LEN]) {
    char path[4096];
    snprintf(path, sizeof path, "%s/tables.json", ba_test_dir());
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
    return ba_report_spec_read(path, spec, err);
}

/* From 30 and 40 % to 60 and 90 %, closed by 50 and 60 %: of means that is 20 of 40 points, while the mean of the two
 * shares is 53 %. An item that one of the six lacks counts for none. */
static void gap_of_means(void) {
    char err[BA_ERR_LEN];
    ba_report_spec spec;
    ba_eval_rows rows = {0};
    CU_ASSERT_EQUAL_FATAL(
        read_spec(
            "{\"title\": \"t\", \"about\": \"a\", \"tables\": [{\"name\": \"n\", \"about\": \"a\", \"page\": \"p.md\", "
            "\"tasks\": [\"x\"], "
            "\"columns\": [\"X\"], \"rows\": ["
            "{\"id\": \"b0\", \"name\": \"B 0\", \"label\": \"rag0\", \"mode\": \"block\"}, "
            "{\"id\": \"b1\", \"name\": \"B 1\", \"label\": \"rag1\", \"mode\": \"block\"}, "
            "{\"id\": \"f0\", \"name\": \"F 0\", \"label\": \"rag0\", \"mode\": \"full\"}, "
            "{\"id\": \"f1\", \"name\": \"F 1\", \"label\": \"rag1\", \"mode\": \"full\"}, "
            "{\"id\": \"t0\", \"name\": \"T 0\", \"label\": \"ft0\", \"mode\": \"block\"}, "
            "{\"id\": \"t1\", \"name\": \"T 1\", \"label\": \"ft1\", \"mode\": \"block\"}]}], "
            "\"gaps\": [{\"name\": \"mean of seeds\", \"from\": [\"b0\", \"b1\"], \"to\": [\"f0\", \"f1\"], \"of\": "
            "[\"t0\", \"t1\"], \"by_task\": true}, "
            "{\"name\": \"seed 0\", \"from\": \"b0\", \"to\": [\"f0\"], \"of\": \"t0\"}], "
            "\"goal\": {\"tasks\": [\"x\"], \"score\": 0.8, \"nll\": 0.5}}",
            &spec, err),
        0);
    for (size_t i = 0; i < 100; i++) {
        add(&rows, "rag0", "block", "x", i, i < 30, 2);
        add(&rows, "rag1", "block", "x", i, i < 40, 3);
        add(&rows, "rag0", "full", "x", i, i < 60, 1);
        add(&rows, "rag1", "full", "x", i, i < 90, 1);
        add(&rows, "ft0", "block", "x", i, i < 50, 2);
        add(&rows, "ft1", "block", "x", i, i < 60, 1.5);
    }
    add(&rows, "rag0", "block", "x", 100, 1, 2);
    char *page = page_of(&spec, &rows);
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| mean of seeds | 40.0 ["));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| 20.0 ["));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| 50 ["));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| 50 [50, 50] | met |\n")); /* NLL: from 2.5 to 1, by 1.75 */
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| seed 0 | 30.0 ["));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "| 67 ["));
    CU_ASSERT_PTR_NOT_NULL(strstr(page,
                                  "\nFrom the mean of *B 0*, *B 1* to the mean of *F 0*, *F 1*; closed by the mean "
                                  "of *T 0*, *T 1*.\n"));
    free(page);
    ba_eval_rows_free(&rows);
    ba_report_spec_free(&spec);
}

/* The paper has a above b by 40 points; here by 10 of 100 items, by 3, and not at all. A claim of equality needs items. */
static void claims_have_a_size(void) {
    static const struct {
        size_t n, right_a, right_b;
        const char *better, *equal;
    } row[] = {{200, 100, 80, "same sign, a quarter of the size", "better"},   {200, 100, 96, "undecided", "undecided"},
               {200, 60, 140, "**disagrees: worse**", "**disagrees: worse**"}, {200, 180, 100, "agrees", "better"},
               {400, 100, 100, "**disagrees: equal**", "agrees: equal"},       {2, 1, 1, "undecided", "undecided"}};
    char err[BA_ERR_LEN], line[160];
    ba_report_spec spec;
    CU_ASSERT_EQUAL_FATAL(
        read_spec("{\"title\": \"t\", \"about\": \"a\", \"tables\": [{\"name\": \"n\", \"about\": \"a\", \"page\": "
                  "\"p.md\", \"tasks\": [\"x\"], "
                  "\"columns\": [\"X\"], \"rows\": ["
                  "{\"id\": \"a\", \"name\": \"A\", \"label\": \"la\", \"mode\": \"full\", \"paper\": [60]}, "
                  "{\"id\": \"b\", \"name\": \"B\", \"label\": \"lb\", \"mode\": \"full\", \"paper\": [20]}]}], "
                  "\"claims\": [{\"text\": \"better\", \"a\": \"a\", \"b\": \"b\", \"expect\": \"better\"}, "
                  "{\"text\": \"equal\", \"a\": \"a\", \"b\": \"b\", \"expect\": \"equal\"}]}",
                  &spec, err),
        0);
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        ba_eval_rows rows = {0};
        for (size_t i = 0; i < row[k].n; i++) {
            add(&rows, "la", "full", "x", i, i < row[k].right_a, 1);
            add(&rows, "lb", "full", "x", i, i < row[k].right_b, 1);
        }
        char *page = page_of(&spec, &rows);
        const char *better = strstr(page, "| better | +40.0 |"), *equal = strstr(page, "| equal | +40.0 |");
        CU_ASSERT_PTR_NOT_NULL_FATAL(better);
        CU_ASSERT_PTR_NOT_NULL_FATAL(equal);
        snprintf(line, sizeof line, "] | %s | ", row[k].better);
        CU_ASSERT_PTR_NOT_NULL(strstr(better, line));
        CU_ASSERT_TRUE(strstr(better, line) < equal);
        snprintf(line, sizeof line, "] | %s | ", row[k].equal);
        CU_ASSERT_PTR_NOT_NULL(strstr(equal, line));
        free(page);
        ba_eval_rows_free(&rows);
    }
    ba_report_spec_free(&spec);
}

static void bad_tables(void) {
    static const char *const bad[][2] = {
        {"{}", "field title is missing"},
        {"{\"title\": \"t\", \"about\": \"a\"}", "field tables"},
        {"{\"title\": \"t\", \"about\": \"a\", \"tables\": [{\"name\": \"n\", \"about\": \"a\", \"page\": \"p.md\", "
         "\"tasks\": [\"x\"], "
         "\"columns\": "
         "[\"x\", \"y\"]}]}",
         "as many columns as tasks"},
        {"{\"title\": \"t\", \"about\": \"a\", \"tables\": [{\"name\": \"n\", \"about\": \"a\", \"page\": \"p.md\", "
         "\"tasks\": [\"x\"], "
         "\"columns\": "
         "[\"x\"], \"rows\": [{\"id\": \"i\", \"name\": \"n\", \"label\": \"l\", \"mode\": \"m\"}]}], \"claims\": "
         "[{\"text\": "
         "\"c\", \"a\": \"i\", \"b\": \"gone\", \"expect\": \"better\"}]}",
         "no table has a row 'i' and a row 'gone'"},
        {"{\"title\": \"t\", \"about\": \"a\", \"tables\": [{\"name\": \"n\", \"about\": \"a\", \"page\": \"p.md\", "
         "\"tasks\": [\"x\"], "
         "\"columns\": [\"x\"], \"rows\": [{\"id\": \"i\", \"name\": \"n\", \"label\": \"l\", \"mode\": \"m\"}]}], "
         "\"gaps\": [{\"name\": \"g\", \"from\": \"i\", \"to\": \"i\", \"of\": \"gone\"}]}",
         "no table has a row 'i' and a row 'i' and a row 'gone'"},
        {"{\"title\": \"t\", \"about\": \"a\", \"tables\": [{\"name\": \"n\", \"about\": \"a\", \"page\": \"p.md\", "
         "\"tasks\": [\"x\"], "
         "\"columns\": [\"x\"], \"rows\": [{\"id\": \"i\", \"name\": \"n\", \"label\": \"l\", \"mode\": \"m\"}]}], "
         "\"gaps\": [{\"name\": \"g\", \"from\": \"i\", \"to\": \"i\", \"of\": [\"i\", \"gone\"]}]}",
         "no table has a row 'i' and a row 'i' and a row 'i' and a row 'gone'"},
        {"{\"title\": \"t\", \"about\": \"a\", \"tables\": [{\"name\": \"n\", \"about\": \"a\", \"page\": \"p.md\", "
         "\"tasks\": [\"x\"], "
         "\"columns\": [\"x\"], \"rows\": [{\"id\": \"i\", \"name\": \"n\", \"label\": \"l\", \"mode\": \"m\"}]}], "
         "\"gaps\": [{\"name\": \"g\", \"from\": [], \"to\": \"i\", \"of\": \"i\"}]}",
         "field from: must be a list of texts"},
        {"{\"title\": \"t\", \"about\": \"a\", \"tables\": [{\"name\": \"n\", \"about\": \"a\", \"page\": \"p.md\", "
         "\"tasks\": [\"x\"], "
         "\"columns\": [\"x\"], \"rows\": [{\"id\": \"i\", \"name\": \"n\", \"label\": \"l\", \"mode\": \"m\"}]}], "
         "\"gaps\": [{\"name\": \"g\", \"from\": \"i\", \"to\": \"i\", \"of\": \"i\"}]}",
         "field tasks: must be a list of texts"},
    };
    char err[BA_ERR_LEN];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ba_report_spec spec;
        CU_ASSERT_EQUAL(read_spec(bad[i][0], &spec, err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, bad[i][1]));
    }
}

/* The path of a file in the test's folder, in one of several buffers. */
static const char *path_of(const char *name) {
    static char path[4][4096];
    static size_t next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", ba_test_dir(), name);
    return path[next];
}

/* A trace of eval as the command writes it: 20 items of nq in one mode, the first `right` of them right. */
static void write_eval(const char *name, const char *mode, size_t right) {
    char err[BA_ERR_LEN];
    ba_trace *t;
    size_t items;
    ba_eval_rows rows = {0};
    CU_ASSERT_EQUAL_FATAL(ba_trace_create(path_of(name), BA_EVAL_SCHEMA, &t, err), 0);
    CU_ASSERT_EQUAL(ba_trace_set(t, "model", "0123", err), 0);
    CU_ASSERT_EQUAL(ba_trace_set(t, "remark", "made at night", err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_trace_declare(t, "items", ba_eval_columns, sizeof(ba_eval_row), &items, err), 0);
    for (size_t i = 0; i < 20; i++) {
        add(&rows, "rag", mode, "nq", i, i < right, 1);
        CU_ASSERT_EQUAL_FATAL(ba_trace_append(t, items, &rows.row[i], err), 0);
    }
    CU_ASSERT_EQUAL(ba_trace_finish(t, err), 0);
    ba_trace_close(t);
    ba_eval_rows_free(&rows);
}

/* The page and the list of runs from some traces, one after the other. */
static char *page_from(const char *const *trace, size_t n) {
    char err[BA_ERR_LEN], *page = NULL;
    ba_report_spec spec = spec_of_project();
    ba_report_inputs in;
    CU_ASSERT_EQUAL_FATAL(ba_report_inputs_begin(&in, err), 0);
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL_FATAL(ba_report_inputs_trace(&in, trace[i], err), 0);
    }
    CU_ASSERT_EQUAL_FATAL(ba_report_inputs_end(&in, err), 0);
    char *text = page_of(&spec, &in.rows);
    CU_ASSERT_TRUE_FATAL(asprintf(&page, "%s%s%s", text, in.remarks, in.runs) > 0);
    free(text);
    ba_report_inputs_free(&in);
    ba_report_spec_free(&spec);
    return page;
}

/* By the command, as `make traces` does it. */
static void merged_traces(void) {
    write_eval("rag-full.h5", "full", 12);
    write_eval("rag-block.h5", "block", 6);
    const char *one[] = {path_of("rag-full.h5"), path_of("rag-block.h5")}, *all = path_of("merged-report.h5");
    program_end end = program_run((const char *const[]){"merge", all, one[0], one[1], NULL});
    CU_ASSERT_EQUAL(end.status, 0);
    program_free(&end);
    char *single = page_from(one, 2), *merged = page_from(&all, 1);
    CU_ASSERT_STRING_EQUAL(single, merged);
    CU_ASSERT_PTR_NOT_NULL(strstr(merged, "made at night- `rag-full`\n  - model 0123\n"));
    free(single);
    free(merged);
    /* One run of it, through export. */
    end = program_run((const char *const[]){"export", all, "rag-block/items", NULL});
    CU_ASSERT_EQUAL(end.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(end.out, "rag,nq,block,19,"));
    program_free(&end);
    end = program_run((const char *const[]){"export", all, NULL});
    CU_ASSERT_PTR_NOT_NULL(strstr(end.out, "run rag-full: items (20 rows)\nrun rag-block: items (20 rows)\n"));
    program_free(&end);
}

static void bad_merges(void) {
    write_eval("twice.h5", "full", 1);
    const char *trace = path_of("twice.h5"), *out = path_of("refused.h5");
    program_write("plain.txt", "no trace\n");
    const program_refusal rows[] = {
        {2, "at least one trace", {"merge", out}},
        {2, "two runs are named twice", {"merge", out, trace, trace}},
        {2, "not an HDF5 file", {"merge", out, trace, "plain.txt"}},
        {2, "exists; --force overwrites it", {"merge", trace, trace}},
        {2, "holds a trace of schema", {"merge", "--force", trace, trace}},
        {2, "there is no run once", {"export", trace, "once/items"}},
    };
    EXPECT_REFUSALS(rows);
    CU_ASSERT_NOT_EQUAL(access(out, F_OK), 0);
}

int ba_suite_report(void) {
    CU_pSuite s = CU_add_suite("report", NULL, NULL);
    return s && CU_add_test(s, "means over tasks weigh tasks alike, as by hand", means_by_hand) &&
                   CU_add_test(s, "scores, claims and shares of a page are those by hand", page_by_hand) &&
                   CU_add_test(s, "points of a figure are those by hand", points) &&
                   CU_add_test(s, "a claim says how much of the paper's difference is here", claims_have_a_size) &&
                   CU_add_test(s, "rows of a table rest on the same items", common_items) &&
                   CU_add_test(s, "merged traces make the same page as single ones", merged_traces) &&
                   CU_add_test(s, "what cannot be merged is refused, and nothing is left", bad_merges) &&
                   CU_add_test(s, "a gap the wrong way has no share", no_gap) &&
                   CU_add_test(s, "a gap between seeds is one of means, not a mean of shares", gap_of_means) &&
                   CU_add_test(s, "a table of rows that is wrong is refused with its field", bad_tables)
               ? 0
               : -1;
}
