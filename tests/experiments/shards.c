/* One run on several processes: shards and ranks, merged, give what one process gives; and shards that do not fit are
 * refused by name. */
#include "experiments/cli/shard.h"
#include "experiments/eval/trace.h"
#include "experiments/work/work.h"
#include "tests/support/program.h"
#include "tests/support/runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const tables_of_gate[] = {"prompts", "layers", "mass", "modes", NULL};
static const char *const tables_of_eval[] = {"items", "summary", NULL};

static void expect_run(const char *const *args) {
    program_end end = program_run(args);
    CU_ASSERT_EQUAL(end.status, 0);
    if (end.status) {
        fprintf(stderr, "%s %s: %s\n", args[0], args[1], end.err);
    }
    program_free(&end);
}

/* Value of a row's column as text; times are left out: they differ from run to run. */
static void print_row(FILE *f, const ba_column *c, const char *row) {
    for (; c->name; c++) {
        size_t n = strlen(c->name);
        uint64_t bits = 0;
        const char *text = row + c->offset;
        if (n > 2 && strcmp(c->name + n - 2, "_s") == 0) {
            continue;
        }
        if (c->type == BA_COLUMN_TEXT) {
            fprintf(f, "%s=%.*s;", c->name, (int)c->size, text);
        } else if (c->type == BA_COLUMN_STRING) {
            memcpy(&text, row + c->offset, sizeof text);
            fprintf(f, "%s=%s;", c->name, text ? text : "");
        } else {
            memcpy(&bits, row + c->offset, sizeof bits);
            fprintf(f, "%s=%llx;", c->name, (unsigned long long)bits);
        }
    }
    fputc('\n', f);
}

/* A table as text, every value to the bit; freed with free. */
static char *table_text(const char *name, const char *table) {
    char path[4096], err[BA_ERR_LEN], *text = NULL;
    size_t size = 0, row_size;
    ba_trace *t;
    CU_ASSERT_EQUAL_FATAL(ba_trace_open(program_path(name, path), &t, err), 0);
    FILE *f = open_memstream(&text, &size);
    for (size_t i = 0; i < ba_trace_tables(t); i++) {
        const ba_column *c = ba_trace_columns(t, i, &row_size);
        char *row = calloc(1, row_size);
        for (size_t r = 0; row && strcmp(ba_trace_table_name(t, i), table) == 0 && r < ba_trace_rows(t, i); r++) {
            CU_ASSERT_EQUAL_FATAL(ba_trace_read(t, i, r, 1, row, err), 0);
            print_row(f, c, row);
            ba_trace_release(t, i, row, 1);
        }
        free(row);
    }
    fclose(f);
    ba_trace_close(t);
    return text;
}

static void expect_same(const char *a, const char *b, const char *const *table) {
    for (; *table; table++) {
        char *x = table_text(a, *table), *y = table_text(b, *table);
        CU_ASSERT_TRUE(strlen(x) > 0);
        CU_ASSERT_STRING_EQUAL(x, y);
        free(x);
        free(y);
    }
}

#define EVAL(...)                                                                                                      \
    ((const char *[]){"eval", "--model", "tiny.gguf", "--task", "needle,kv", "--limit", "4", "--passages", "3",        \
                      "--words", "8", "--mode", "full,block", "--quiet", __VA_ARGS__, NULL})
#define GATE(...)                                                                                                      \
    ((const char *[]){"gate", "--model", "tiny.gguf", "--limit", "5", "--length", "120", "--mode", "full,block",       \
                      "--greedy", "2", "--no-noise", "--quiet", __VA_ARGS__, NULL})

