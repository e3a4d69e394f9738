/* The command `eval` as others use it, on a tiny model: its lines, its trace, resuming, and bad input. */
#include "experiments/eval/summary.h"
#include "experiments/eval/trace.h"
#include "sim/base/utf8.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ARGS = 24 };

/* Runs the program in the tests' folder: exit status; what it printed is in the files stdout and stderr there. */
static int run(const char *const *args) {
    char *argv[MAX_ARGS + 2] = {(char *)ba_test_program()};
    for (size_t i = 0; args[i] && i < MAX_ARGS; i++) {
        argv[i + 1] = (char *)args[i];
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addchdir_np(&files, ba_test_dir());
    posix_spawn_file_actions_addopen(&files, 1, "stdout", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, 2, "stderr", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child;
    int code = 0, failed = posix_spawn(&child, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    return failed || waitpid(child, &code, 0) != child ? -1 : WIFEXITED(code) ? WEXITSTATUS(code) : 128;
}

static char *slurp(const char *name) {
    char path[4096], err[BA_ERR_LEN], *text = NULL;
    size_t n;
    snprintf(path, sizeof path, "%s/%s", ba_test_dir(), name);
    return ba_read_file(path, SIZE_MAX, &text, &n, err) == 0 ? text : strdup("");
}

static void write_file(const char *name, const char *text) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", ba_test_dir(), name);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static const char items[] =
    "{\"id\": \"one\", \"question\": \"where\", \"answers\": [\"Bern\"], \"documents\": [{\"title\": \"rain\", "
    "\"text\": \"it fell in Bern\"}, {\"title\": \"sun\", \"text\": \"it shone\"}]}\n"
    "\n"
    "{\"id\": \"two\", \"question\": \"who\", \"answers\": [\"nobody\"], \"documents\": [{\"title\": \"rain\", "
    "\"text\": \"it fell in Bern\"}, {\"title\": \"dew\", \"text\": \"it lay\"}]}\n"
    "{\"id\": \"mute\", \"question\": \"what\", \"answers\": [], \"documents\": [{\"title\": \"t\", \"text\": "
    "\"x\"}]}\n";

static void make_files(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s/eval.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, NULL), 0);
    write_file("items.jsonl", items);
}

/* The lines of standard output as JSON; lines [0..n) are objects. */
static size_t parse_lines(cJSON *line[], size_t max) {
    char *text = slurp("stdout"), *rest = text, *one;
    size_t n = 0;
    while ((one = strsep(&rest, "\n"))) {
        if (*one && n < max) {
            line[n] = cJSON_Parse(one);
            CU_ASSERT_TRUE_FATAL(cJSON_IsObject(line[n]));
            n++;
        }
    }
    free(text);
    return n;
}

static double number(const cJSON *o, const char *key) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static const char *text(const cJSON *o, const char *key) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsString(v) ? v->valuestring : "";
}

static void lines_and_summaries(void) {
    make_files();
    cJSON *line[16] = {0};
    CU_ASSERT_EQUAL_FATAL(run((const char *[]){"eval", "--model", "eval.gguf", "--task", "items.jsonl", "--mode",
                                               "full,block,block:n=0", "--json", "--quiet", NULL}),
                          0);
    size_t n = parse_lines(line, 16);
    CU_ASSERT_EQUAL_FATAL(n, 9 + 3); /* three items in three modes; a summary a mode */
    for (size_t i = 0; i < 6; i++) {
        CU_ASSERT_STRING_EQUAL(text(line[i], "task"), "items.jsonl");
        CU_ASSERT_STRING_EQUAL(text(line[i], "state"), "done");
        CU_ASSERT_TRUE(number(line[i], "nll") > 0 && number(line[i], "n_answer_tokens") > 0);
        CU_ASSERT_TRUE(number(line[i], "score") == 0 || number(line[i], "score") == 1);
    }
    CU_ASSERT_STRING_EQUAL(text(line[0], "id"), "one");
    CU_ASSERT_STRING_EQUAL(text(line[1], "mode"), "block");
    /* No local block is full attention: the same likelihood, the same words, to the bit. */
    CU_ASSERT_EQUAL(number(line[0], "nll"), number(line[2], "nll"));
    CU_ASSERT_STRING_EQUAL(text(line[0], "text"), text(line[2], "text"));
    CU_ASSERT_TRUE(number(line[0], "nll") != number(line[1], "nll"));
    /* A warm prompt computes the last block only. */
    CU_ASSERT_EQUAL(number(line[0], "n_reused"), 0);
    CU_ASSERT_TRUE(number(line[1], "n_reused") > 0);
    CU_ASSERT_TRUE(number(line[1], "flops") < number(line[0], "flops"));
    CU_ASSERT_STRING_EQUAL(text(line[6], "state"), "no answer");
    for (size_t m = 0; m < 3; m++) {
        const cJSON *s = cJSON_GetObjectItemCaseSensitive(line[9 + m], "summary");
        CU_ASSERT_EQUAL(number(s, "n"), 2);
        CU_ASSERT_EQUAL(number(s, "n_no_answer"), 1);
        double nll = (number(line[m], "nll") + number(line[3 + m], "nll")) /
                     (number(line[m], "n_answer_tokens") + number(line[3 + m], "n_answer_tokens"));
        CU_ASSERT_DOUBLE_EQUAL(number(s, "nll"), nll, 1e-12);
        CU_ASSERT_TRUE(number(s, "nll_low") <= nll && nll <= number(s, "nll_high"));
    }
    for (size_t i = 0; i < n; i++) {
        cJSON_Delete(line[i]);
    }
}

