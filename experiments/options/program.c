#include "program.h"
#include "experiments/cli/guess.h"
#include "library/blockattn.h"

#include <errno.h>
#include <string.h>

const ba_command *ba_command_find(const ba_command *const *all, const char *name, char err[BA_ERR_LEN]) {
    ba_guess g = ba_guess_begin(name, strlen(name));
    for (size_t i = 0; all[i]; i++) {
        if (strcmp(all[i]->name, name) == 0) {
            return all[i];
        }
        if (!all[i]->hidden) {
            ba_guess_offer(&g, all[i]->name);
        }
    }
    ba_fail(err, "unknown command '%.100s'; 'blockattn --help' lists them%s", name, g.text);
    return NULL;
}

int ba_program_run(const ba_command *const *all, int argc, char **argv) {
    static char identity[64];
    char err[BA_ERR_LEN];
    if (argc < 2) {
        return ba_cli_fail(BA_EXIT_USAGE, "no command given; 'blockattn --help' lists them");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        ba_print_commands(all);
        return BA_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("blockattn " BLOCKATTN_VERSION);
        return BA_EXIT_OK;
    }
    const ba_command *c = ba_command_find(all, argv[1], err);
    if (!c) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    snprintf(identity, sizeof identity, "blockattn %s", c->name);
    program_invocation_short_name = identity; /* messages begin with it, until the program ends */
    return ba_command_start(c, all, argc - 1, argv + 1);
}
