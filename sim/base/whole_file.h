/* A text file that takes its name when it is whole: written as PATH.tmp, brought to the disk, renamed. */
#ifndef BA_WHOLE_FILE_H
#define BA_WHOLE_FILE_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct ba_whole_file {
    FILE *f; /* to write to; NULL when it is finished or was never open */
    char *path, *temporary;
} ba_whole_file;

/* Opens an empty file to write to, and locks it: -1 and errno EWOULDBLOCK if another program holds it open so. It may
 * then be renamed; until it is closed it is nobody else's. */
int ba_open_alone(const char *temporary);
/* Gives such a file its name, or removes it if writing has failed. lock: a second descriptor of it (dup), closed behind
 * that, so that it is nobody else's until then; or -1. 0, or -1 and errno, which is left alone if writing has failed.
 */
int ba_take_name(int lock, bool failed, const char *temporary, const char *path);

/* 0, or -1 and err naming the file. */
int ba_whole_file_open(const char *path, ba_whole_file *out, char err[BA_ERR_LEN]);
int ba_whole_file_finish(ba_whole_file *w, char err[BA_ERR_LEN]);
/* Frees, and removes what was not finished. */
void ba_whole_file_close(ba_whole_file *w);

#endif