static void shards_are_one_run(void) {
    static const char *const part[] = {"1/3", "2/3", "3/3"};
    program_tiny();
    expect_run(EVAL("--out", "sh-one.h5"));
    expect_run(GATE("--out", "sh-gate1.h5"));
    for (size_t i = 0; i < 3; i++) {
        expect_run(EVAL("--out", "sh-part.h5", "--shard", part[i]));
        expect_run(GATE("--out", "sh-gatep.h5", "--shard", part[i]));
    }
    expect_run((const char *[]){"merge", "sh-joined.h5", "sh-part.shard-3-of-3.h5", "sh-part.shard-1-of-3.h5",
                                "sh-part.shard-2-of-3.h5", NULL});
    expect_run((const char *[]){"merge", "sh-gatem.h5", "sh-gatep.shard-1-of-3.h5", "sh-gatep.shard-2-of-3.h5",
                                "sh-gatep.shard-3-of-3.h5", NULL});
    expect_same("sh-one.h5", "sh-joined.h5", tables_of_eval);
    expect_same("sh-gate1.h5", "sh-gatem.h5", tables_of_gate);
}

/* Goes on with the shards of the test above. */
static void misfits_are_refused(void) {
    char path[4096];
    expect_run((const char *[]){"eval", "--model", "tiny.gguf", "--task", "needle,kv", "--limit", "4", "--passages",
                                "4", "--words", "8", "--mode", "full,block", "--quiet", "--out", "sh-other.h5",
                                "--shard", "2/3", NULL});
    expect_run(EVAL("--metric", "nll", "--out", "sh-nll.h5", "--shard", "2/3"));
    program_write("sh-cut.h5", "\211HDF\r\n\032\n and then nothing");
    const program_refusal rows[] = {
        {2, "are not finished", {"merge", "sh-x.h5", "sh-part.shard-1-of-3.h5", "sh-part.shard-2-of-3.h5"}},
        {2, "leave out one", {"merge", "sh-x.h5", "sh-part.shard-1-of-3.h5", "sh-part.shard-1-of-3.h5"}},
        {2,
         "sh-other.shard-2-of-3.h5: work is",
         {"merge", "sh-x.h5", "sh-part.shard-1-of-3.h5", "sh-other.shard-2-of-3.h5"}},
        {2,
         "sh-nll.shard-2-of-3.h5: settings",
         {"merge", "sh-x.h5", "sh-part.shard-1-of-3.h5", "sh-nll.shard-2-of-3.h5"}},
        {2, "sh-cut.h5", {"merge", "sh-x.h5", "sh-part.shard-1-of-3.h5", "sh-cut.h5"}},
        {2, "sh-gone.h5", {"merge", "sh-x.h5", "sh-part.shard-1-of-3.h5", "sh-gone.h5"}},
        {2, "is a shard of a run", {"merge", "sh-x.h5", "sh-part.shard-1-of-3.h5", "sh-one.h5"}},
        {2, "needs I/N", {"eval", "--task", "kv", "--out", "sh-x.h5", "--shard", "4/3"}},
        {2, "--shard goes with --out", {"eval", "--task", "kv", "--shard", "1/3"}},
        {2, "neither SLURM_ARRAY_TASK_ID", {"eval", "--task", "kv", "--out", "sh-x.h5", "--shard", "slurm"}},
    };
    EXPECT_REFUSALS(rows);
    CU_ASSERT_NOT_EQUAL(access(program_path("sh-x.h5", path), F_OK), 0);
    expect_run((const char *[]){"merge", "sh-some.h5", "sh-part.shard-1-of-3.h5", "--partial", NULL});
}

