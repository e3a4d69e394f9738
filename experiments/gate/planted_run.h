/* `gate --planted`: every item in every mode, then the table, the rows or the trace (schema blockattn/planted/1, tables
 * `items` and `modes`). */
#ifndef BA_PLANTED_RUN_H
#define BA_PLANTED_RUN_H

#include "experiments/cli/cli.h"

/* data: RAG items, a list with commas; limit: the first items of every file (0: all); max_tokens: of an answer. An exit
 * status: BA_EXIT_CHECK if a mode that takes nothing from a donor gave other bits after one. */
int ba_planted_run(const ba_common *c, const ba_session *b, const char *data, size_t limit, size_t max_tokens, int argc,
                   char **argv);

#endif
