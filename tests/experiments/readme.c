/* The commands that README.md and GUIDE.md show, run as they stand, in their order, with the real model. */
#include "experiments/cli/cli.h"
#include "tests/support/program.h"
#include "tests/support/runner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_COMMAND = 2000 };

/* Commands that are not run, and why. */
static const struct {
    const char *begins, *why;
} skipped[] = {
    {"make table3", "installs packages, gets the model, measures for a quarter of an hour"},
    {"make test", "would run this test in itself"},
    {"build/blockattn eval --task nq,", "needs published data sets"},
};

/* Options of the commands' own help that make them shorter, where the document does not give them; and an exit status
 * that is a finding, not a failure. */
static const struct {
    const char *begins, *option, *value;
    int also;
} shorter[] = {
    {"build/blockattn generate", "--max-tokens", "4", 0}, {"build/blockattn compare", "--repeat", "1", 0},
    {"build/blockattn compare", "--max-tokens", "4", 0},  {"build/blockattn gate", "--limit", "1", 1},
    {"build/blockattn gate", "--greedy", "1", 1},         {"build/blockattn gate --mode", "--identities", "0", 1},
    {"build/blockattn eval", "--metric", "nll", 0},
};

/* What must be in an output: five questions of a CSV become a table of four modes, the river is the Aare. */
static const struct {
    const char *begins, *says;
} shown[] = {
    {"build/blockattn eval --task five.jsonl", "\nfull "},
    {"build/blockattn eval --task five.jsonl", "\nblock "},
    {"build/blockattn eval --task five.jsonl", "\nlego "},
    {"build/blockattn eval --task five.jsonl", "\ncacheblend "},
    {"build/blockattn generate --question \"Which river flows through Bern?\" --documents documents.txt --mode full",
     "The river"},
    {"build/blockattn compare", "first token"},
    {"build/blockattn modes block", "### ### #.."},
};

static bool begins(const char *command, const char *with) {
    return strncmp(command, with, strlen(with)) == 0;
}

static int run_shell(const char *folder, const char *command) {
    char script[4200], line[9000];
    snprintf(script, sizeof script, "%s/step.sh", folder);
    FILE *f = fopen(script, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fprintf(f, "set -e\n%s\n", command);
    CU_ASSERT_EQUAL_FATAL(fclose(f), 0);
    snprintf(line, sizeof line, "cd '%s' && sh ./step.sh </dev/null >step.out 2>step.err", folder);
    int code = system(line);
    return code < 0 ? -1 : WIFEXITED(code) ? WEXITSTATUS(code) : 128;
}

/* What a step printed; freed by the caller. */
static char *text_of(const char *folder, const char *name) {
    char path[4200], err[BA_ERR_LEN], *text = NULL;
    size_t n;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return ba_read_file(path, SIZE_MAX, &text, &n, err) == 0 ? text : strdup("");
}

/* Whether a command printed what it must; one that writes a file may print nothing. */
static bool shows(const char *command, const char *out) {
    bool right = *out || strchr(command, '>') || begins(command, "build/blockattn convert");
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        right = right && (!begins(command, shown[i].begins) || strstr(out, shown[i].says));
    }
    return right;
}

/* One command, with its continued lines joined. */
static void run_command(const char *document, const char *folder, const char *command, size_t *n_run, bool *seen) {
    char whole[MAX_COMMAND + 200];
    int also = 0;
    for (size_t i = 0; i < sizeof skipped / sizeof *skipped; i++) {
        if (begins(command, skipped[i].begins)) {
            seen[i] = true;
            return;
        }
    }
    snprintf(whole, sizeof whole, "%s", command);
    for (size_t i = 0; i < sizeof shorter / sizeof *shorter; i++) {
        size_t n = strlen(whole);
        if (begins(command, shorter[i].begins) && !strstr(command, shorter[i].option)) {
            snprintf(whole + n, sizeof whole - n, " %s %s", shorter[i].option, shorter[i].value);
            also = shorter[i].also;
        }
    }
    int status = run_shell(folder, whole);
    char *out = text_of(folder, "step.out"), *err = text_of(folder, "step.err");
    bool right = (status == 0 || (also && status == also)) && shows(command, out);
    CU_ASSERT_TRUE(right);
    if (!right) {
        printf("  %s: status %d: %s\n%s%s", document, status, whole, err, out);
    }
    free(out);
    free(err);
    ++*n_run;
}

/* The folder in which a reader stands: a clone after make. */
static void make_clone(const char *name, char folder[4096]) {
    static const char *const links[] = {"experiments", "results"};
    char target[4096], path[4200];
    CU_ASSERT_EQUAL_FATAL(mkdir(program_path(name, folder), 0700), 0);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, links[i]);
        CU_ASSERT_TRUE_FATAL(realpath(links[i], target) && symlink(target, path) == 0);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(realpath(ba_test_program(), target));
    *strrchr(target, '/') = '\0';
    snprintf(path, sizeof path, "%s/build", folder);
    CU_ASSERT_EQUAL_FATAL(symlink(target, path), 0);
}

/* Commands of all blocks that are marked as sh. */
static void run_document(const char *document, const char *folder, size_t *n_run, bool *seen) {
    char err[BA_ERR_LEN], *text = NULL, command[MAX_COMMAND] = "";
    size_t n, used = 0;
    bool inside = false;
    CU_ASSERT_EQUAL_FATAL(ba_read_file(document, SIZE_MAX, &text, &n, err), 0);
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        if (begins(line, "```")) {
            inside = strcmp(line, "```sh") == 0;
            continue;
        }
        if (!inside) {
            continue;
        }
        used += (size_t)snprintf(command + used, sizeof command - used, "%s%s", used ? "\n" : "", line);
        CU_ASSERT_TRUE_FATAL(used < sizeof command);
        if (used && command[used - 1] != '\\') {
            run_command(document, folder, command, n_run, seen);
            used = 0;
        }
    }
    CU_ASSERT_EQUAL(used, 0);
    free(text);
}

/* Options that make a command shorter belong after its last word, also if its lines are continued. */
static void test_commands(void) {
    bool seen[sizeof skipped / sizeof *skipped] = {false};
    char folder[4096];
    size_t n_run = 0;
    if (!ba_test_model() || BA_SANITIZED) {
        ba_test_skip(BA_SANITIZED ? "takes too long under a sanitizer" : "the default model is not cached");
        return;
    }
    make_clone("readme", folder);
    run_document("README.md", folder, &n_run, seen);
    CU_ASSERT_TRUE(n_run >= 5);
    make_clone("guide", folder);
    run_document("experiments/GUIDE.md", folder, &n_run, seen);
    CU_ASSERT_TRUE(n_run >= 15);
    for (size_t i = 0; i < sizeof skipped / sizeof *skipped; i++) {
        CU_ASSERT_TRUE(seen[i]); /* a skip that skips nothing any more */
    }
}

int ba_suite_readme(void) {
    CU_pSuite s = CU_add_suite("readme", NULL, NULL);
    return s && CU_add_test(s, "the commands of README and GUIDE run as they stand", test_commands) ? 0 : -1;
}
