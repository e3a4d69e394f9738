/* The commands of the program: one row in commands.c, one function here, one file cmd_NAME.c each. A function gets its
 * own name as argv[0] and returns an exit status of CLI.md (BA_EXIT_*). */
#ifndef BA_COMMANDS_H
#define BA_COMMANDS_H

#include "cli.h"

#define BA_VERSION "0.1.0"

/* The table; name NULL past the last. */
extern const ba_command ba_commands[];
/* NULL if there is no such command. */
const ba_command *ba_command_find(const char *name);

int ba_cmd_info(int argc, char **argv);
int ba_cmd_tokenize(int argc, char **argv);
int ba_cmd_plan(int argc, char **argv);
int ba_cmd_logits(int argc, char **argv);
int ba_cmd_generate(int argc, char **argv);
int ba_cmd_ttft(int argc, char **argv);
int ba_cmd_gate(int argc, char **argv);
int ba_cmd_eval(int argc, char **argv);
int ba_cmd_tune(int argc, char **argv);
int ba_cmd_game(int argc, char **argv);
int ba_cmd_replay(int argc, char **argv);
int ba_cmd_cost(int argc, char **argv);
int ba_cmd_run(int argc, char **argv);
int ba_cmd_reload(int argc, char **argv);
int ba_cmd_store(int argc, char **argv);
int ba_cmd_convert(int argc, char **argv);
int ba_cmd_report(int argc, char **argv);
int ba_cmd_merge(int argc, char **argv);
int ba_cmd_export(int argc, char **argv);

#endif