#define NAN_MODEL "--model", "nan.gguf", "--threads", "1", "--quiet"

/* One NaN in a weight: no command makes text, a score, a time or a mean of it, and all say the same line. */
static void nan_is_refused(void) {
    static const char *const commands[][20] = {
        {"eval", NAN_MODEL, "--task", "items.jsonl", "--json"},
        {"eval", NAN_MODEL, "--task", "items.jsonl", "--metric", "nll"},
        {"generate", NAN_MODEL, "--request", "nan.json", "--json"},
        {"logits", NAN_MODEL, "--request", "nan.json", "--json"},
        {"gate", NAN_MODEL, "--limit", "1", "--json"},
        {"ttft", NAN_MODEL, "--lengths", "64", "--repeat", "1", "--warm", "--min-time", "0.01", "--json"},
        {"tune", NAN_MODEL, "--data", "nan.jsonl", "--steps", "2", "--lora", "2", "--batch", "2", "--save", "nan"}};
    const float nan = NAN;
    char path[4096];
    make_files();
    write_file("nan.json", "{\"blocks\": [\"rain \", \"where?\"]}");
    write_file("nan.jsonl", "{\"blocks\": [\"rain \", \"where?\"], \"response\": \"Bern\"}\n");
    snprintf(path, sizeof path, "%s/nan.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, NULL), 0);
    FILE *f = fopen(path, "r+b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fseek(f, -(long)sizeof nan, SEEK_END), 0);
    CU_ASSERT_EQUAL(fwrite(&nan, sizeof nan, 1, f), 1);
    fclose(f);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        CU_ASSERT_EQUAL(run(commands[i]), 2);
        char *said = slurp("stderr"), *shown = slurp("stdout");
        if (!strstr(said, " is not finite: the model file holds NaN or Inf\n") || *shown) {
            printf("         %s: said \"%s\", showed \"%s\"\n", commands[i][0], said, shown);
            CU_FAIL("another line was expected");
        }
        free(said);
        free(shown);
    }
}

/* Traces of earlier versions have no charged budget: their rows are read, and it is blank. */
static void rows_without_a_charged_budget_are_read(void) {
    ba_column older[64];
    size_t n = 0, table;
    char path[4096], err[BA_ERR_LEN];
    for (const ba_column *c = ba_eval_columns; c->name; c++) {
        if (strcmp(c->name, "charged") != 0) {
            older[n++] = *c;
        }
    }
    older[n] = (ba_column)BA_COLUMNS_END;
    ba_trace *t;
    snprintf(path, sizeof path, "%s/older.h5", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_trace_create(path, BA_EVAL_SCHEMA, &t, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_trace_declare(t, "items", older, sizeof(ba_eval_row), &table, err), 0);
    const ba_eval_row row = {.mode = "block", .id = "1", .state = "done", .nll = 2.5, .flops = 7, .charged = 0.5};
    CU_ASSERT_EQUAL(ba_trace_append(t, table, &row, err), 0);
    CU_ASSERT_EQUAL(ba_trace_finish(t, err), 0);
    ba_trace_close(t);
    ba_eval_rows rows = {0};
    CU_ASSERT_EQUAL_FATAL(ba_trace_open(path, &t, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_eval_rows_read(t, &rows, err), 0);
    CU_ASSERT(rows.n == 1 && rows.row[0].nll == 2.5 && rows.row[0].flops == 7 && isnan(rows.row[0].charged));
    ba_eval_rows_free(&rows);
    ba_trace_close(t);
}

/* Two sittings, the second with more items, leave the rows of one. */
static void resumes(void) {
    make_files();
    const char *const whole[] = {"eval",       "--model", "eval.gguf", "--task",        "items.jsonl", "--mode",
                                 "full,block", "--quiet", "--out",     "eval-whole.h5", "--json",      NULL};
    CU_ASSERT_EQUAL_FATAL(run(whole), 0);
    char *first = slurp("stdout");
    CU_ASSERT_EQUAL_FATAL(run((const char *[]){"eval", "--model", "eval.gguf", "--task", "items.jsonl", "--mode",
                                               "block", "--quiet", "--out", "parts.h5", "--limit", "1", NULL}),
                          0);
    CU_ASSERT_EQUAL_FATAL(run((const char *[]){"eval", "--model", "eval.gguf", "--task", "items.jsonl", "--mode",
                                               "full,block", "--quiet", "--out", "parts.h5", "--resume", NULL}),
                          0);
    char path[4096], err[BA_ERR_LEN];
    ba_trace *t;
    ba_eval_rows rows = {0};
    snprintf(path, sizeof path, "%s/parts.h5", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_trace_open(path, &t, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_eval_rows_read(t, &rows, err), 0);
    ba_trace_close(t);
    CU_ASSERT_EQUAL(rows.n, 6);
    CU_ASSERT_STRING_EQUAL(rows.row[0].mode, "block"); /* of the first sitting: not made again */
    for (size_t i = 0; i < rows.n; i++) {
        char needle[64];
        CU_ASSERT_PTR_NOT_NULL(rows.row[i].id);
        const char *said = rows.row[i].text ? rows.row[i].text : "";
        char *valid = ba_utf8_text(said, strlen(said));
        CU_ASSERT_STRING_EQUAL(said, valid);
        free(valid);
        snprintf(needle, sizeof needle, "\"nll\":%.17g", rows.row[i].nll);
        needle[18] = 0; /* twelve digits, not rounded */
        CU_ASSERT_TRUE(isnan(rows.row[i].nll) || strstr(first, needle));
    }
    ba_eval_rows_free(&rows);
    free(first);
    /* Rows of another precision are refused, not averaged with these. */
    static const char *const other[][3] = {{"--dtype", "f64"}, {"--metric", "nll"}, {"--store", "lmdb:eval-q8:16M:q8"}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        CU_ASSERT_EQUAL(
            run((const char *[]){"eval", "--model", "eval.gguf", "--task", "items.jsonl", "--mode", "full", "--quiet",
                                 "--out", "parts.h5", "--resume", other[i][0], other[i][1], NULL}),
            2);
        char *why = slurp("stderr");
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "was made with settings of base"));
        free(why);
    }
    /* Other items under the same numbers are refused. */
    char *changed = strdup(items);
    *strstr(changed, "where") = 'W';
    write_file("items.jsonl", changed);
    free(changed);
    CU_ASSERT_EQUAL(run((const char *[]){"eval", "--model", "eval.gguf", "--task", "items.jsonl", "--mode", "full",
                                         "--quiet", "--out", "parts.h5", "--resume", NULL}),
                    2);
    char *said = slurp("stderr");
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "other data"));
    free(said);
}

