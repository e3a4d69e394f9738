/* A text file that appears under its name only when it is complete: written as PATH.tmp, synced to disk, then renamed.
 */
#ifndef BA_WHOLE_FILE_H
#define BA_WHOLE_FILE_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct ba_whole_file {
    FILE *f; /* to write to; NULL when finished or not open */
    char *path, *temporary;
} ba_whole_file;

/* Opens an empty file for writing and locks it, so that no other caller of this function gets it until it is closed,
 * also after a rename. A descriptor; or -1 and errno, EWOULDBLOCK if another program has locked it. */
int ba_open_alone(const char *temporary);
/* Gives such a file its name, or removes it if writing has failed. lock: a second descriptor of it (dup), which keeps
 * it locked until this is done and is then closed; or -1. 0, or -1 and errno; if writing had failed, errno is
 * unchanged. */
int ba_take_name(int lock, bool failed, const char *temporary, const char *path);

/* 0, or -1 and err with the name of the file. finish gives it its name; without it, close removes it. */
int ba_whole_file_open(const char *path, ba_whole_file *out, char err[BA_ERR_LEN]);
int ba_whole_file_finish(ba_whole_file *w, char err[BA_ERR_LEN]);
void ba_whole_file_close(ba_whole_file *w);

#endif
