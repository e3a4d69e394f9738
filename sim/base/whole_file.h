/* A file that gets its name only when it is complete: written under a temporary name in the same folder, flushed to the
 * disk, renamed. Readers see the old file or the new one, never a part. */
#ifndef BA_WHOLE_FILE_H
#define BA_WHOLE_FILE_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct ba_whole_file {
    FILE *f; /* to write to; NULL when it is finished or was not opened */
    char *path, *temporary;
} ba_whole_file;

/* Makes a new file next to `path`, under a name that nobody can know in advance, and opens it for writing. It never
 * follows a link and never opens what is there already, so a planted link or pipe is left alone. The descriptor, and
 * *name malloc'ed; or -1, errno, and *name NULL. */
int ba_temporary_open(const char *path, char **name);
/* Renames such a file to `path`, or removes it if writing has failed. 0, or -1 and errno (unchanged if writing has
 * failed). */
int ba_temporary_finish(const char *name, bool failed, const char *path);

/* 0, or -1 and err naming the file. */
int ba_whole_file_open(const char *path, ba_whole_file *out, char err[BA_ERR_LEN]);
int ba_whole_file_finish(ba_whole_file *w, char err[BA_ERR_LEN]);
/* Frees; removes the temporary file if it was not finished. */
void ba_whole_file_close(ba_whole_file *w);

#endif