/* Items that are picked out keep their numbers: every second one, then the others, are all. */
static void picks(void) {
    static const struct {
        const char *skip, *every;
        uint64_t index[2];
        size_t n;
    } part[] = {{"0", "2", {0, 2}, 2}, {"1", "2", {1}, 1}, {"2", "1", {2}, 1}};
    make_files();
    for (size_t p = 0; p < sizeof part / sizeof *part; p++) {
        CU_ASSERT_EQUAL_FATAL(
            run((const char *[]){"eval", "--model", "eval.gguf", "--task", "items.jsonl", "--mode", "full", "--metric",
                                 "nll", "--json", "--quiet", "--skip", part[p].skip, "--every", part[p].every, NULL}),
            0);
        char *said = slurp("stdout");
        const char *at = said;
        for (size_t i = 0; i < part[p].n; i++) {
            char want[32];
            snprintf(want, sizeof want, "\"index\":%zu,", (size_t)part[p].index[i]);
            at = at ? strstr(at, "\"index\":") : NULL;
            CU_ASSERT_TRUE(at && !strncmp(at, want, strlen(want)));
            at = at ? at + 1 : NULL;
        }
        CU_ASSERT_TRUE(at && !strstr(at, "\"index\":"));
        free(said);
    }
    CU_ASSERT_EQUAL(run((const char *[]){"eval", "--model", "eval.gguf", "--task", "items.jsonl", "--skip", "3", NULL}),
                    2);
    char *said = slurp("stderr");
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "--skip 3: task"));
    free(said);
    CU_ASSERT_EQUAL(
        run((const char *[]){"eval", "--model", "eval.gguf", "--task", "items.jsonl", "--every", "0", NULL}), 2);
}