static void slurm_says_which(void) {
    static const struct {
        const char *id, *count, *min, *max, *step;
        size_t index; /* SIZE_MAX: refused */
    } row[] = {{"1", "8", "1", "8", "1", 0},         {"8", "8", "1", "8", "1", 7},
               {"0", "3", "0", "2", "1", 0},         {"12", "4", "3", "12", "3", 3},
               {"4", "4", "3", "12", "3", SIZE_MAX}, {"7", "3", "1", "7", "1", SIZE_MAX},
               {"9", "8", "1", "8", "1", SIZE_MAX},  {"x", "8", "1", "8", "1", SIZE_MAX}};
    static const char *const name[] = {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN",
                                       "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_STEP"};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const char *value[] = {row[i].id, row[i].count, row[i].min, row[i].max, row[i].step};
        char err[BA_ERR_LEN];
        ba_shard s = {0};
        for (size_t k = 0; k < 5; k++) {
            setenv(name[k], value[k], 1);
        }
        int rc = ba_shard_parse("slurm", &s, err);
        CU_ASSERT_EQUAL(rc, row[i].index == SIZE_MAX ? -1 : 0);
        CU_ASSERT_TRUE(rc || (s.index == row[i].index && s.count == strtoul(row[i].count, NULL, 10)));
    }
    for (size_t k = 0; k < 5; k++) {
        unsetenv(name[k]);
    }
}

/* Every item has one owner, and no shard has more than its part and the largest item. */
static void work_is_dealt_evenly(void) {
    enum { ITEMS = 100, SHARDS = 7 };
    size_t seen[ITEMS] = {0}, item;
    double all = 0;
    char err[BA_ERR_LEN];
    for (size_t k = 0; k < SHARDS; k++) {
        ba_work_list w = {0};
        double mine = 0;
        all = 0;
        for (size_t i = 0; i < ITEMS; i++) {
            CU_ASSERT_EQUAL_FATAL(ba_work_add(&w, "t", i, i, (double)(i * i)), 0);
            all += (double)(i * i);
        }
        CU_ASSERT_EQUAL_FATAL(ba_work_plan(&w, &(ba_shard){.index = k, .count = SHARDS}, "full"), 0);
        for (double before = HUGE_VAL; ba_work_next(&w, &item, err) == 0 && item != SIZE_MAX;) {
            CU_ASSERT_TRUE(w.item[item].flops <= before);
            before = w.item[item].flops;
            mine += before;
            seen[item]++;
        }
        CU_ASSERT_TRUE(mine <= all / SHARDS + (ITEMS - 1) * (ITEMS - 1));
        ba_work_free(&w);
    }
    for (size_t i = 0; i < ITEMS; i++) {
        CU_ASSERT_EQUAL(seen[i], 1);
    }
}

/* Rows of two machines have no times that could be averaged; those of one have. */
static void times_of_machines_stay_apart(void) {
    static const char *const other[] = {"aaaaaaaa cpu", "bbbbbbbb cpu"};
    for (size_t k = 0; k < 2; k++) {
        char path[4096], err[BA_ERR_LEN];
        size_t items, work;
        ba_trace *t;
        ba_eval_rows rows = {0};
        CU_ASSERT_EQUAL_FATAL(
            ba_trace_create(program_path(k ? "sh-two.h5" : "sh-same.h5", path), BA_EVAL_SCHEMA, &t, err), 0);
        CU_ASSERT_EQUAL_FATAL(ba_table_declare_named(t, ba_eval_tables, "items", &items, err), 0);
        CU_ASSERT_EQUAL_FATAL(ba_table_declare_named(t, ba_eval_tables, "work", &work, err), 0);
        for (size_t i = 0; i < 2; i++) {
            const ba_eval_row row = {.index = i, .state = "done", .ttft_s = 1, .ttft_cold_s = 2, .nll = 3};
            ba_work_row done = {.item = i, .index = i, .done = 1};
            snprintf(done.machine, sizeof done.machine, "%s", other[i * k]);
            CU_ASSERT_EQUAL(ba_trace_append(t, items, &row, err), 0);
            CU_ASSERT_EQUAL(ba_trace_append(t, work, &done, err), 0);
        }
        CU_ASSERT_EQUAL_FATAL(ba_eval_rows_read(t, &rows, err), 0);
        CU_ASSERT_EQUAL_FATAL(rows.n, 2);
        CU_ASSERT_TRUE(k ? isnan(rows.row[0].ttft_s) && isnan(rows.row[1].ttft_cold_s) : rows.row[0].ttft_s == 1);
        CU_ASSERT_EQUAL(rows.row[1].nll, 3);
        ba_eval_rows_free(&rows);
        ba_trace_close(t);
    }
}

