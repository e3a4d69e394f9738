/* Runs an experiment file. */
#include "experiments/cli/cli.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/experiment.h"

#include <errno.h>
#include <stdlib.h>

enum { LIMIT = 1 << 20 };

static int read_experiment(const char *path, ba_words *words, char err[BA_ERR_LEN]) {
    char *text;
    size_t len;
    if (ba_read_file(path, LIMIT, &text, &len, err)) {
        return -1;
    }
    int rc = ba_experiment_parse(text, len, path, words, err);
    free(text);
    return rc;
}

int ba_cmd_run(int argc, char **argv) {
    int first,
        status = ba_cli_parse(argc, argv, "FILE.json [-- OPTION...]",
                              "Runs an experiment file: a command and its options as data. Options behind -- "
                              "come on top of the file's and win.\n"
                              "Examples\n"
                              "  blockattn run experiments/configs/table3.json\n"
                              "  blockattn run experiments/configs/table3.json -- --threads 1 --out one-thread.h5",
                              (const ba_option[]){{0}}, NULL, &first);
    if (status >= 0) {
        return status;
    }
    if (first == argc) {
        return ba_cli_fail(BA_EXIT_USAGE, "no experiment file given; experiments/ has one per table and figure");
    }
    const char *path = argv[first];
    char err[BA_ERR_LEN];
    ba_words words = {.argc = 0};
    status = read_experiment(path, &words, err) ? ba_cli_fail(BA_EXIT_USAGE, "%s", err) : 0;
    for (int i = first + 1; i < argc && !status; i++) {
        status = ba_words_add(&words, "", argv[i]) ? ba_cli_fail(BA_EXIT_USAGE, "more than %d words", BA_MAX_WORDS) : 0;
    }
    if (!status) {
        /* What the command complains about stands in this file: messages begin with its name. */
        char *before = program_invocation_short_name, identity[512];
        snprintf(identity, sizeof identity, "blockattn run %s", path);
        program_invocation_short_name = identity;
        status = ba_command_find(words.argv[0])->run(words.argc, words.argv);
        program_invocation_short_name = before;
    }
    ba_words_free(&words);
    return status;
}