static void bad_input(void) {
    make_files();
    static const struct {
        const char *file, *why;
    } bad[] = {
        {"not json\n", "line 1: not a JSON object"},
        {"\n{\"id\": \"x\", \"question\": \"q\", \"documents\": []}\n", "line 2: field \"documents\""},
        {"{\"id\": \"x\", \"question\": \"q\", \"documents\": [{\"title\": \"t\", \"text\": \"x\"}]}\n",
         "line 1: field \"answers\""},
        {"{\"id\": \"x\", \"question\": 3, \"answers\": [], \"documents\": [{\"title\": \"t\", \"text\": \"x\"}]}\n",
         "line 1: field \"question\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char whole[4096];
        snprintf(whole, sizeof whole, "%s%s", bad[i].file, items);
        write_file("bad.jsonl", whole);
        CU_ASSERT_EQUAL(run((const char *[]){"eval", "--model", "eval.gguf", "--task", "bad.jsonl", "--strict", NULL}),
                        2);
        char *said = slurp("stderr");
        CU_ASSERT_PTR_NOT_NULL(strstr(said, bad[i].why));
        free(said);
        /* Without --strict the line is named and the rest is done. */
        CU_ASSERT_EQUAL(run((const char *[]){"eval", "--model", "eval.gguf", "--task", "bad.jsonl", "--limit", "1",
                                             "--metric", "nll", NULL}),
                        0);
        said = slurp("stderr");
        CU_ASSERT_PTR_NOT_NULL(strstr(said, bad[i].why));
        CU_ASSERT_PTR_NOT_NULL(strstr(said, "1 malformed line"));
        free(said);
    }
    static const char *const refused[][8] = {{"--task", "no-such-task", NULL},
                                             {"--task", "nq", "--data", "/nowhere", NULL},
                                             {"--task", "items.jsonl", "--mode", "blok", NULL},
                                             {"--task", "items.jsonl", "--order", "up", NULL},
                                             {"--task", "items.jsonl", "--metric", "bleu", NULL},
                                             {"--task", "items.jsonl", "--resume", NULL},
                                             {"--task", "items.jsonl", "--out", "items.jsonl", NULL},
                                             {"--mode", "full", NULL}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const char *args[MAX_ARGS] = {"eval", "--model", "eval.gguf"};
        for (size_t k = 0; refused[i][k]; k++) {
            args[3 + k] = refused[i][k];
        }
        CU_ASSERT_EQUAL(run(args), 2);
        char *said = slurp("stderr");
        CU_ASSERT_TRUE(*said && strchr(said, '\n') == strrchr(said, '\n'));
        free(said);
    }
}

/* A prompt that does not fit into the context is counted, not cut. */
static void too_long(void) {
    make_files();
    char path[4096];
    snprintf(path, sizeof path, "%s/short.gguf", ba_test_dir());
    CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, &(ba_tiny_options){.ctx = 128}), 0);
    CU_ASSERT_EQUAL(run((const char *[]){"eval", "--model", "short.gguf", "--task", "items.jsonl", "--mode", "full",
                                         "--metric", "nll", "--json", NULL}),
                    0);
    cJSON *line[8] = {0};
    size_t n = parse_lines(line, 8);
    CU_ASSERT_EQUAL_FATAL(n, 4);
    CU_ASSERT_STRING_EQUAL(text(line[0], "state"), "too long");
    CU_ASSERT_TRUE(isnan(number(line[0], "nll")));
    const cJSON *s = cJSON_GetObjectItemCaseSensitive(line[3], "summary");
    CU_ASSERT_EQUAL(number(s, "n"), 0);
    CU_ASSERT_EQUAL(number(s, "n_long"), 2);
    for (size_t i = 0; i < n; i++) {
        cJSON_Delete(line[i]);
    }
}

