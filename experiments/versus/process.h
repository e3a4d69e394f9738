/* A program that runs beside this one and answers line by line; it rests (SIGSTOP) while it is not asked, so that what
 * is timed has the machine for itself. It ends with this one, whatever ends this one. */
#ifndef BA_PROCESS_H
#define BA_PROCESS_H

#include "kernels/base/error.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

typedef struct ba_process {
    pid_t pid; /* 0: not running */
    FILE *to, *from;
} ba_process;

/* argv ends with NULL; setting: "NAME=VALUE" for its environment, or NULL; log: where its standard error goes
 * (appended). 0, or -1 and err. */
int ba_process_start(char *const *argv, const char *setting, const char *log, ba_process *out, char err[BA_ERR_LEN]);
/* Sends question (NULL: none) and reads one line, without its end. 0; -1: it ended, or was interrupted. */
int ba_process_ask(ba_process *p, const char *question, char *answer, size_t size);
void ba_process_end(ba_process *p);

/* Starts, waits for its end, and takes the time; its output is thrown away. 0, or -1: it failed. */
int ba_process_time(char *const *argv, double *seconds);

#endif
