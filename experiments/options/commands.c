#include "commands.h"

/* One line a command. */
#define COMMANDS(C)                                                                                                    \
    C(info)                                                                                                            \
    C(tokenize)                                                                                                        \
    C(plan)                                                                                                            \
    C(logits)                                                                                                          \
    C(generate)                                                                                                        \
    C(serve)                                                                                                           \
    C(compare)                                                                                                         \
    C(gate)                                                                                                            \
    C(ttft)                                                                                                            \
    C(eval)                                                                                                            \
    C(tune)                                                                                                            \
    C(game)                                                                                                            \
    C(replay)                                                                                                          \
    C(cost)                                                                                                            \
    C(run)                                                                                                             \
    C(reload)                                                                                                          \
    C(store)                                                                                                           \
    C(convert)                                                                                                         \
    C(report)                                                                                                          \
    C(merge)                                                                                                           \
    C(export)                                                                                                          \
    C(draw)                                                                                                            \
    C(modes)                                                                                                           \
    C(tasks)                                                                                                           \
    C(models)                                                                                                          \
    C(shapes)                                                                                                          \
    C(backends)                                                                                                        \
    C(help_pages)

#define DECLARE(name) extern const ba_command ba_command_##name;
#define LIST(name)    &ba_command_##name,
COMMANDS(DECLARE)
const ba_command *const ba_commands[] = {COMMANDS(LIST) NULL};
