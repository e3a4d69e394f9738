/* What both sub-commands need around a race: the folder of the built programs, temporary files and random token ids. Each
 * returns 0, or an exit status after printing its line. */
#ifndef BA_VERSUS_SCRATCH_H
#define BA_VERSUS_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

/* The folder of this program. */
int ba_versus_folder(char *out, size_t size);

/* Makes a new folder for temporary files. */
int ba_versus_scratch(char *out, size_t size);

/* Writes n random token ids of the model's vocabulary, one a line, into a new file at path. */
int ba_versus_ids(const char *model, size_t n, uint64_t seed, const char *path);

#endif
