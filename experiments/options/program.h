/* A program of several commands: finds the one that is named and calls it. */
#ifndef BA_PROGRAM_H
#define BA_PROGRAM_H

#include "options.h"

/* argv[1] names the command; --help and --version need none. Returns an exit status. */
int ba_program_run(const ba_command *const *all, int argc, char **argv);

/* The command of a name. NULL: there is none, and err says which name is nearest. */
const ba_command *ba_command_find(const ba_command *const *all, const char *name, char err[BA_ERR_LEN]);

#endif
