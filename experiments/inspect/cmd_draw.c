/* blockattn draw: the figures of a trace, by the script of plots/. */
#include "experiments/options/data.h"
#include "experiments/options/options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MOST_FILES = 64, WORDS = MOST_FILES + 8 };

typedef struct options {
    const char *set, *run;
} options;

/* Takes the place of this process, so that the script's exit status is the command's. */
static int run(const ba_call *call) {
    const options *opt = call->options;
    char script[4096], program[4096];
    const char *word[WORDS] = {script};
    size_t n = 1;
    if (call->n_operand < 2 || call->n_operand > MOST_FILES) {
        return ba_cli_fail(BA_EXIT_USAGE, "needs a trace and the folder for its figures: TRACE.h5 FOLDER");
    }
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0 || ba_data_script(script, sizeof script) != 0) {
        return ba_cli_fail(BA_EXIT_MACHINE,
                           "plots/draw.sh is neither in the source tree nor in PREFIX/share/blockattn; "
                           "'make install' puts it there");
    }
    program[length] = '\0';
    for (size_t i = 0; i < 2; i++) {
        const char *value = i ? opt->run : opt->set;
        if (value) {
            word[n++] = i ? "-r" : "-s";
            word[n++] = value;
        }
    }
    word[n++] = program;
    for (size_t i = 0; i < call->n_operand; i++) {
        word[n++] = call->operand[i];
    }
    word[n] = NULL;
    execv(script, (char *const *)word);
    return ba_cli_fail(BA_EXIT_MACHINE, "%s: %s", script, strerror(errno));
}

#define AT(member) .at = offsetof(options, member)

static const ba_option own[] = {
    {"set", "NAME", BA_TEXT, AT(set), .help = "which figures; default: those of the command that made the trace"},
    {"run", "NAME", BA_TEXT, AT(run), .help = "a run of a merged trace"},
    {.name = NULL}};

const ba_command ba_command_draw = {
    .name = "draw",
    .summary = "the figures of a trace, as PNG and SVG",
    .usage = "TRACE.h5... FOLDER [--set NAME] [--run NAME]",
    .about = "Draws the figures that belong to a trace, by gnuplot and the scripts that come with the program, into a "
             "folder that exists.",
    .example = "blockattn draw results/table3.h5 results\n"
               "blockattn draw results/sweep.h5 results --set sweep",
    .own = own,
    .size = sizeof(options),
    .operands = SIZE_MAX,
    .run = run,
};