/* A summary of rows made by hand. */
static void summary_by_hand(void) {
    enum { N = 40 };
    ba_eval_rows rows = {0};
    for (size_t i = 0; i < 2 * N; i++) {
        bool full = i < N;
        size_t k = i % N;
        ba_eval_row r = {.task = "nq", .index = k, .state = "done", .n_answer_tokens = 1 + k % 3, .em = NAN, .f1 = NAN};
        snprintf(r.label, sizeof r.label, "m");
        snprintf(r.mode, sizeof r.mode, "%s", full ? "full" : "block");
        r.score = full ? k < 30 : k < 20; /* block loses ten that full has */
        r.nll = (full ? 1 : 1.5) * (double)r.n_answer_tokens;
        r.ttft_s = r.ttft_cold_s = full ? 2 : 1;
        r.flops = full ? 100 : 25;
        CU_ASSERT_EQUAL_FATAL(ba_eval_rows_add(&rows, &r), 0);
    }
    size_t n;
    ba_eval_summary *s = ba_eval_summarise(&rows, &(ba_margins){0.02, 0.05}, &n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL_FATAL(n, 2);
    CU_ASSERT_EQUAL(s[1].n, N);
    CU_ASSERT_EQUAL(s[1].score, 0.5);
    CU_ASSERT_EQUAL(s[1].score_low, ba_wilson(20, N).low);
    CU_ASSERT_EQUAL(s[1].n_answerable, 30);
    CU_ASSERT_DOUBLE_EQUAL(s[1].answerable, 20.0 / 30, 1e-12);
    CU_ASSERT_EQUAL(s[1].score_change, -0.25);
    CU_ASSERT_TRUE(s[1].score_change_high < 0);
    CU_ASSERT_DOUBLE_EQUAL(s[1].p, ba_mcnemar(0, 10), 1e-12);
    CU_ASSERT_STRING_EQUAL(s[1].verdict, "worse");
    CU_ASSERT_STRING_EQUAL(s[1].nll_verdict, "worse");
    CU_ASSERT_STRING_EQUAL(s[0].verdict, ""); /* full is not held against itself */
    CU_ASSERT_DOUBLE_EQUAL(s[1].nll, 1.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(s[1].nll_change_low, 0.5, 1e-12); /* the same for every token */
    CU_ASSERT_EQUAL(s[1].ttft_s, 1);
    CU_ASSERT_EQUAL(s[1].flops_fraction, 0.25);
    free(s);
    for (size_t i = 0; i < rows.n; i++) {
        CU_ASSERT_PTR_NULL(rows.row[i].text);
    }
    ba_eval_rows_free(&rows);
}

/* A model may write a part of a character. */
static void stray_bytes(void) {
    static const struct {
        const char *bytes, *text;
    } cases[] = {{"", ""},
                 {"K\xa5\x86\xe8\x91\x89 H", "K\uFFFD\uFFFD\u8449 H"},
                 {"\xe8\x91", "\uFFFD\uFFFD"},
                 {"na\u00efve", "na\u00efve"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = ba_utf8_text(cases[i].bytes, strlen(cases[i].bytes));
        CU_ASSERT_STRING_EQUAL(text, cases[i].text);
        free(text);
    }
}

int ba_suite_eval(void) {
    CU_pSuite s = CU_add_suite("eval", NULL, NULL);
    return s && CU_add_test(s, "a summary by hand", summary_by_hand) &&
                   CU_add_test(s, "lines and summaries", lines_and_summaries) &&
                   CU_add_test(s, "rows of earlier versions are read", rows_without_a_charged_budget_are_read) &&
                   CU_add_test(s, "two sittings make one trace", resumes) &&
                   CU_add_test(s, "a NaN in a weight is refused by every command", nan_is_refused) &&
                   CU_add_test(s, "a part of the items", picks) &&
                   CU_add_test(s, "stray bytes become valid text", stray_bytes) &&
                   CU_add_test(s, "bad input", bad_input) && CU_add_test(s, "too long for the context", too_long)
               ? 0
               : -1;
}
