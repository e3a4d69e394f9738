/* Files that the program brings along (experiment files, hardware, tables of the report, rules of games), found from any
 * working directory. */
#ifndef BA_DATA_H
#define BA_DATA_H

#include "experiments/cli/guess.h"

#include <stddef.h>

/* Where a file is: at `given` itself, else under the same base name (and with ".json" added, if it has no extension) in
 * the folders of the source tree that the program was built in, else in its installed data folder,
 * PREFIX/share/blockattn. If it is nowhere, out is `given`. Returns out, a path of at most `size` bytes. */
const char *ba_data_find(const char *given, char *out, size_t size);

/* The script that draws figures, of the source tree or installed with the program; never a file of the working folder. 0,
 * or -1: there is none. */
int ba_data_script(char *out, size_t size);

/* Offers the names of all such files, without ".json". */
void ba_data_offer(ba_guess *g);

#endif
