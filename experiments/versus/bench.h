/* The program behind `make bench` and `make bench-compare`. */
#ifndef BA_VERSUS_PROGRAM_H
#define BA_VERSUS_PROGRAM_H

#include "race.h"

/* Sub-commands; argv[0] is their name. Return an exit status. */
int ba_versus_versus(int argc, char **argv);
int ba_versus_compare(int argc, char **argv);

/* Random token ids below the model's vocabulary, [n], into a new file at path. 0, or an exit status. */
int ba_versus_ids(const char *model, size_t n, uint64_t seed, const char *path);

/* The folder that this program lies in. */
int ba_versus_folder(char *out, size_t size);

/* A new folder for temporary files. 0, or an exit status. */
int ba_versus_scratch(char *out, size_t size);

#endif
