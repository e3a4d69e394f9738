/* The commands of the program: one row in commands.c each, and one table `ba_command_NAME` in the command's own file. */
#ifndef BA_COMMANDS_H
#define BA_COMMANDS_H

#include "options.h"

/* In the order of --help; NULL past the last. */
extern const ba_command *const ba_commands[];

#endif
