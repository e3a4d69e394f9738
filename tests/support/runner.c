/* The test runner. `blockattn-tests` runs all tests; `blockattn-tests NAME...` those with a NAME in "suite: test";
 * `--list` lists them. CUnit counts; the last line is "N passed, N failed, N skipped". */
#include "runner.h"

#include "experiments/cli/cli.h"
#include "experiments/measure/protocol.h"
#include "kernels/base/clock.h"

#include <CUnit/TestRun.h>
#include <ftw.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY(name) ba_suite_##name,
static int (*const suites[])(void) = {BA_SUITES(ENTRY)};

/* CUnit's callbacks take no argument, so their state is global. */
static struct {
    char dir[4096], program[4096], model[4096];
    bool have_model;
    double started;
    const char *skipped; /* reason of the running test, or NULL */
    char *skips[1024];   /* "suite: test (reason)" */
    size_t n_skip;
} state;

void ba_test_skip(const char *why) {
    state.skipped = why;
}

const char *ba_test_dir(void) {
    return state.dir;
}

size_t ba_test_temporaries(const char *name) {
    char pattern[4200];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/%s*.tmp", state.dir, name);
    size_t n = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return n;
}

void ba_test_golden(const char *name, char *path, size_t size) {
    const char *slash = strrchr(__FILE__, '/'); /* tests run on the machine that compiled them */
    snprintf(path, size, "%.*s/../golden/%s", slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".", name);
}

const char *ba_test_program(void) {
    return state.program;
}

const char *ba_test_model(void) {
    return state.have_model ? state.model : NULL;
}

static void on_start(const CU_pTest test, const CU_pSuite suite) {
    (void)test, (void)suite;
    state.skipped = NULL;
    state.started = ba_now();
}

static void on_complete(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure) {
    double s = ba_now() - state.started;
    const char *word = failure ? "FAILED" : state.skipped ? "skip" : "ok";
    printf("%-6s %8.3f s  %s: %s%s%s%s\n", word, s, suite->pName, test->pName, state.skipped ? " (" : "",
           state.skipped ? state.skipped : "", state.skipped ? ")" : "");
    for (CU_pFailureRecord f = failure; f; f = f->pNext) {
        printf("         %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
    }
    fflush(stdout);
    if (failure || !state.skipped || state.n_skip == sizeof state.skips / sizeof *state.skips) {
        return;
    }
    char line[512];
    snprintf(line, sizeof line, "%s: %s (%s)", suite->pName, test->pName, state.skipped);
    state.skips[state.n_skip++] = strdup(line);
}

static void on_init_failure(const CU_pSuite suite) {
    printf("FAILED            %s: its set-up failed\n", suite->pName);
}

static bool wanted(CU_pSuite suite, CU_pTest test, int argc, char **argv) {
    char name[512];
    snprintf(name, sizeof name, "%s: %s", suite->pName, test->pName);
    for (int i = 1; i < argc; i++) {
        if (strstr(name, argv[i])) {
            return true;
        }
    }
    return argc < 2;
}

/* Activates only the tests that the arguments select; returns how many. */
static size_t select_tests(int argc, char **argv, bool list) {
    size_t n = 0;
    for (CU_pSuite suite = CU_get_registry()->pSuite; suite; suite = suite->pNext) {
        size_t in_suite = 0;
        for (CU_pTest test = suite->pTest; test; test = test->pNext) {
            bool on = wanted(suite, test, argc, argv);
            CU_set_test_active(test, on ? CU_TRUE : CU_FALSE);
            in_suite += on;
            if (on && list) {
                printf("%s: %s\n", suite->pName, test->pName);
            }
        }
        CU_set_suite_active(suite, in_suite ? CU_TRUE : CU_FALSE);
        n += in_suite;
    }
    return n;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk) {
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static bool prepare(const char *self) {
    char err[BA_ERR_LEN];
    const char *tmp = getenv("TMPDIR"), *slash = strrchr(self, '/');
    snprintf(state.dir, sizeof state.dir, "%s/blockattn-tests-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    char beside[3000];
    snprintf(beside, sizeof beside, "%.*s/blockattn", slash ? (int)(slash - self) : 1, slash ? self : ".");
    if (!realpath(beside, state.program)) { /* absolute: tests run it in other folders */
        fprintf(stderr, "%s is not there: build it first\n", beside);
        return false;
    }
    state.have_model =
        ba_model_path_of(NULL, state.model, sizeof state.model, err) == 0 && access(state.model, R_OK) == 0;
    return mkdtemp(state.dir) != NULL;
}

static int run(void) {
    CU_set_fail_on_inactive(CU_FALSE);
    CU_set_test_start_handler(on_start);
    CU_set_test_complete_handler(on_complete);
    CU_set_suite_init_failure_handler(on_init_failure);
    CU_run_all_tests();
    CU_print_run_results(stdout);

    size_t run_count = CU_get_number_of_tests_run(), skipped = state.n_skip;
    size_t failed = CU_get_number_of_tests_failed() + CU_get_number_of_suites_failed();
    size_t passed = run_count - skipped - CU_get_number_of_tests_failed();
    printf("\n");
    for (size_t i = 0; i < state.n_skip; i++) {
        printf("skipped %s\n", state.skips[i] ? state.skips[i] : "");
        free(state.skips[i]);
    }
    printf("%zu passed, %zu failed, %zu skipped\n", passed, failed, skipped);
    return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    if (CU_initialize_registry() != CUE_SUCCESS) {
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        if (suites[i]() != 0) {
            fprintf(stderr, "suite %zu cannot be set up: %s\n", i, CU_get_error_msg());
            return EXIT_FAILURE;
        }
    }
    bool list = argc > 1 && strcmp(argv[1], "--list") == 0;
    const char *self = argv[0];
    int status = EXIT_SUCCESS;
    if (select_tests(argc - list, argv + list, list) == 0) {
        fprintf(stderr, "no test has that in its name; --list shows all\n");
        status = EXIT_FAILURE;
    } else if (!list && !prepare(self)) {
        fprintf(stderr, "no tests can be run here\n");
        status = EXIT_FAILURE;
    } else if (!list) {
        status = run();
        nftw(state.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    CU_cleanup_registry();
    return status;
}
