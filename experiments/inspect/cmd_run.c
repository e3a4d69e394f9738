/* blockattn run: an experiment file, which is a command and its options as data. */
#include "experiments/options/data.h"
#include "experiments/options/experiment.h"
#include "experiments/options/options.h"
#include "experiments/options/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT = 1 << 20 };

/* 0, or -1 and err. */
static int read_experiment(const char *name, ba_words *words, char err[BA_ERR_LEN]) {
    char path[4096], *text;
    size_t len;
    ba_data_find(name, path, sizeof path);
    if (strcmp(path, "-") != 0 && access(path, F_OK) != 0) {
        const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
        ba_guess g = ba_guess_begin(base, strcspn(base, "."));
        ba_data_offer(&g);
        return ba_fail(err, "%s: there is no such experiment file%s", name, g.text);
    }
    if (ba_read_file(path, LIMIT, &text, &len, err)) {
        return -1;
    }
    int rc = ba_experiment_parse(text, len, path, words, err);
    free(text);
    return rc;
}

static bool is_listed(const char *list, const char *name, size_t len) {
    for (const char *s = list; s && *s; s += strcspn(s, ","), s += *s == ',') {
        if (strcspn(s, ",") == len && strncmp(s, name, len) == 0) {
            return true;
        }
    }
    return false;
}

/* An option that is given takes the place of the file's, and of those in the file that exclude it. */
static void replace(ba_words *words, const ba_option *row, const char *name, size_t len) {
    if (is_listed(row->against, name, len)) {
        ba_words_drop(words, row->name, strlen(row->name));
    }
    if (!is_listed(row->name, name, len)) {
        return;
    }
    ba_words_drop(words, name, len);
    for (const char *s = row->against; s && *s; s += strcspn(s, ","), s += *s == ',') {
        ba_words_drop(words, s, strcspn(s, ","));
    }
}

static int add_given(ba_words *words, const ba_command *c, const ba_call *call, char err[BA_ERR_LEN]) {
    for (size_t i = 1; i < call->n_operand; i++) {
        const char *word = call->operand[i], *name = word + 2;
        if (strncmp(word, "--", 2) != 0) {
            continue;
        }
        for (const ba_option *o = c->own; o && o->name; o++) {
            replace(words, o, name, strcspn(name, "="));
        }
        for (const ba_shared_option *s = ba_shared_options; s->row.name; s++) {
            replace(words, &s->row, name, strcspn(name, "="));
        }
    }
    for (size_t i = 1; i < call->n_operand; i++) {
        if (ba_words_add(words, "", call->operand[i])) {
            return ba_fail(err, "more than %d words", BA_MAX_WORDS);
        }
    }
    return 0;
}

static int run_words(const ba_call *call, ba_words *words) {
    char err[BA_ERR_LEN], why[BA_ERR_LEN], identity[512], *before = program_invocation_short_name;
    const char *name = call->operand[0];
    if (read_experiment(name, words, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    const ba_command *c = ba_command_find(call->all, words->argv[0], why);
    if (!c) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s: field command: %s", name, why);
    }
    if (add_given(words, c, call, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    /* What the command complains about is in this file: messages begin with its name. */
    snprintf(identity, sizeof identity, "blockattn run %s", name);
    program_invocation_short_name = identity;
    int status = ba_command_start(c, call->all, words->argc, words->argv);
    program_invocation_short_name = before;
    return status;
}

static int run(const ba_call *call) {
    ba_words words = {.argc = 0};
    if (!call->n_operand) {
        return ba_cli_fail(BA_EXIT_USAGE, "no experiment file given; 'blockattn run table3' is one of those that "
                                          "come with the program (experiments/configs)");
    }
    int status = run_words(call, &words);
    ba_words_free(&words);
    return status;
}

const ba_command ba_command_run = {
    .name = "run",
    .summary = "an experiment file: a command and its options as data",
    .usage = "FILE.json|NAME [-- OPTION...]",
    .about = "Runs an experiment file: a command and its options as data. A file is named by its path, or by its name "
             "alone if it comes with the program. Options after -- replace those of the file.",
    .example = "blockattn run table3\n"
               "blockattn run experiments/configs/table3.json -- --threads 1 --out one-thread.h5",
    .operands = SIZE_MAX,
    .run = run,
};
