/* blockattn: one program, a table of commands. */
#include "experiments/cli/cli.h"
#include "experiments/cli/commands.h"
#include "sim/base/mapping.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int print_commands(void) {
    puts("usage: blockattn COMMAND [OPTIONS]\n\n"
         "Attention modes that reuse cached passages, run and measured on one model.\n\n"
         "Commands");
    for (const ba_command *c = ba_commands; c->name; c++) {
        printf("  %-10s %s\n", c->name, c->summary);
    }
    puts("\nblockattn COMMAND --help shows the options of a command.");
    return BA_EXIT_OK;
}

static int dispatch(int argc, char **argv, char *identity, size_t size) {
    if (argc < 2) {
        return ba_cli_fail(BA_EXIT_USAGE, "no command given; 'blockattn --help' lists them");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return print_commands();
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("blockattn " BA_VERSION);
        return BA_EXIT_OK;
    }
    const ba_command *c = ba_command_find(argv[1]);
    if (!c) {
        return ba_cli_fail(BA_EXIT_USAGE, "unknown command '%s'; 'blockattn --help' lists them", argv[1]);
    }
    snprintf(identity, size, "blockattn %s", c->name);
    return c->run(argc - 1, argv + 1);
}

/* In a signal handler: the one line, and the end. */
static void end_without_file(const char *path) {
    static const char text[] = " became shorter while it was in use; restore the file and run again\n";
    const char *const part[] = {program_invocation_short_name, ": ", path, text};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        if (write(STDERR_FILENO, part[i], strlen(part[i])) < 0) {
            break;
        }
    }
    _exit(BA_EXIT_MACHINE);
}

int main(int argc, char **argv) {
    static char identity[64] = "blockattn";
    program_invocation_short_name = identity; /* what messages begin with, to the very end */
    signal(SIGXFSZ, SIG_IGN);                 /* past `ulimit -f` a write fails with EFBIG, like on a full disk */
    ba_mapping_on_lost(end_without_file);
    int status = dispatch(argc, argv, identity, sizeof identity);
    /* A result that did not reach the disk is no result. */
    bool lost = ferror(stdout) != 0;
    errno = 0;
    if ((fclose(stdout) != 0 || lost) && (status == BA_EXIT_OK || status == BA_EXIT_CHECK)) {
        const char *why = errno ? strerror(errno) : "write error";
        fprintf(stderr, "%s: standard output: %s\n", identity, why);
        status = BA_EXIT_MACHINE;
    }
    return status;
}
