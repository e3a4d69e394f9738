/* blockattn: one program, a table of commands. */
#include "experiments/options/commands.h"
#include "experiments/options/program.h"
#include "sim/base/mapping.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

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
    static char name[] = "blockattn";
    program_invocation_short_name = name; /* messages begin with it, however the program was called */
    signal(SIGXFSZ, SIG_IGN);             /* past `ulimit -f` a write fails with EFBIG, like on a full disk */
    ba_mapping_on_lost(end_without_file);
    int status = ba_program_run(ba_commands, argc, argv);
    /* A result that did not reach the disk is no result. */
    bool lost = ferror(stdout) != 0;
    errno = 0;
    if ((fclose(stdout) != 0 || lost) && (status == BA_EXIT_OK || status == BA_EXIT_CHECK)) {
        const char *why = errno ? strerror(errno) : "write error";
        fprintf(stderr, "%s: standard output: %s\n", program_invocation_short_name, why);
        status = BA_EXIT_MACHINE;
    }
    return status;
}