/* Ranks that resume read each other's traces while all are open to be gone on with. */
static void a_resumed_trace_can_be_read(void) {
    char path[4096], err[BA_ERR_LEN] = "";
    ba_trace *t, *resumed, *read = NULL;
    program_path("sh-held.h5", path);
    CU_ASSERT_EQUAL_FATAL(ba_trace_create(path, BA_EVAL_SCHEMA, &t, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_trace_finish(t, err), 0);
    ba_trace_close(t);
    CU_ASSERT_EQUAL_FATAL(ba_trace_resume(path, BA_EVAL_SCHEMA, &resumed, err), 0);
    program_end other = program_run((const char *[]){"export", "sh-held.h5", NULL}); /* locks are between processes */
    CU_ASSERT_EQUAL(other.status, 0);
    program_free(&other);
    CU_ASSERT_EQUAL(ba_trace_open(path, &read, err), 0);
    ba_trace_close(read);
    ba_trace_close(resumed);
}

/* mpirun in the tests' folder, with the options of EVAL. The exit status. */
static int mpirun(const char *options, const char *more) {
    char *line = NULL;
    if (asprintf(
            &line,
            "cd '%s' && OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe %s '%s' "
            "eval --model tiny.gguf --task needle,kv --limit 4 --passages 3 --words 8 --mode full,block --threads 1 "
            "--quiet %s >mpi.out 2>mpi.err",
            ba_test_dir(), options, ba_test_program(), more) < 0) {
        return -1;
    }
    int status = system(line); /* NOLINT(cert-env33-c): the command is the test's own */
    free(line);
    return status;
}

static void ranks_are_one_run(void) {
    if (BA_SANITIZED) {
        ba_test_skip("Open MPI's own memory would be reported as leaks");
        return;
    }
    if (system("command -v mpirun >/dev/null 2>&1") != 0) { /* NOLINT(cert-env33-c) */
        ba_test_skip("there is no mpirun (openmpi-bin)");
        return;
    }
    char module[4096];
    snprintf(module, sizeof module, "%s-mpi.so", ba_test_program());
    if (access(module, F_OK) != 0) {
        ba_test_skip("blockattn-mpi.so is not built (libopenmpi-dev)");
        return;
    }
    program_tiny();
    if (mpirun("-n 2", "--out sh-ranks.h5") != 0) {
        char *why = program_text("mpi.err");
        fprintf(stderr, "%s\n", why);
        free(why);
        CU_FAIL("mpirun -n 2 failed");
        return;
    }
    expect_run((const char *[]){"merge", "sh-ranked.h5", "sh-ranks.rank-0.h5", "sh-ranks.rank-1.h5", NULL});
    expect_run(EVAL("--out", "sh-single.h5"));
    expect_same("sh-single.h5", "sh-ranked.h5", tables_of_eval);
}

int ba_suite_shards(void) {
    CU_pSuite s = CU_add_suite("shards", NULL, NULL);
    return !s || !CU_add_test(s, "the work is dealt evenly, the costliest first", work_is_dealt_evenly) ||
           !CU_add_test(s, "a task of an array finds its part", slurm_says_which) ||
           !CU_add_test(s, "merged shards equal one process", shards_are_one_run) ||
           !CU_add_test(s, "shards that do not fit are refused by name", misfits_are_refused) ||
           !CU_add_test(s, "times of several machines are not averaged", times_of_machines_stay_apart) ||
           !CU_add_test(s, "a trace that a rank goes on with can be read by others", a_resumed_trace_can_be_read) ||
           !CU_add_test(s, "merged ranks of MPI equal one process", ranks_are_one_run);
}
